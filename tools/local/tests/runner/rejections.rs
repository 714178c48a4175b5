//! Conditions under which the runner does not start or prints no token. Each results in an exit
//! code, a clear message on stderr, and unchanged files.

mod arguments;
mod port;

use std::collections::BTreeMap;
use std::path::Path;

use crate::process::{ExitedProcess, Runner, run};

#[test]
fn folder_in_use_by_runner_is_rejected() {
    let home = tempfile::tempdir().unwrap();
    let first = Runner::on(&home.path().join("data"));
    let ended = run(home.path(), &["--port", "0", "--data", "data"]);
    assert_rejected(
        &ended,
        &["data is in use by another running tidemark", "--data"],
    );
    assert_eq!(first.client().scan("resources").len(), 0);
    assert_eq!(first.stop("INT").code, Some(0));
    let _next = Runner::on(&home.path().join("data"));
}

#[test]
fn unwritable_folder_is_rejected() {
    let home = tempfile::tempdir().unwrap();
    // Even root cannot create these paths. A folder without permissions would not stop root.
    std::fs::write(home.path().join("file"), "precious").unwrap();
    for folder in ["file", "file/data", "/proc/tidemark"] {
        let ended = run(home.path(), &["--port", "0", "--data", folder]);
        assert_rejected(
            &ended,
            &[
                &format!("cannot write the data folder {folder}: "),
                "--data",
                "--memory",
            ],
        );
    }

    assert_eq!(
        listing(home.path()),
        BTreeMap::from([("file".to_owned(), "precious".to_owned())])
    );
}

#[test]
fn folder_of_other_version_is_rejected_unchanged() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("data");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("VERSION"), "99").unwrap();
    std::fs::write(folder.join("dynamodb.sqlite"), "from the future").unwrap();
    let before = listing(&folder);
    assert_rejected(
        &run(home.path(), &["--port", "0", "--data", "data"]),
        &["data was written by version 99 ", "--data"],
    );
    assert_eq!(listing(&folder), before);
}

#[test]
fn invalid_database_is_rejected() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("data");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("VERSION"), "2").unwrap();
    std::fs::write(
        folder.join("dynamodb.sqlite"),
        "no database at all, but long enough to look like one".repeat(100),
    )
    .unwrap();
    assert_rejected(
        &run(home.path(), &["--port", "0", "--data", "data"]),
        &["embedded DynamoDB"],
    );
}

/// Checks for exit code 1 and for one line on stderr that contains all of these texts.
fn assert_rejected(ended: &ExitedProcess, texts: &[&str]) {
    let is_one_line = ended.stderr.starts_with("tidemark: ")
        && ended.stderr.ends_with('\n')
        && ended.stderr.lines().count() == 1;
    let is_clear = is_one_line && texts.iter().all(|texts| ended.stderr.contains(texts));
    assert!(
        ended.code == Some(1) && ended.stdout.is_empty() && is_clear,
        "not {texts:?}: {ended:?}"
    );
}

/// Returns the names and the contents of the files in a folder.
fn listing(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap());
    entries
        .map(|e| {
            (
                e.file_name().into_string().unwrap(),
                std::fs::read_to_string(e.path()).unwrap_or_default(),
            )
        })
        .collect()
}
