//! The folder that keeps everything between runs: a format version, the database, the media, and a
//! lock so that two runners never share it. It creates what is missing and refuses what it cannot
//! understand; it never migrates.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The format of this build's data.
const VERSION: &str = "2";

/// Why a data folder cannot be used. The messages are for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// No permission, no space, or a file in the way.
    #[error(
        "cannot write the data folder {folder}: {source}; choose another one with --data, or use --memory"
    )]
    Unwritable {
        /// The folder.
        folder: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Written by another version.
    #[error(
        "{folder} was written by version {found} of the data format, this build reads {VERSION}; start with --data another folder or delete it"
    )]
    OtherVersion {
        /// The folder.
        folder: String,
        /// Its version.
        found: String,
    },
    /// It holds something else.
    #[error(
        "{folder} holds files but is no data folder of tidemark; start with --data another folder"
    )]
    NotOurs {
        /// The folder.
        folder: String,
    },
    /// Another runner has it open.
    #[error(
        "{folder} is in use by another running tidemark; stop that one, or start with --data another folder"
    )]
    InUse {
        /// The folder.
        folder: String,
    },
}

/// An open data folder, locked until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    root: PathBuf,
    /// Held, not read: the operating system frees the lock with it, also after a `kill -9`.
    _lock: File,
}

impl DataFolder {
    /// Opens the folder, creating it if it is missing.
    ///
    /// # Errors
    /// It cannot be written, was written by another version, is something else, or is in use.
    pub fn open(root: &Path) -> Result<Self, DataFolderError> {
        let unwritable = |source| DataFolderError::Unwritable {
            folder: shown(root),
            source,
        };
        std::fs::create_dir_all(root).map_err(unwritable)?;
        check_version(root)?;
        let lock = File::create(root.join("LOCK")).map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataFolderError::InUse {
                    folder: shown(root),
                });
            }
            Err(TryLockError::Error(source)) => return Err(unwritable(source)),
        }
        if !root.join("VERSION").exists() {
            // Whole or not at all: a folder with an empty version would be refused for ever after.
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

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The SQLite file of the embedded DynamoDB.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.root.join("dynamodb.sqlite")
    }

    /// The folder of the embedded S3's buckets.
    #[must_use]
    pub fn media(&self) -> PathBuf {
        self.root.join("media")
    }
}

/// Before anything is written: a folder of another version, or of somebody else, stays as it is.
fn check_version(root: &Path) -> Result<(), DataFolderError> {
    let unwritable = |source| DataFolderError::Unwritable {
        folder: shown(root),
        source,
    };
    match std::fs::read_to_string(root.join("VERSION")) {
        Ok(found) if found.trim() == VERSION => Ok(()),
        Ok(found) => Err(DataFolderError::OtherVersion {
            folder: shown(root),
            found: found.trim().to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut entries = std::fs::read_dir(root).map_err(unwritable)?;
            // A first start that was killed may have left these behind, and nothing else.
            let is_foreign = entries.any(|entry| {
                entry.is_ok_and(|entry| {
                    entry.file_name() != "LOCK" && entry.file_name() != "VERSION.new"
                })
            });
            if is_foreign {
                Err(DataFolderError::NotOurs {
                    folder: shown(root),
                })
            } else {
                Ok(())
            }
        }
        Err(source) => Err(unwritable(source)),
    }
}

fn shown(root: &Path) -> String {
    root.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_reopened_after_it_was_closed() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("data");
        drop(DataFolder::open(&root).unwrap());
        assert_eq!(
            DataFolder::open(&root).unwrap().database(),
            root.join("dynamodb.sqlite")
        );
    }

    #[test]
    fn a_folder_of_another_version_is_refused_and_left_alone() {
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
    fn a_folder_in_use_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let _open = DataFolder::open(home.path()).unwrap();
        let message = DataFolder::open(home.path()).unwrap_err().to_string();
        assert!(
            message.contains("is in use by another running tidemark"),
            "{message}"
        );
    }

    #[test]
    fn a_folder_of_somebody_else_is_refused() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("thesis.txt"), "precious").unwrap();
        assert!(matches!(
            DataFolder::open(home.path()),
            Err(DataFolderError::NotOurs { .. })
        ));
    }

    #[test]
    fn a_file_in_the_way_is_a_clear_message() {
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
