//! The command `demo`: the data that it adds, as the API returns it, and repeated runs.

mod contents;

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::client::ApiResponse;
use crate::process::{ExitedProcess, Runner, run};
use crate::raw::in_memory;

/// Tables whose rows the demo data consists of.
const TABLES: [&str; 9] = [
    "audit_log",
    "changes",
    "conflicts",
    "devices",
    "resources",
    "submission_media",
    "sync_batches",
    "sync_items",
    "unique_keys",
];

/// Returns the output of a run against this address, which succeeds.
fn demo(url: &str, arguments: &[&str]) -> String {
    let ended = try_demo(url, arguments);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), ""),
        "{ended:?}"
    );
    ended.stdout
}

fn try_demo(url: &str, arguments: &[&str]) -> ExitedProcess {
    run(
        &std::env::temp_dir(),
        &[&["demo", "--url", url], arguments].concat(),
    )
}

/// Returns the address of a runner as a URL.
fn url(runner: &Runner) -> String {
    format!("http://{}", runner.addr)
}

/// Returns a token of the tenant `acme` with these further arguments.
fn token(user: &str, arguments: &[&str]) -> String {
    let claims = ["token", "--tenant", "acme", "--user", user];
    let ended = run(&std::env::temp_dir(), &[&claims, arguments].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout.trim_end().to_owned()
}

fn root() -> String {
    token("root", &["--role", "admin"])
}

/// Requests a route below `/api/v1/mobile/`.
fn get(runner: &Runner, route: &str, token: &str) -> ApiResponse {
    let authorization = format!("Bearer {token}");
    let response = runner
        .client()
        .send(
            &format!("GET /api/v1/mobile/{route}"),
            &[("authorization", &authorization)],
            b"",
        )
        .unwrap();
    assert_eq!(response.status, 200, "{route}: {response:?}");
    response
}

/// Returns the rows of these tables.
fn rows(runner: &Runner, tables: &[&str]) -> Vec<Vec<Value>> {
    let mut client = runner.client();
    tables.iter().map(|table| client.scan(table)).collect()
}

#[test]
fn second_run_changes_no_row() {
    let (_home, runner) = in_memory(&[]);
    let first = demo(&url(&runner), &[]);
    let before = rows(&runner, &TABLES);
    for text in [
        "adding conflicts of every kind",
        "The demo data is complete.",
        &format!("Open {}/console", url(&runner)),
        "tenant acme, user root, role admin",
    ] {
        assert!(first.contains(text), "not {text:?}: {first}");
    }

    let second = demo(&format!("{}/", url(&runner)), &[]);
    assert!(
        second.contains("contains the demo data already"),
        "{second}"
    );
    assert!(!second.contains("adding"), "{second}");
    assert!(rows(&runner, &TABLES) == before, "the second run wrote");

    let other = demo(&url(&runner), &["--tenant", "it's another"]);
    assert!(other.contains(r"--tenant 'it'\''s another'"), "{other}");
    let tables = ["resources", "conflicts"];
    let both = rows(&runner, &tables)
        .iter()
        .map(Vec::len)
        .collect::<Vec<_>>();
    assert_eq!(both, [before[4].len() * 2, before[2].len() * 2]);
}

/// Removes the row that marks a tenant that is filled, as if the last step had not run.
#[test]
fn interrupted_run_is_continued() {
    const SAME: [&str; 5] = [
        "conflicts",
        "resources",
        "submission_media",
        "sync_items",
        "unique_keys",
    ];
    let (_home, runner) = in_memory(&[]);
    demo(&url(&runner), &[]);
    let before = rows(&runner, &SAME);

    let devices = runner.client().scan("devices");
    let marker = devices
        .iter()
        .find(|row| row.to_string().contains("demo-desk"))
        .unwrap();
    let delete = json!({
        "TableName": "devices", "Key": { "pk": marker["pk"], "sk": marker["sk"] },
    });
    let target = [("x-amz-target", "DynamoDB_20120810.DeleteItem")];
    let deleted = runner
        .client()
        .send("POST /", &target, delete.to_string().as_bytes());
    assert_eq!(deleted.unwrap().status, 200);

    let continued = demo(&url(&runner), &[]);
    assert!(
        continued.contains("The demo data is complete."),
        "{continued}"
    );
    assert!(rows(&runner, &SAME) == before, "the data was added twice");
    assert_eq!(runner.client().scan("devices").len(), devices.len());
    assert!(contents::is_behind(&runner, "tablet-17"));
}

#[test]
fn missing_runner_is_reported() {
    // The port is free once the listener is dropped.
    let addr = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap();
    let ended = try_demo(&format!("http://{addr}"), &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert_eq!(
        ended.stderr,
        format!(
            "tidemark: no local runner answers at http://{addr}: start one with `cargo run` in another terminal, then repeat this command\n"
        )
    );
}
