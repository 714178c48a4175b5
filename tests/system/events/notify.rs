//! Samples of batches from the stream of `conflicts`: the messages that `notify` publishes.

use std::sync::Arc;

use lambda_http::{Context as LambdaContext, LambdaEvent};
use serde_json::{Value, json};
use tidemark::engine::http::NoHook;
use tidemark_aws::stream::StreamEvent;
use tidemark_tests::{
    Stack,
    scenario::{self, meter},
};

use super::{function_of, missing_fields, samples};

/// The expected effects of a sample.
pub(super) struct NotifyExpectation {
    pub(super) sample: &'static str,
    /// The published messages, in order.
    messages: &'static [&'static str],
    /// A word of the reason for each dead-lettered record.
    dead_letter: &'static [&'static str],
}

const RESOLVED: &str = r#"{"event":"conflict_resolved","conflict_id":"conf-stKvxHfZUx6oxISv0sb6ny0tsu8i3ymq-863b583dd2a52909","tenant":"acme","user":"ana","device_id":"device-uuid-123","channel":"tenant","resource_type":"meter","resource_id":"m-123","resolution":"accept_client","resolved_by":"root","resolved_at":"2025-12-22T12:35:00.123Z","server_version":8}"#;

pub(super) const EXPECTED: &[NotifyExpectation] = &[
    NotifyExpectation {
        sample: "notify.decided",
        messages: &[RESOLVED],
        dead_letter: &[],
    },
    NotifyExpectation {
        sample: "notify.unreadable-record",
        messages: &[RESOLVED],
        dead_letter: &["resolution"],
    },
];

#[tokio::test]
async fn every_batch_publishes_the_expected_messages() {
    each_batch(async |stack, text| {
        let event = LambdaEvent::new(
            serde_json::from_str::<StreamEvent>(text).unwrap(),
            LambdaContext::default(),
        );

        let notify = stack.consumer("notify", Arc::new(NoHook));
        let response = notify.notify(event).await;
        response
            .batch_item_failures
            .into_iter()
            .map(|failure| failure.item_identifier)
            .collect()
    })
    .await;
}

/// Processes each batch with `run`, which returns the sequence numbers to retry from, and checks
/// the messages.
pub(crate) async fn each_batch(run: impl AsyncFn(&Stack, &str) -> Vec<Option<String>>) {
    let samples = samples();
    for expected in EXPECTED {
        let (stack, name) = (Stack::new(), expected.sample);
        assert_eq!(
            run(&stack, &samples[name]).await,
            [],
            "{name}: no record is retried"
        );

        let messages = stack.topic.published();
        assert_eq!(
            messages
                .iter()
                .map(|published| published.message.as_str())
                .collect::<Vec<_>>(),
            expected.messages,
            "{name}"
        );

        let dead_letters = stack.dead_letters().await;
        assert_eq!(dead_letters.len(), expected.dead_letter.len(), "{name}");
        for (object, word) in dead_letters.values().zip(expected.dead_letter) {
            assert!(
                object["reason"].as_str().unwrap().contains(word),
                "{name}: {object}"
            );
        }
    }
}

/// Creates a conflict and resolves it. Returns the stream records of the conflict: open and
/// resolved.
async fn conflict_records(stack: &Stack) -> [Value; 2] {
    let edit = |action: &str, version: u64, reading: u64| {
        meter(action, "m-1", version, json!({"reading": reading}))
    };

    let office = stack.device("office", "pc");
    office
        .push(json!([edit("create", 0, 44), edit("update", 1, 50)]))
        .await;
    let result = stack
        .device("ana", "phone")
        .push_one(edit("update", 1, 42))
        .await;
    let decision = json!({"resolution": "accept_server"});
    let response = scenario::resolve(stack, &result["conflict_id"], &decision).await;
    response.ok();

    // Only conflicts: no counters, and no rows with data to which a conflict refers.
    let mut real = stack.stream_records_of("conflicts");
    real.retain(|record| !record["dynamodb"]["NewImage"]["status"].is_null());
    real.try_into().unwrap_or_else(|real| panic!("{real:?}"))
}

/// Checks that the record of a sample has the fields of a real record, except for a field that is
/// meant to be corrupt.
fn assert_has_fields(sample: &str, record: &Value, real: &Value) {
    let is_unreadable = sample == "notify.unreadable-record";
    let mut missing = missing_fields(real, record, "");
    missing.retain(|field| !is_unreadable || field != "dynamodb.NewImage.outcome.M.resolution");
    assert_eq!(missing, [""; 0], "{sample}: {}", record["eventID"]);

    let extra = missing_fields(
        &record["dynamodb"]["NewImage"],
        &real["dynamodb"]["NewImage"],
        "",
    );
    assert!(extra.is_empty() || is_unreadable, "{sample}: {extra:?}");
}

/// Compares the samples with the stream records of a resolved conflict: their rows have the same
/// columns, except for the column that is meant to be corrupt.
#[tokio::test]
async fn samples_have_all_fields_of_real_records() {
    let stack = Stack::new();
    let [open, resolved] = conflict_records(&stack).await;

    for (sample, text) in samples()
        .iter()
        .filter(|(sample, _)| function_of(sample) == "notify")
    {
        let event: Value = serde_json::from_str(text).unwrap();
        for record in event["Records"].as_array().unwrap() {
            let is_open = record["dynamodb"]["NewImage"]["status"]["S"] == "open";
            assert_has_fields(sample, record, if is_open { &open } else { &resolved });
        }
    }
}
