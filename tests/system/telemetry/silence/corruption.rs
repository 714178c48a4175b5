//! Stream records and rows that cannot be decoded, each with a secret in an unexpected place.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tidemark::engine::http::NoHook;
use tidemark_aws::tables::format::pack;
use tidemark_core::model::ids::BatchId;
use tidemark_tests::{
    ApiResponse, Stack,
    scenario::{self, meter},
    stack::stream_event,
};
use tracing::level_filters::LevelFilter;

use super::{
    CapturedLog, SECRET_NUMBER, SECRET_TEXT, assert_silent, day::run_day, secret, values_of,
};

/// Corrupts rows of each table and reads all of them.
async fn corrupt_rows(stack: &Stack) {
    corrupt_lists(stack).await;
    resolve_conflicts(stack).await;
    for id in ["m-1", "m-2"] {
        corrupt_batch(stack, id).await;
    }
    for value in [
        json!({"S": SECRET_TEXT}),
        json!({"M": {SECRET_TEXT: {"S": SECRET_TEXT}}}),
        json!({"L": [{"S": SECRET_TEXT}]}),
    ] {
        corrupt_resources(stack, &value).await;
    }
    pull_snapshot(stack).await.ok();
}

/// Replaces a column in all rows of a table that have it.
fn corrupt(stack: &Stack, table: &str, column: &str, value: &Value) {
    for mut row in stack.rows(table) {
        if row.get(column).is_some() {
            row[column] = value.clone();
            stack.dynamodb("PutItem", &json!({"TableName": table, "Item": row}));
        }
    }
}

/// Returns a packed attribute.
fn packed(value: &Value) -> Value {
    json!({"B": BASE64_STANDARD.encode(pack(value.to_string().as_bytes()))})
}

/// Corrupts the rows that lists return, and reads the lists.
async fn corrupt_lists(stack: &Stack) {
    for (table, column, value) in [
        (
            "sync_batches",
            "results",
            packed(&json!([{"index": SECRET_TEXT}])),
        ),
        (
            "audit_log",
            "packed",
            packed(&json!({"id": "x", "at": "x", "action": SECRET_TEXT})),
        ),
        ("conflicts", "code", json!({"S": SECRET_TEXT})),
        ("devices", "channel:tenant", json!({"S": SECRET_TEXT})),
        (
            "changes",
            "entries",
            packed(&json!([{"id": {SECRET_TEXT: SECRET_NUMBER}}])),
        ),
    ] {
        corrupt(stack, table, column, &value);
    }

    let root = scenario::admin(stack);
    for path in [
        "conflicts",
        "conflicts?status=resolved",
        "audit",
        "devices?user=ana",
    ] {
        stack.get(path, &root).await;
    }
}

/// Reads and resolves each conflict.
async fn resolve_conflicts(stack: &Stack) {
    let root = scenario::admin(stack);
    let decision = json!({"resolution": "accept_client"});
    for row in stack.conflicts() {
        let path = format!("conflicts/{}", row["id"]["S"].as_str().unwrap());
        stack.get(&path, &root).await;
        stack
            .post(&format!("{path}/resolve"), &root, &decision)
            .await;
    }
}

/// Reads, replays and repeats the batch about a meter, and corrupts all raw items.
async fn corrupt_batch(stack: &Stack, meter_id: &str) {
    let root = scenario::admin(stack);
    let name = format!("b-{meter_id}");
    let path = format!(
        "batches/{}",
        BatchId::derived("acme", "ana", "phone", &name)
    );
    stack.get(&path, &root).await;
    stack
        .post(&format!("{path}/replay"), &root, &json!({}))
        .await;
    stack
        .device("ana", "phone")
        .push_batch(&name, &json!([meter("update", meter_id, 1, secret())]))
        .await;

    let items = packed(&json!({"principal": SECRET_TEXT, "items": secret()}));
    corrupt(stack, "sync_items", "packed", &items);
}

/// Replaces columns of all resources by this value, and pushes, pulls and sequences them.
async fn corrupt_resources(stack: &Stack, value: &Value) {
    for name in [
        "server_version",
        "payload",
        "edits",
        "changed_at",
        "resolutions",
        "deleted",
    ] {
        corrupt(stack, "resources", name, value);
    }

    stack
        .device("ana", "phone")
        .push(json!([
            meter("update", "m-1", 1, secret()),
            meter("create", "m-2", 0, secret())
        ]))
        .await;
    pull_snapshot(stack).await;
    stack.settle().await;
}

/// Pulls the first page of a snapshot as a device of Ana's.
async fn pull_snapshot(stack: &Stack) -> ApiResponse {
    let ana = stack.token("acme", "ana", &[], &[]);
    let request = json!({"since_token": null, "device_id": "tablet"});
    stack.post("sync/pull", &ana, &request).await
}

/// Returns stream records that cannot be decoded, each for another reason.
pub(super) async fn poison(stack: &Stack) -> Vec<Value> {
    stack
        .device("ana", "phone")
        .push_one(meter("create", "m-7", 0, secret()))
        .await;
    let good = stack.stream_records().pop().unwrap();

    let with = |path: &str, value: Value| {
        let mut record = good.clone();
        *record.pointer_mut(path).unwrap() = value;
        record
    };

    vec![
        json!(SECRET_TEXT),
        json!({"eventName": [SECRET_TEXT], "dynamodb": SECRET_TEXT}),
        with("/eventName", json!({"a": SECRET_TEXT})),
        with("/dynamodb/SequenceNumber", json!(SECRET_TEXT)),
        with(
            "/dynamodb/NewImage/server_version",
            json!({"S": SECRET_TEXT}),
        ),
        with(
            "/dynamodb/NewImage/payload",
            json!({"M": {SECRET_TEXT: {"S": SECRET_TEXT}}}),
        ),
        with("/dynamodb/NewImage/edits", json!({"S": SECRET_TEXT})),
    ]
}

#[tokio::test]
async fn undecodable_content_is_not_quoted() {
    let (written, _guard) = CapturedLog::at(LevelFilter::TRACE);
    let stack = Stack::new();
    let mut follower = stack.device("ben", "tablet");
    follower.pull().await;
    run_day(&stack).await;

    let records = poison(&stack).await;
    let (changelog, notify) = (
        stack.consumer("changelog", Arc::new(NoHook)),
        stack.consumer("notify", Arc::new(NoHook)),
    );
    changelog.sequence(stream_event(&records)).await;
    notify.notify(stream_event(&records)).await;
    corrupt_rows(&stack).await;

    let body = json!({"since_token": follower.since(), "device_id": "tablet"});
    assert_eq!(
        stack.post("sync/pull", &follower.token, &body).await.status,
        503
    );
    assert_silent(&written, &[]);

    let messages = values_of(&written, "message");
    for message in [
        "stream record dead-lettered",
        "stored resource cannot be decoded",
        "stored conflict cannot be decoded",
        "audit entry cannot be decoded",
        "stored item cannot be decoded",
    ] {
        assert!(messages.contains(message), "{message}: {messages:#?}");
    }

    let details = values_of(&written, "detail");
    for what in [
        "raw items",
        "batch results",
        "conflict",
        "device",
        "segment",
    ] {
        assert!(
            details
                .iter()
                .any(|detail| detail.starts_with(&format!("cannot decode {what}: "))),
            "{what}: {details:#?}"
        );
    }
}
