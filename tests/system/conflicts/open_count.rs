//! A device with as many open conflicts as it may have.

use serde_json::json;
use tidemark_core::limits::{OPEN_CONFLICTS_MAX, OPEN_CONFLICTS_RECOUNT_MINUTES};
use tidemark_tests::Stack;

use super::{conflicted, item, rejected, resolve};

/// Says that Ana's phone opened so many conflicts, as many pushes would.
fn opened(stack: &Stack, count: u64) {
    let mut row = stack
        .rows("conflicts")
        .into_iter()
        .find(|row| row["sk"]["S"] == "count")
        .expect("the count");
    row["open_count"] = json!({"N": count.to_string()});
    stack.dynamodb("PutItem", &json!({"TableName": "conflicts", "Item": row}));
}

/// The meter at version 2, of which Ana's phone knows version 1.
async fn changed(stack: &Stack, id: &str) {
    let office = stack.device("office", "pc");
    office
        .push_one(item("create", id, 0, json!({"reading": 1})))
        .await;
    office
        .push_one(item("update", id, 1, json!({"reading": 2})))
        .await;
}

#[tokio::test]
async fn too_many_conflicts_are_an_error_for_now() {
    let stack = Stack::new();
    let first = conflicted(&stack, "m-1").await;
    changed(&stack, "m-2").await;
    let edits = json!([
        item("update", "m-2", 1, json!({"reading": 3})),
        item("update", "m-2", 2, json!({"reading": 4})),
        item("update", "m-1", 1, json!({"note": "joins"})),
        item("create", "m-3", 0, json!({"reading": 5})),
    ]);
    opened(&stack, OPEN_CONFLICTS_MAX);
    let ana = stack.device("ana", "phone");
    // The first time all are counted, and there is room.
    rejected(&stack, item("update", "m-2", 1, json!({"reading": 9}))).await;
    opened(&stack, OPEN_CONFLICTS_MAX);
    changed(&stack, "m-4").await;
    let mut edits = edits;
    for edit in 0..2 {
        edits[edit]["payload"]["id"] = "m-4".into();
    }
    let results = ana.push(edits.clone()).await;
    let told: Vec<_> = results
        .iter()
        .map(|result| {
            (
                result["status"].as_str().expect("one"),
                result["code"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("error", Some("too_many_conflicts")),
            ("error", Some("depends_on_failed_item")),
            ("conflict", Some("version_mismatch")),
            ("ok", None)
        ]
    );
    assert!(
        results[..2]
            .iter()
            .all(|result| result["retryable"] == true && result["conflict_id"].is_null()),
        "{results:?}"
    );
    assert_eq!(results[2]["conflict_id"], first.as_str());
    let other = stack
        .device("ana", "tablet")
        .push_one(edits[0].clone())
        .await;
    assert_eq!(
        other["status"], "conflict",
        "another device has its own bound"
    );
    // Decisions are noticed after a while.
    resolve(&stack, &first, &json!({"resolution": "accept_server"}))
        .await
        .ok();
    assert_eq!(
        ana.push_one(edits[0].clone()).await["code"],
        "too_many_conflicts"
    );
    stack.advance(chrono::Duration::minutes(OPEN_CONFLICTS_RECOUNT_MINUTES));
    assert_eq!(ana.push_one(edits[0].clone()).await["status"], "conflict");
}
