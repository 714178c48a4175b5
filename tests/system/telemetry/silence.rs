//! No user content is logged: scenarios full of secrets run at the most verbose level of the
//! deployed functions, and no secret is in the log.

mod corruption;
mod day;
mod services;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidemark_tests::{Stack, scenario::meter};
use tracing::level_filters::LevelFilter;

use day::{day, rejections};

use super::{CapturedLog, metric_format::assert_valid, subscribe};

/// The secret text in all places that a user can write.
const WORD: &str = "Sesame-Open";
/// The secret number in all places that contain a number.
const NUMBER: f64 = 86_753.091_5;

/// Returns a payload whose values and names are secret.
fn secret() -> Value {
    json!({"reading": NUMBER, "owner": WORD, WORD: {"nested": [WORD]}})
}

fn assert_silent(written: &CapturedLog, tokens: &[&str]) {
    let text = written.text();
    for secret in [WORD, &NUMBER.to_string(), "X-Amz-Signature", "eyJ"]
        .iter()
        .chain(tokens)
    {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret:?} is in the logs");
    }
    written.metrics().iter().for_each(assert_valid);
}

/// Returns the functions that logged something, and their messages.
fn logged(written: &CapturedLog) -> (BTreeSet<String>, BTreeSet<String>) {
    let texts = |name: &str| {
        written
            .logs()
            .iter()
            .filter_map(|line| Some(line[name].as_str()?.to_owned()))
            .collect()
    };
    (texts("function"), texts("message"))
}

/// Returns the details of the logged failures.
fn details(written: &CapturedLog) -> BTreeSet<String> {
    written
        .logs()
        .iter()
        .filter_map(|line| Some(line["detail"].as_str()?.to_owned()))
        .collect()
}

#[tokio::test]
async fn day_leaves_no_secrets_in_logs() {
    let (written, _guard) = CapturedLog::at(LevelFilter::TRACE);
    let stack = Stack::new();
    let tokens = day(&stack).await;
    rejections(&stack).await;
    assert_silent(
        &written,
        &tokens.iter().map(String::as_str).collect::<Vec<_>>(),
    );

    let (functions, _) = logged(&written);
    let all = [
        "ack",
        "admin",
        "batches",
        "changelog",
        "notify",
        "presign",
        "pull",
        "push",
        "resolve",
    ];
    assert_eq!(functions, BTreeSet::from(all.map(ToOwned::to_owned)));
}

/// The level applies to the crates of the workspace. Other crates log warnings and errors, except
/// for targets that quote an event.
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

/// The scenarios above would find a secret: without the filter, the SDK alone logs whole responses.
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
    assert!(written.text().contains(WORD));
}
