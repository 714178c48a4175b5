//! A device that has reached the limit of open conflicts.

use serde_json::{Value, json};
use tidemark_core::model::limits::{OPEN_CONFLICTS_MAX, OPEN_CONFLICTS_RECOUNT_MINUTES};
use tidemark_tests::Stack;

use super::{conflicted, meter, rejected, resolve};

/// Sets the stored number of conflicts that Ana's phone has opened, in place of many pushes.
fn opened(stack: &Stack, count: u64) {
    let mut row = stack
        .rows("conflicts")
        .into_iter()
        .find(|row| row["sk"]["S"] == "count")
        .expect("the count");
    row["open_count"] = json!({"N": count.to_string()});
    stack.dynamodb("PutItem", &json!({"TableName": "conflicts", "Item": row}));
}

/// Creates the meter `id` and updates it to version 2, which Ana's phone has not received.
async fn changed(stack: &Stack, id: &str) {
    let office = stack.device("office", "pc");
    office
        .push_one(meter("create", id, 0, json!({"reading": 1})))
        .await;
    office
        .push_one(meter("update", id, 1, json!({"reading": 2})))
        .await;
}

/// Asserts the results of edits at the limit: a new conflict and the edit after it fail and may be
/// retried, an edit joins the conflict `open`, and a create is applied.
fn assert_limited(results: &[Value], open: &str) {
    let outcomes: Vec<_> = results
        .iter()
        .map(|result| {
            (
                result["status"].as_str().expect("a status"),
                result["code"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        outcomes,
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
    assert_eq!(results[2]["conflict_id"], open);
}

#[tokio::test]
async fn conflict_limit_is_a_retryable_error() {
    let stack = Stack::new();
    let first = conflicted(&stack, "m-1").await;
    changed(&stack, "m-2").await;

    opened(&stack, OPEN_CONFLICTS_MAX);
    let ana = stack.device("ana", "phone");
    // The first recount finds fewer open conflicts than the limit.
    rejected(&stack, meter("update", "m-2", 1, json!({"reading": 9}))).await;

    opened(&stack, OPEN_CONFLICTS_MAX);
    changed(&stack, "m-4").await;
    let edits = json!([
        meter("update", "m-4", 1, json!({"reading": 3})),
        meter("update", "m-4", 2, json!({"reading": 4})),
        meter("update", "m-1", 1, json!({"note": "joins"})),
        meter("create", "m-3", 0, json!({"reading": 5})),
    ]);
    assert_limited(&ana.push(edits.clone()).await, &first);

    let other = stack
        .device("ana", "tablet")
        .push_one(edits[0].clone())
        .await;
    assert_eq!(
        other["status"], "conflict",
        "the limit applies to each device by itself"
    );

    // Resolutions count at the next recount.
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
