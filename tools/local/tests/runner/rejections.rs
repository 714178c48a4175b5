//! Conditions under which the runner does not start or prints no token. Each results in an exit
//! code, a clear message on stderr, and unchanged files.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;

use crate::process::{ExitedProcess, Runner, run};
use crate::raw::in_memory;

#[test]
fn port_in_use_is_named_folder_untouched() {
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
fn second_start_names_port_before_folder() {
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

#[test]
fn invalid_arguments_return_exit_code_2() {
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
        assert_invalid_arguments(home.path(), arguments);
    }

    assert_eq!(listing(home.path()).len(), 0);
}

#[test]
fn tokens_beyond_limits_are_not_printed() {
    let home = tempfile::tempdir().unwrap();
    let (long, most) = ("x".repeat(257), "\u{e9}".repeat(128));
    let many = ["--channel", "c"].repeat(101);

    for claims in [
        &["--tenant", "", "--user", "ana"][..],
        &["--tenant", "acme", "--user", ""],
        &["--tenant", &long, "--user", "ana"],
        &["--tenant", "acme", "--user", &long],
        &["--tenant=", "--user=ana"],
    ] {
        assert_invalid_arguments(home.path(), &[&["token"], claims].concat());
    }

    for claims in [
        &["--channel", ""][..],
        &["--channel", "north", "--channel", &long],
        &["--role", ""],
        &["--role", &long],
        &many,
    ] {
        let ana = ["token", "--tenant", "acme", "--user", "ana"];
        assert_invalid_arguments(home.path(), &[&ana, claims].concat());
    }

    for origin in ["*", "app.example"] {
        let arguments = ["--memory", "--allowed-origins", origin];
        assert_invalid_arguments(home.path(), &arguments);
    }

    let claims = ["--tenant", "--user", "--channel", "--role"].map(|claim| [claim, &most]);
    assert_usable_token(&run(
        home.path(),
        &[&["token"], claims.as_flattened()].concat(),
    ));
}

/// Checks that one line was printed, and that a runner accepts it as a token.
fn assert_usable_token(ended: &ExitedProcess) {
    assert_eq!(
        (ended.code, ended.stdout.lines().count()),
        (Some(0), 1),
        "{ended:?}"
    );

    let (_home, runner) = in_memory(&[]);
    assert_eq!(
        runner
            .client()
            .post("sync/pull", ended.stdout.trim_end(), "{}")
            .unwrap()
            .status,
        200
    );
}

/// Checks that the arguments are rejected as such and that nothing is printed on stdout.
fn assert_invalid_arguments(home: &Path, arguments: &[&str]) {
    let ended = run(home, arguments);
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
