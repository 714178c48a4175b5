//! The folder that keeps all data between runs: a format version, the database, the media, and a
//! lock file that prevents two runners from sharing it. Missing parts are created and unknown
//! contents are rejected; there is no migration.

mod error;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

pub use error::DataFolderError;

/// The version of the data format that this build reads and writes.
const VERSION: &str = "2";

/// An open data folder, locked until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    root: PathBuf,
    /// Held for its lock, never read. The operating system releases the lock when the process ends,
    /// even after `kill -9`.
    _lock: File,
}

impl DataFolder {
    /// Opens the folder, and creates it if it is missing.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be written, was written by another version, contains
    /// other files, or is in use.
    pub fn open(root: &Path) -> Result<Self, DataFolderError> {
        let unwritable = |source| DataFolderError::Unwritable {
            folder: display_path(root),
            source,
        };
        std::fs::create_dir_all(root).map_err(unwritable)?;
        check_version(root)?;

        let lock = File::create(root.join("LOCK")).map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataFolderError::InUse {
                    folder: display_path(root),
                });
            }
            Err(TryLockError::Error(source)) => return Err(unwritable(source)),
        }

        if !root.join("VERSION").exists() {
            // Renamed into place, because a crash must not leave an empty version, which every
            // later start would reject.
            let fresh = root.join("VERSION.new");
            std::fs::write(&fresh, VERSION)
                .and_then(|()| std::fs::rename(&fresh, root.join("VERSION")))
                .map_err(unwritable)?;
        }

        std::fs::create_dir_all(root.join("media")).map_err(unwritable)?;
        Ok(Self {
            root: root.to_path_buf(),
            _lock: lock,
        })
    }

    /// Returns the path of the folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the path of the SQLite file of the embedded DynamoDB.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.root.join("dynamodb.sqlite")
    }

    /// Returns the folder that contains the buckets of the embedded S3.
    #[must_use]
    pub fn media(&self) -> PathBuf {
        self.root.join("media")
    }
}

/// Checks the version before anything is written, so that a folder of another version or with other
/// contents stays unchanged.
fn check_version(root: &Path) -> Result<(), DataFolderError> {
    let unwritable = |source| DataFolderError::Unwritable {
        folder: display_path(root),
        source,
    };

    match std::fs::read_to_string(root.join("VERSION")) {
        Ok(found) if found.trim() == VERSION => Ok(()),
        Ok(found) => Err(DataFolderError::OtherVersion {
            folder: display_path(root),
            found: found.trim().to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut entries = std::fs::read_dir(root).map_err(unwritable)?;
            // A first start that was killed may have left these two files.
            let is_foreign = entries.any(|entry| {
                entry.is_ok_and(|entry| {
                    entry.file_name() != "LOCK" && entry.file_name() != "VERSION.new"
                })
            });
            if is_foreign {
                Err(DataFolderError::NotOurs {
                    folder: display_path(root),
                })
            } else {
                Ok(())
            }
        }
        Err(source) => Err(unwritable(source)),
    }
}

fn display_path(root: &Path) -> String {
    root.display().to_string()
}

#[cfg(test)]
mod tests;
