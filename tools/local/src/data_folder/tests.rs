//! Folders that are accepted, and folders that are rejected and left unchanged.

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
