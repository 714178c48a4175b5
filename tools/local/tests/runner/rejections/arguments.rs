//! Invalid arguments, and tokens that are not printed.

use std::path::Path;

use crate::process::{ExitedProcess, run};
use crate::raw::in_memory;

use super::listing;

#[test]
fn invalid_arguments_return_exit_code_2() {
    let home = tempfile::tempdir().unwrap();
    let cases: [&[&str]; 11] = [
        &["--unknown"],
        &["unknown"],
        &["--port", "99999"],
        &["--port", "many"],
        &["--memory", "--data", "data"],
        &["--api", "soap"],
        &["token", "--tenant", "acme"],
        &["demo", "--tenant", ""],
        &["demo", "--url", "https://127.0.0.1:9080"],
        &["demo", "--url", "127.0.0.1:9080"],
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
