//! Metrics of corrupt rows: rows that cannot be decoded count separately from outages.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::{Reply, http::NoHook};
use tidemark_tests::{
    Stack, noise,
    scenario::{self, meter},
    stack::stream_event,
};
use tracing::level_filters::LevelFilter;

use super::{CapturedLog, assert_measured, pulled, pushed, two_conflicts};
use crate::telemetry::Responder;

/// Replaces a column in all rows of a table that have it.
fn corrupt(stack: &Stack, table: &str, column: &str) {
    for mut row in stack.rows(table) {
        if row.get(column).is_some() {
            row[column] = json!({"L": []});
            stack.dynamodb("PutItem", &json!({"TableName": table, "Item": row}));
        }
    }
}

/// Creates a meter as Ana's phone.
async fn create_meter(stack: &Stack) {
    let item = meter("create", "m-1", 0, json!({"reading": 1}));
    stack.device("ana", "phone").push_one(item).await;
}

#[tokio::test]
async fn item_about_a_corrupt_row_counts() {
    let stack = Stack::new();
    create_meter(&stack).await;
    corrupt(&stack, "resources", "server_version");

    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    let item = meter("update", "m-1", 1, json!({"reading": 2}));
    let result = stack.device("ana", "phone").push_one(item).await;
    assert_eq!(
        (&result["code"], &result["retryable"]),
        (&json!("unavailable"), &json!(true))
    );
    let counted = [pushed(0, 0, 1, 1), vec![("CorruptItems", 1)]].concat();
    assert_measured(&written, "push", &counted);
}

#[tokio::test]
async fn request_that_reads_a_corrupt_row_counts() {
    let stack = Stack::new();
    let mut phone = stack.device("ana", "phone");
    phone.pull().await;
    phone.ack().await;
    corrupt(&stack, "devices", "last_seen");

    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    let root = scenario::admin(&stack);
    assert_eq!(stack.get("devices?user=ana", &root).await.status, 503);
    assert_measured(&written, "admin", &[("CorruptItems", 1)]);
}

#[tokio::test]
async fn skipped_corrupt_rows_count() {
    let stack = Stack::new();
    let [id, _] = two_conflicts(&stack).await;
    let decision = json!({"resolution": "accept_server"});
    scenario::resolve(&stack, &json!(id), &decision).await.ok();
    for (table, column) in [
        ("conflicts", "code"),
        ("audit_log", "packed"),
        ("resources", "payload"),
    ] {
        corrupt(&stack, table, column);
    }

    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    for (path, list) in [("conflicts?status=open", "conflicts"), ("audit", "entries")] {
        let response = stack.get(path, &scenario::admin(&stack)).await.ok();
        assert_eq!(response[list], Value::Array(Vec::new()), "{path}");
        assert_measured(&written, "admin", &[("CorruptItems", 1)]);
    }

    stack.device("ana", "tablet").pull().await;
    let counted = [pulled(0, 2, 0), vec![("CorruptItems", 2)]].concat();
    assert_measured(&written, "pull", &counted);
}

#[tokio::test]
async fn corrupt_base_of_a_conflict_counts() {
    let stack = Stack::new();
    let [id, _] = two_conflicts(&stack).await;
    stack.settle().await;
    corrupt(&stack, "changes", "entries");

    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    let conflict = scenario::conflict(&stack, &json!(id)).await;
    assert_eq!(conflict.get("base_payload"), None);
    assert_measured(&written, "admin", &[("CorruptItems", 1)]);
}

/// A resolution does not read the row with the `was` of edits.
#[tokio::test]
async fn corrupt_was_counts_only_when_read() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    for (action, version) in [("create", 0), ("update", 1)] {
        let item = meter(action, "m-1", version, json!({"reading": version}));
        office.push_one(item).await;
    }
    let item = meter("update", "m-1", 1, json!({"reading": 3}));
    let item = item.with("was", json!({"reading": noise(4000, 1)}));
    let id = stack.device("ana", "phone").push_one(item).await["conflict_id"].clone();
    for mut row in stack.rows("conflicts") {
        let name = row["sk"]["S"].as_str().and_then(|sk| sk.rsplit('#').next());
        if name.is_some_and(|name| name.starts_with('w')) {
            row["packed"] = json!({"B": "AAAA"});
            stack.dynamodb("PutItem", &json!({"TableName": "conflicts", "Item": row}));
        }
    }

    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    let conflict = scenario::conflict(&stack, &id).await;
    assert_eq!(conflict.get("base_payload"), None);
    assert_measured(&written, "admin", &[("CorruptItems", 1)]);
    let decision = json!({"resolution": "accept_client"});
    scenario::resolve(&stack, &id, &decision).await.ok();
    let resolved = [("ConflictsResolved", 1), ("AcceptedChanges", 1)];
    assert_measured(&written, "resolve", &resolved);
}

#[tokio::test]
async fn stream_batch_counts_a_corrupt_segment() {
    let stack = Stack::new();
    create_meter(&stack).await;
    let records = stack.stream_records();
    let changelog = stack.consumer("changelog", Arc::new(NoHook));
    changelog.sequence(stream_event(&records)).await;
    corrupt(&stack, "changes", "entries");

    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    let response = changelog.sequence(stream_event(&records)).await;
    assert_eq!(response.batch_item_failures.len(), 1);
    assert_measured(&written, "changelog", &[("CorruptItems", 1)]);
}

#[tokio::test(start_paused = true)]
async fn throttled_request_is_an_outage() {
    let throttled = Responder::all(Reply::error(400, "ThrottlingException", "no"));
    let stack = Stack::hooked(throttled);
    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    let items = json!([meter("create", "m-1", 0, json!({}))]);
    assert_eq!(stack.device("ana", "phone").send(&items).await.status, 503);
    assert_measured(&written, "push", &[("Outages", 1)]);
}
