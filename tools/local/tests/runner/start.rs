//! Starting, stopping and restarting: fast, clean, and with the same data or none.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::process::{Runner, one_at_a_time, run, start_and_kill, token};

const START_MAX: Duration = Duration::from_secs(1);

#[test]
fn clean_start_takes_under_a_second() {
    let _alone = one_at_a_time();
    let home = tempfile::tempdir().unwrap();
    let starts = ["a", "b", "c"].map(|folder| {
        let began = Instant::now();
        let runner = Runner::on(&home.path().join(folder));
        assert_eq!(
            runner
                .client()
                .send("GET /health", &[], b"")
                .unwrap()
                .status,
            200
        );
        began.elapsed()
    });

    // Only the fastest start counts, because the machine may be busy with other work.
    assert!(*starts.iter().min().unwrap() < START_MAX, "{starts:?}");
}

#[test]
fn printed_token_is_accepted_by_every_runner() {
    let home = tempfile::tempdir().unwrap();
    let arguments = [
        "token",
        "--tenant",
        "acme",
        "--user",
        "ana",
        "--role",
        "admin",
        "--channel",
        "north",
    ];

    let printed = run(home.path(), &arguments);
    assert_eq!(
        (
            printed.code,
            printed.stdout.lines().count(),
            printed.stderr.as_str()
        ),
        (Some(0), 1, ""),
        "{printed:?}"
    );

    let token = printed.stdout.trim_end();
    assert_eq!(token.split('.').count(), 3, "{printed:?}");
    for arguments in [
        &["--memory"][..],
        &["--memory", "--api", "http"],
        &["--api", "rest"],
        &["--data", "d", "--api", "http"],
    ] {
        let runner = Runner::start(home.path(), arguments);
        let response = runner
            .client()
            .post("sync/pull", token, r#"{"since_token":null}"#)
            .unwrap();
        assert_eq!(
            (response.status, &response.json()["changes"]),
            (200, &json!([])),
            "{arguments:?}: {response:?}"
        );
    }
}

/// Verifies the format that `cargo lambda watch --env-file` reads: each line is a name and a value
/// in quotes.
#[test]
fn printed_environment_configures_function_binaries() {
    let home = tempfile::tempdir().unwrap();
    let printed = run(home.path(), &["env", "--port", "1234"]);
    assert_eq!(
        (printed.code, printed.stderr.as_str()),
        (Some(0), ""),
        "{printed:?}"
    );

    let variables = printed
        .stdout
        .lines()
        .map(|line| line.strip_suffix('\'').unwrap().split_once("='").unwrap());
    let environment: BTreeMap<_, _> = variables.collect();

    assert_eq!(
        (
            environment["AWS_ENDPOINT_URL"],
            environment["RESOURCES_TABLE"]
        ),
        ("http://127.0.0.1:1234", "resources")
    );
    assert!(
        !environment.contains_key("NOTIFICATION_TOPIC"),
        "there is no SNS: {printed:?}"
    );

    let settings = tidemark_aws::Settings::from_env(&|name| {
        environment.get(name).map(|value| (*value).to_owned())
    })
    .unwrap();
    assert_eq!(
        (
            settings.media.bucket.as_str(),
            settings.failure_bucket.as_deref()
        ),
        ("media", Some("failure"))
    );
}

#[test]
fn memory_mode_keeps_no_data() {
    let home = tempfile::tempdir().unwrap();
    let token = token("ana");
    for _ in 0..2 {
        let runner = Runner::start(home.path(), &["--memory"]);
        assert_eq!(pulled(&runner, &token), [""; 0]);
        create(&runner, &token, "m-1");
        assert_eq!(pulled(&runner, &token), ["m-1"]);
        assert_eq!(runner.stop("INT").code, Some(0));
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn default_data_folder_is_in_working_directory() {
    let home = tempfile::tempdir().unwrap();
    let _runner = Runner::start(home.path(), &[]);
    let entries: Vec<_> = std::fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(entries, [".tidemark"]);
}

#[test]
fn signals_stop_cleanly_and_data_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let (folder, token) = (home.path().join("data"), token("ana"));
    let mut made = Vec::new();
    for (signal, id) in [("INT", "m-1"), ("TERM", "m-2"), ("INT", "m-3")] {
        let runner = Runner::on(&folder);
        assert_eq!(pulled(&runner, &token), made);
        // A device that keeps its connection open must not delay the stop.
        let _idle = runner.client();
        create(&runner, &token, id);
        made.push(id.to_owned());

        let ended = runner.stop(signal);
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{signal}: {ended:?}"
        );
        assert!(ended.stdout.ends_with("stopping\n"), "{ended:?}");
    }
}

#[test]
fn killed_first_start_does_not_block_next() {
    let home = tempfile::tempdir().unwrap();
    for after_ms in (0..50).step_by(5) {
        let folder = home.path().join(after_ms.to_string());
        start_and_kill(&folder, Duration::from_millis(after_ms));
        assert_eq!(
            Runner::on(&folder).stop("INT").code,
            Some(0),
            "killed after {after_ms} ms"
        );
    }
}

#[test]
fn unfinished_request_does_not_prevent_stop() {
    let home = tempfile::tempdir().unwrap();
    let runner = Runner::start(home.path(), &["--memory"]);
    let mut stuck = TcpStream::connect(runner.addr).unwrap();
    stuck.write_all(b"POST /api/v1/mobile/sync/push HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{").unwrap();

    // This later response proves that the runner has accepted the stuck connection.
    assert_eq!(
        runner
            .client()
            .send("GET /health", &[], b"")
            .unwrap()
            .status,
        200
    );
    assert_eq!(runner.stop("INT").code, Some(0));
}

fn create(runner: &Runner, token: &str, id: &str) {
    let item = json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": id}});
    let push = json!({"device_id": "phone", "client_sync_token": null, "items": [item]});
    let response = runner
        .client()
        .post("sync/push", token, &push.to_string())
        .unwrap();
    assert_eq!(
        response.json()["results"][0]["status"],
        "ok",
        "{response:?}"
    );
}

fn pulled(runner: &Runner, token: &str) -> Vec<String> {
    let response = runner
        .client()
        .post("sync/pull", token, r#"{"since_token":null}"#)
        .unwrap();
    let changes = response.json()["changes"].as_array().unwrap().clone();
    changes
        .iter()
        .map(|change| change["id"].as_str().unwrap().to_owned())
        .collect()
}
