//! A panic in a release binary logs one line with its location and without its message. Outside
//! Lambda, the runtime panics because its environment variables are missing, after the function has
//! started.

use std::process::Command;

use serde_json::{Value, json};

#[test]
fn panic_logs_only_its_location() {
    let tables = [
        "RESOURCES",
        "CHANGES",
        "SYNC_BATCHES",
        "SYNC_ITEMS",
        "CONFLICTS",
        "SUBMISSION_MEDIA",
        "DEVICES",
        "UNIQUE_KEYS",
        "AUDIT_LOG",
    ];

    let output = Command::new(env!("CARGO_BIN_EXE_presign"))
        .env_clear()
        .envs(tables.map(|table| (format!("{table}_TABLE"), "table")))
        .envs([
            ("MEDIA_BUCKET", "media"),
            ("JWT_ISSUER", "issuer"),
            ("JWT_AUDIENCE", "audience"),
            ("JWKS", r#"{"keys": []}"#),
            ("MEDIA_SECRET", "a-secret-of-more-than-thirty-two-bytes"),
        ])
        .envs([
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("RUST_LOG", "trace"),
        ])
        .output()
        .expect("binary can be executed");

    assert!(!output.status.success());
    let written = String::from_utf8_lossy(&output.stdout);
    let line: Value =
        serde_json::from_str(&written).unwrap_or_else(|error| panic!("{error}: {written:?}"));
    assert_eq!(
        [&line["level"], &line["message"]],
        [&json!("ERROR"), &json!("panicked")]
    );
    assert!(
        line["location"]
            .as_str()
            .is_some_and(|at| at.contains("lambda_runtime") && at.contains(".rs:")),
        "{line}"
    );
    assert!(
        !written.contains("AWS_LAMBDA") && output.stderr.is_empty(),
        "the panic message was written: {output:?}"
    );
}
