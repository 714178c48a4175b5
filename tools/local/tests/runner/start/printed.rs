//! The token and the environment that the runner prints.

use std::collections::BTreeMap;

use serde_json::json;

use crate::process::{Runner, run};

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
