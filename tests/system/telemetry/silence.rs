//! No user content is logged: scenarios full of secrets run at the most verbose level of the
//! deployed functions, and no secret is in the log.

mod corruption;
mod day;
mod services;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidemark_tests::{Stack, scenario::meter};
use tracing::level_filters::LevelFilter;

use day::{rejections, run_day};

use super::{CapturedLog, metric_format::assert_valid, subscribe};

/// The secret text in all places that a user can write.
const SECRET_TEXT: &str = "Sesame-Open";
/// The secret number in all places that contain a number.
const SECRET_NUMBER: f64 = 86_753.091_5;
/// The query parameter of a signed URL.
const SIGNATURE: &str = "X-Amz-Signature";
/// The start of every JWT: `{"` and a letter, in base64.
const JWT_START: &str = "eyJ";

/// Returns a payload whose values and names are secret.
fn secret() -> Value {
    json!({"reading": SECRET_NUMBER, "owner": SECRET_TEXT, SECRET_TEXT: {"nested": [SECRET_TEXT]}})
}

/// Asserts that nothing written contains a secret, a signature or a token, also none of `tokens`,
/// and that the metrics are valid.
fn assert_silent(written: &CapturedLog, tokens: &[&str]) {
    let text = written.text();
    for secret in [
        SECRET_TEXT,
        &SECRET_NUMBER.to_string(),
        SIGNATURE,
        JWT_START,
    ]
    .iter()
    .chain(tokens)
    {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret:?} is in the logs");
    }
    written.metrics().iter().for_each(assert_valid);
}

/// Returns the texts of a field in the log lines that have it.
fn values_of(written: &CapturedLog, field: &str) -> BTreeSet<String> {
    written
        .logs()
        .iter()
        .filter_map(|line| Some(line[field].as_str()?.to_owned()))
        .collect()
}

#[tokio::test]
async fn day_leaves_no_secrets_in_logs() {
    let (written, _guard) = CapturedLog::at(LevelFilter::TRACE);
    let stack = Stack::new();
    let tokens = run_day(&stack).await;
    rejections(&stack).await;
    assert_silent(
        &written,
        &tokens.iter().map(String::as_str).collect::<Vec<_>>(),
    );

    let functions = values_of(&written, "function");
    let all = [
        "ack",
        "admin",
        "batches",
        "changelog",
        "console",
        "notify",
        "presign",
        "pull",
        "push",
        "resolve",
    ];
    assert_eq!(functions, BTreeSet::from(all.map(ToOwned::to_owned)));
}

/// The level applies to the crates of the workspace. Other crates log warnings and errors, except
/// for targets that log the content of an event.
#[test]
fn level_applies_to_own_crates() {
    for (level, ours) in [
        (LevelFilter::TRACE, 5),
        (LevelFilter::INFO, 3),
        (LevelFilter::ERROR, 1),
    ] {
        let (written, _guard) = CapturedLog::at(level);
        macro_rules! emit {
            ($target:literal) => {
                tracing::error!(target: $target, "logged");
                tracing::warn!(target: $target, "logged");
                tracing::info!(target: $target, "logged");
                tracing::debug!(target: $target, "logged");
                tracing::trace!(target: $target, "logged");
            };
        }

        emit!("tidemark_push::repeat");
        emit!("aws_smithy_runtime::client::orchestrator");
        emit!("hyper_util::client");
        emit!("lambda_runtime::layers::api_response");
        let lines_of = |target| {
            written
                .logs()
                .iter()
                .filter(|line| line["target"] == target)
                .count()
        };

        let targets = [
            "tidemark_push::repeat",
            "aws_smithy_runtime::client::orchestrator",
            "hyper_util::client",
        ];
        assert_eq!(targets.map(lines_of), [ours, 2, 2]);
        assert_eq!(lines_of("lambda_runtime::layers::api_response"), 0);
    }
}

/// Checks that the filter matters: without it, a push and a pull log the secret.
#[tokio::test]
async fn secrets_are_logged_without_the_filter() {
    let written = CapturedLog::default();
    let everything = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(written.writer())
        .finish();
    let guard = subscribe(everything);
    let stack = Stack::new();
    stack
        .device("ana", "phone")
        .push_one(meter("create", "m-1", 0, secret()))
        .await;
    stack.device("ana", "tablet").pull().await;
    drop(guard);
    assert!(written.text().contains(SECRET_TEXT));
}
