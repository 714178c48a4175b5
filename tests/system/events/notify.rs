//! Samples of batches of the stream of `conflicts`: whom `notify` tells of what.

use std::sync::Arc;

use lambda_http::{Context as LambdaContext, LambdaEvent};
use serde_json::{Value, json};
use tidemark::engine::http::NoHook;
use tidemark_aws::stream::StreamEvent;
use tidemark_tests::Stack;

use super::{function_of, missing_fields, samples};

/// What a sample leaves behind.
pub(super) struct NotifyExpectation {
    pub(super) sample: &'static str,
    /// The messages.
    told: &'static [&'static str],
    /// Of each record that was set aside, a word of the reason.
    dead_letter: &'static [&'static str],
}

const DECIDED: &str = r#"{"event":"conflict_resolved","conflict_id":"conf-stKvxHfZUx6oxISv0sb6ny0tsu8i3ymq-863b583dd2a52909","tenant":"acme","user":"ana","device_id":"device-uuid-123","channel":"tenant","resource_type":"meter","resource_id":"m-123","resolution":"accept_client","resolved_by":"root","resolved_at":"2025-12-22T12:35:00.123Z","server_version":8}"#;

pub(super) const EXPECTED: &[NotifyExpectation] = &[
    NotifyExpectation {
        sample: "notify.decided",
        told: &[DECIDED],
        dead_letter: &[],
    },
    NotifyExpectation {
        sample: "notify.unreadable-record",
        told: &[DECIDED],
        dead_letter: &["resolution"],
    },
];

#[tokio::test]
async fn every_batch_is_told_as_expected() {
    each_batch(async |stack, text| {
        let event = LambdaEvent::new(
            serde_json::from_str::<StreamEvent>(text).unwrap(),
            LambdaContext::default(),
        );
        let response = tidemark_notify::handle(&stack.context("notify", Arc::new(NoHook)), event)
            .await
            .unwrap();
        response
            .batch_item_failures
            .into_iter()
            .map(|failure| failure.item_identifier)
            .collect()
    })
    .await;
}

/// Has each batch told by `run`, which gives the sequence numbers from which the stream should
/// deliver again.
pub(crate) async fn each_batch(run: impl AsyncFn(&Stack, &str) -> Vec<Option<String>>) {
    let samples = samples();
    for expected in EXPECTED {
        let (stack, name) = (Stack::new(), expected.sample);
        assert_eq!(
            run(&stack, &samples[name]).await,
            [],
            "{name}: no record is to be delivered again"
        );
        let told = stack.topic.published();
        assert_eq!(
            told.iter()
                .map(|published| published.message.as_str())
                .collect::<Vec<_>>(),
            expected.told,
            "{name}"
        );
        let aside = stack.dead_letter().await;
        assert_eq!(aside.len(), expected.dead_letter.len(), "{name}");
        for (object, word) in aside.values().zip(expected.dead_letter) {
            assert!(
                object["reason"].as_str().unwrap().contains(word),
                "{name}: {object}"
            );
        }
    }
}

/// A conflict that was really decided, as its stream records show it: the samples' rows have the
/// same columns, but for the one that is to be unreadable.
#[tokio::test]
async fn samples_have_every_field_of_a_real_record() {
    let stack = Stack::new();
    let edit = |action: &str, version: u64, reading: u64| {
        json!({"resource_type": "meter", "action": action, "client_version": version, "base_version": version,
            "payload": {"id": "m-1", "reading": reading}})
    };
    let office = stack.device("office", "pc");
    office
        .push(json!([edit("create", 0, 44), edit("update", 1, 50)]))
        .await;
    let result = stack
        .device("ana", "phone")
        .push_one(edit("update", 1, 42))
        .await;
    let path = format!(
        "conflicts/{}/resolve",
        result["conflict_id"].as_str().unwrap()
    );
    let admin = stack.token("acme", "root", &["admin"], &[]);
    stack
        .post(&path, &admin, &json!({"resolution": "accept_server"}))
        .await
        .ok();
    // Without the rows that only count, or hold what a conflict refers to.
    let mut real = stack.stream_records_of("conflicts");
    real.retain(|record| !record["dynamodb"]["NewImage"]["status"].is_null());
    let [open, decided] = real.as_slice() else {
        panic!("{real:?}")
    };
    for (sample, text) in samples()
        .iter()
        .filter(|(sample, _)| function_of(sample) == "notify")
    {
        let event: Value = serde_json::from_str(text).unwrap();
        for record in event["Records"].as_array().unwrap() {
            let real = if record["dynamodb"]["NewImage"]["status"]["S"] == "open" {
                open
            } else {
                decided
            };
            let mut missing = missing_fields(real, record, "");
            let is_unreadable = sample == "notify.unreadable-record";
            missing.retain(|field| {
                !is_unreadable || field != "dynamodb.NewImage.outcome.M.resolution"
            });
            assert_eq!(missing, [""; 0], "{sample}: {}", record["eventID"]);
            let extra = missing_fields(
                &record["dynamodb"]["NewImage"],
                &real["dynamodb"]["NewImage"],
                "",
            );
            assert!(extra.is_empty() || is_unreadable, "{sample}: {extra:?}");
        }
    }
}
