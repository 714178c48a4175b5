//! The reasons why a data folder cannot be used.

use std::io;

use super::VERSION;

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
