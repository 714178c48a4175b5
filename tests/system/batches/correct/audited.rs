//! The audit entries of a correction.

use serde_json::{Value, json};
use tidemark_core::model::time::timestamp;
use tidemark_tests::{Item, Stack};

use super::{
    super::{boss, correct, push, replay::audit},
    batch, corrected, items, results,
};

#[tokio::test]
async fn audit_log_contains_item_before_and_after() {
    let stack = Stack::new();
    let id = batch(&stack).await;
    let before = results(&stack, &id).await[3].clone();
    let mut body = corrected();
    body["note"] = "typing error".into();
    let response = correct(&stack, &boss(&stack), (&id, 3), &body).await.ok();

    let mut entries = audit(&stack, "item_corrected");
    assert_eq!(entries.len(), 2);
    entries.sort_by_key(|entry| !entry["after"]["result"].is_null());
    let mut item = items()[3].clone();
    let sent = item.clone();
    item["payload"] = body["payload"].clone();
    item["base_version"] = 2.into();

    for (mut entry, result) in entries
        .into_iter()
        .zip([Value::Null, response["results"][0].clone()])
    {
        entry["id"].take();
        let runs_as = json!({"user": "ana", "roles": [], "groups": []});
        let states = [
            json!({"item": sent, "result": before}),
            json!({"item": item, "result": result}),
        ];
        let expected = json!({"id": null, "at": timestamp(stack.now()), "action": "item_corrected",
            "by": "boss", "via": "api", "user": "ana", "device_id": "phone", "batch_id": id,
            "runs_as": runs_as, "note": "typing error", "before": states[0], "after": states[1]});
        assert_eq!(entry, expected);
    }
}

#[tokio::test]
async fn oversized_item_is_omitted_from_audit_log() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let large = Item::create("meter", "m", json!({"text": "x".repeat(2_000_000)}));
    let id = push(&ana, "b", &json!([large])).await;
    let body = json!({"payload": {"id": "m", "text": "x"}});
    let response = correct(&stack, &boss(&stack), (&id, 0), &body).await.ok();
    assert_eq!(response["results"][0]["status"], "ok");

    let listed = stack.get("audit", &boss(&stack)).await.ok();
    let entries = listed["entries"].as_array().expect("entries");
    assert_eq!(entries.len(), 2);
    for entry in entries {
        assert_eq!(entry["before"]["item"], Value::Null);
        assert_eq!(entry["after"]["item"]["payload"], body["payload"]);
    }
}
