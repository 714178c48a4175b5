//! Metrics of failures: dead-lettered records, outages and rejected requests count separately.

use std::sync::Arc;

use serde_json::json;
use tidemark::engine::{
    Reply,
    http::{CallFate, NoHook},
};
use tidemark_tests::{Item, Script, Stack, scenario::meter, stack::stream_event};
use tracing::level_filters::LevelFilter;

use super::{CapturedLog, assert_measured, pushed};
use crate::telemetry::Responder;

/// A record that cannot be decoded is dead-lettered, and a record that the tables reject is
/// reported in `batchItemFailures`.
#[tokio::test]
async fn dead_lettered_and_failed_records_count_separately() {
    let stack = Stack::new();
    stack
        .device("ana", "phone")
        .push_one(meter("create", "m-1", 0, json!({})))
        .await;
    let mut records = stack.stream_records();
    records.push(json!({"eventName": "MODIFY"}));

    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    let failing = Responder::puts(Reply::error(400, "ValidationException", "no"));
    let changelog = stack.consumer("changelog", failing);
    changelog.sequence(stream_event(&records)).await;
    assert_measured(
        &written,
        "changelog",
        &[("DeadLetteredRecords", 1), ("Outages", 1)],
    );

    let changelog = stack.consumer("changelog", Arc::new(NoHook));
    changelog.sequence(stream_event(&records)).await;
    assert_measured(
        &written,
        "changelog",
        &[
            ("DeadLetteredRecords", 1),
            ("SequencedChanges", 1),
            ("LogHeadAge", 0),
        ],
    );
}

/// The push succeeds and its device retries the item, but an operator must see the failure, because
/// a permission may be missing.
#[tokio::test]
async fn failed_item_counts_as_outage() {
    let stack = Stack::new();
    let presigned = stack
        .post(
            "media/presign",
            &stack.token("acme", "ana", &[], &[]),
            &json!({"filename": "a.jpg", "content_type": "image/jpeg", "content_length": 1}),
        )
        .await
        .ok();

    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    let forbidden = Script::new(|_, operation, _, _| match operation {
        "HeadObject" => CallFate::Reply(Reply {
            status: 403,
            body: Vec::new(),
        }),
        _ => CallFate::Continue,
    });

    let payload = json!({"form_id": "f", "data": {}, "media": [presigned["key"]]});
    let item = Item::create_as("submission", "t", payload);
    let result = stack
        .beside(Arc::new(forbidden))
        .device("ana", "phone")
        .push_one(item)
        .await;
    assert_eq!(
        (&result["code"], &result["retryable"]),
        (&json!("unavailable"), &json!(true))
    );

    assert_measured(
        &written,
        "push",
        &[pushed(0, 0, 1, 1), vec![("Outages", 1)]].concat(),
    );
}

#[tokio::test]
async fn outages_and_rejections_count_separately() {
    let stack = Stack::new();
    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    stack.post_bytes("sync/push", None, b"{}").await;
    assert_measured(&written, "push", &[("Rejections", 1)]);
    stack
        .post_bytes(
            "sync/push",
            Some(&stack.token("acme", "ana", &[], &[])),
            b"{}",
        )
        .await;
    assert_measured(&written, "push", &[("Rejections", 1)]);

    let down = stack.beside(Responder::all(Reply::error(
        400,
        "ValidationException",
        "no",
    )));
    assert_eq!(
        down.device("ana", "phone")
            .send(&json!([meter("create", "m-1", 0, json!({}))]))
            .await
            .status,
        503
    );
    assert_measured(&written, "push", &[("Outages", 1)]);
}
