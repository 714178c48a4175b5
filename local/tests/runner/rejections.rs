//! What the runner does not start with: an exit code for the script, one clear line for the person,
//! and nothing touched.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;

use crate::process::{ExitedProcess, Runner, run};

#[test]
fn a_port_in_use_is_named_and_the_folder_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let ended = run(home.path(), &["--port", &port, "--data", "data"]);
    assert_rejected(
        &ended,
        &[&format!("port {port} "), "already in use", "--port"],
    );
    assert_eq!(listing(home.path()).len(), 0);
}

#[test]
fn starting_a_second_time_on_the_same_port_and_folder_names_the_port() {
    let home = tempfile::tempdir().unwrap();
    let first = Runner::on(&home.path().join("data"));
    let port = first.addr.port().to_string();
    assert_rejected(
        &run(home.path(), &["--port", &port, "--data", "data"]),
        &[&format!("port {port} ")],
    );
    assert_eq!(
        first.client().send("GET /health", &[], b"").unwrap().status,
        200
    );
}

#[test]
fn a_folder_in_use_by_another_runner_is_refused_and_the_other_goes_on() {
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
fn a_folder_that_cannot_be_written_is_refused() {
    let home = tempfile::tempdir().unwrap();
    // A folder without permissions would not stop root.
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
fn a_folder_of_another_version_is_refused_and_left_alone() {
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
fn a_database_that_is_none_is_refused() {
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

#[test]
fn arguments_that_make_no_sense_are_exit_code_2() {
    let home = tempfile::tempdir().unwrap();
    let cases: [&[&str]; 8] = [
        &["--unknown"],
        &["unknown"],
        &["--port", "99999"],
        &["--port", "many"],
        &["--memory", "--data", "data"],
        &["--api", "soap"],
        &["token", "--tenant", "acme"],
        &["--memory", "token", "--tenant", "acme", "--user", "ana"],
    ];
    for arguments in cases {
        let ended = run(home.path(), arguments);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}: {ended:?}"
        );
        assert!(
            ended.stderr.starts_with("error: "),
            "{arguments:?}: {ended:?}"
        );
    }
    assert_eq!(listing(home.path()).len(), 0);
}

/// Exit code 1, and one line on stderr that says all of this.
fn assert_rejected(ended: &ExitedProcess, words: &[&str]) {
    let is_one_line = ended.stderr.starts_with("tidemark: ")
        && ended.stderr.ends_with('\n')
        && ended.stderr.lines().count() == 1;
    let is_clear = is_one_line && words.iter().all(|words| ended.stderr.contains(words));
    assert!(
        ended.code == Some(1) && ended.stdout.is_empty() && is_clear,
        "not {words:?}: {ended:?}"
    );
}

/// What stands in a folder, and what it says.
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
