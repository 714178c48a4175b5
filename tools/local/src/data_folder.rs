//! The folder that keeps all data between runs: a format version, the database, the media, and a
//! lock file that prevents two runners from sharing it. Missing parts are created and unknown
//! contents are rejected; there is no migration.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The version of the data format that this build reads and writes.
const VERSION: &str = "2";

/// Reasons why a data folder cannot be used. The messages are for a person at a terminal.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// The folder cannot be written: no permission, no space, or a file with its name exists.
    #[error(
        "cannot write the data folder {folder}: {source}; choose another one with --data, or use --memory"
    )]
    Unwritable {
        /// Path of the data folder.
        folder: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The folder was written by a build with another data format.
    #[error(
        "{folder} was written by version {found} of the data format, this build reads {VERSION}; start with --data another folder or delete it"
    )]
    OtherVersion {
        /// Path of the data folder.
        folder: String,
        /// Format version of the folder.
        found: String,
    },
    /// The folder contains files but is not a data folder.
    #[error(
        "{folder} holds files but is no data folder of tidemark; start with --data another folder"
    )]
    NotOurs {
        /// Path of the data folder.
        folder: String,
    },
    /// Another process holds the lock of the folder.
    #[error(
        "{folder} is in use by another running tidemark; stop that one, or start with --data another folder"
    )]
    InUse {
        /// Path of the data folder.
        folder: String,
    },
}

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
mod tests {
    use super::*;

    #[test]
    fn closed_folder_can_be_reopened() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("data");
        drop(DataFolder::open(&root).unwrap());
        assert_eq!(
            DataFolder::open(&root).unwrap().database(),
            root.join("dynamodb.sqlite")
        );
    }

    #[test]
    fn folder_of_other_version_is_rejected_unchanged() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("VERSION"), "1\n").unwrap();
        let message = DataFolder::open(home.path()).unwrap_err().to_string();
        assert!(
            message.contains("was written by version 1 of the data format, this build reads 2"),
            "{message}"
        );
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn folder_in_use_is_rejected() {
        let home = tempfile::tempdir().unwrap();
        let _open = DataFolder::open(home.path()).unwrap();
        let message = DataFolder::open(home.path()).unwrap_err().to_string();
        assert!(
            message.contains("is in use by another running tidemark"),
            "{message}"
        );
    }

    #[test]
    fn folder_with_foreign_files_is_rejected() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("thesis.txt"), "precious").unwrap();
        assert!(matches!(
            DataFolder::open(home.path()),
            Err(DataFolderError::NotOurs { .. })
        ));
    }

    #[test]
    fn file_in_place_of_folder_is_reported() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        std::fs::write(&file, "").unwrap();
        let message = DataFolder::open(&file.join("data"))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("cannot write the data folder"),
            "{message}"
        );
    }
}
