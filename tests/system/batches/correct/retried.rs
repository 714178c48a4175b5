//! A device sends a batch again of which an admin has corrected an item, while another item about
//! the same resource has no final result.

use serde_json::{Value, json};
use tidemark_tests::{Item, Stack};

use super::{
    super::{boss, correct, create, edit, push},
    row,
};

/// Puts a row of the table `resources`.
fn put(stack: &Stack, row: &Value) {
    stack.dynamodb("PutItem", &json!({"TableName": "resources", "Item": row}));
}

/// Returns two updates of the meter `m` whose base is its version 2.
fn items() -> Value {
    let update = |version, patch| Item::update("meter", "m", version, patch).base(2);
    json!([
        update(3, json!({"sent": 0})),
        update(4, json!({"text": "1"}))
    ])
}

/// Pushes [`items`] from Ana's phone while the row of the meter cannot be decoded, so that both
/// results are retryable. Returns the id of the batch.
async fn rejected(stack: &Stack) -> String {
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ben.push(json!([create("m", "1"), edit("m", 1, "ben's")]))
        .await;

    let readable = row(stack, "meter#m");
    let mut corrupt = readable.clone();
    corrupt["resolutions"] = json!({"S": "by hand"});
    put(stack, &corrupt);
    let id = push(&ana, "b", &items()).await;
    put(stack, &readable);
    id
}

#[tokio::test]
async fn retry_does_not_decide_corrected_item() {
    let stack = Stack::new();
    let id = rejected(&stack).await;
    // The corrected item conflicts; the item as it was sent would be applied.
    let stale = json!({"payload": {"id": "m", "text": "corrected"}, "base_version": 1});
    let response = correct(&stack, &boss(&stack), (&id, 0), &stale).await.ok();
    let conflict = &response["results"][0]["conflict_id"];
    assert_eq!(response["results"][0]["status"], "conflict");

    let retry = stack.device("ana", "phone").push_batch("b", &items()).await;
    let results = &retry.ok()["results"];
    assert_eq!(
        (&results[0]["conflict_id"], &results[0]["corrected"]),
        (conflict, &json!(true))
    );
    assert_eq!(
        (&results[1]["status"], &results[1]["server_version"]),
        (&json!("ok"), &json!(3)),
        "{results}"
    );

    let payload: Value = serde_json::from_str(&stack.payload_of(&row(&stack, "meter#m"))).unwrap();
    assert_eq!(payload, json!({"text": "1"}));
    let conflicts = stack.conflicts();
    assert_eq!(
        (conflicts.len(), &conflicts[0]["edit_count"]["N"]),
        (1, &json!("1"))
    );
}
