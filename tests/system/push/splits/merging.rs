//! Batch boundaries under the policy `field_merge`.

use serde_json::{Value, json};
use tidemark_tests::{Item, Stack, scenario::member_of_north};

use super::push_in_batches;

/// Builds an update of the task `t` whose base is its first version.
fn update(version: u64, patch: Value) -> Item {
    Item::update("task", "t", version, patch)
        .base(1)
        .channel("group/north")
}

/// The effect of a queue: the outcome of each item, the payload, and the number of edits of each
/// conflict.
#[derive(Debug, PartialEq)]
struct Merged {
    outcomes: Vec<String>,
    payload: Value,
    edit_counts: Vec<Value>,
}

/// Sends the queue after the office has changed the title, in batches that end after the items
/// whose bit is set in `cuts`.
async fn send(queue: &[Value], cuts: u32) -> Merged {
    let stack = Stack::new();
    let [office, ana] = ["office", "ana"].map(|user| member_of_north(&stack, user));
    let create = Item::create("task", "t", json!({}))
        .base(0)
        .channel("group/north");
    office
        .push(json!([create, update(1, json!({"title": "office"}))]))
        .await;

    Merged {
        outcomes: push_in_batches(&ana, queue, cuts).await,
        payload: stack.rows("resources")[0]["payload"]["S"].clone(),
        edit_counts: stack
            .conflicts()
            .iter()
            .map(|row| row["edit_count"].clone())
            .collect(),
    }
}

/// Under `field_merge`, an edit of a field that no other device has changed merges after an edit
/// that conflicts, regardless of the batches.
#[tokio::test]
async fn merging_does_not_depend_on_boundaries() {
    let queue = [
        update(1, json!({"title": "ana"})),
        update(2, json!({"note": "ana"})),
        update(3, json!({"title": "again"})),
    ]
    .map(Value::from);

    let one_by_one = send(&queue, 0b11).await;
    assert_eq!(
        one_by_one.outcomes,
        [
            "conflict version_mismatch null",
            "ok  null",
            "conflict version_mismatch null"
        ]
    );
    assert_eq!(
        (&one_by_one.payload, one_by_one.edit_counts.len()),
        (&json!(r#"{"title":"office","note":"ana"}"#), 1)
    );
    for cuts in [0, 0b01, 0b10] {
        assert_eq!(send(&queue, cuts).await, one_by_one, "cuts {cuts:b}");
    }
}
