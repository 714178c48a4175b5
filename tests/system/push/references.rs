//! A reference by temp id is replaced by the id, and an item that refers to a failed create fails
//! with it (§3.10).

mod failed;

use serde_json::{Value, json};
use tidemark_tests::{Item, Stack, scenario::member_of_north};

/// Builds a create of a meter with this code.
fn meter(temp_id: &str, code: &str) -> Item {
    Item::create_as("meter", temp_id, json!({"code": code}))
}

/// Builds a create of a task that refers to a meter.
fn task(temp_id: &str, meter: &str) -> Item {
    Item::create_as(
        "task",
        temp_id,
        json!({"title": "read it", "meter_id": meter}),
    )
    .channel("group/north")
}

fn payload(stack: &Stack, id: &Value) -> Value {
    let rows = stack.rows("resources");
    let row = rows
        .iter()
        .find(|row| {
            row["sk"]["S"]
                .as_str()
                .expect("text")
                .ends_with(id.as_str().expect("text"))
        })
        .expect("a row");
    serde_json::from_str(row["payload"]["S"].as_str().expect("text")).expect("JSON")
}

#[tokio::test]
async fn temp_id_within_batch_is_replaced() {
    let stack = Stack::new();
    let ana = member_of_north(&stack, "ana");
    // References precede and follow the create that they refer to.
    let results = ana
        .push(json!([
            task("t-1", "tmp-m"),
            meter("tmp-m", "A"),
            task("t-2", "tmp-m")
        ]))
        .await;

    assert!(results.iter().all(|it| it["status"] == "ok"), "{results:?}");
    for result in [&results[0], &results[2]] {
        let stored = payload(&stack, &result["server_id"]);
        assert_eq!(stored["meter_id"], results[1]["server_id"]);
        assert_eq!(
            stored.to_string(),
            json!({"title": "read it", "meter_id": results[1]["server_id"]}).to_string()
        );
    }

    // A create with a requested id can be referred to by its temp id too.
    let named = Item::create("meter", "m-77", json!({})).temp_id("tmp-n");
    let results = ana.push(json!([named, task("t-3", "tmp-n")])).await;
    assert_eq!(
        payload(&stack, &results[1]["server_id"])["meter_id"],
        "m-77"
    );
}

#[tokio::test]
async fn temp_id_of_earlier_batch_is_derived() {
    let stack = Stack::new();
    let ana = member_of_north(&stack, "ana");
    let made = ana.push_one(meter("tmp-m", "A")).await;
    let result = ana.push_one(task("t-1", "tmp-m")).await;
    assert_eq!(
        payload(&stack, &result["server_id"])["meter_id"],
        made["server_id"]
    );

    // An update refers in the same way.
    let other = ana.push_one(meter("tmp-o", "B")).await;
    let update = Item::new("task", "update", 1)
        .base(1)
        .temp_id("t-1")
        .channel("group/north")
        .payload(json!({"meter_id": "tmp-o"}));
    assert_eq!(ana.push_one(update).await["status"], "ok");
    assert_eq!(
        payload(&stack, &result["server_id"])["meter_id"],
        other["server_id"]
    );

    // A temp id of another user, and an id, are stored unchanged.
    for text in ["tmp-m", "m-123"] {
        let result = member_of_north(&stack, "ben")
            .push_one(task(&format!("t-{text}"), text))
            .await;
        assert_eq!(payload(&stack, &result["server_id"])["meter_id"], text);
    }
}

#[tokio::test]
async fn retried_batch_with_references_is_idempotent() {
    let stack = Stack::new();
    let ana = member_of_north(&stack, "ana");
    let batch = json!([meter("tmp-m", "A"), task("t-1", "tmp-m")]);
    let first = ana.push(batch.clone()).await;
    let again = ana.push(batch).await;
    assert_eq!(super::stable_fields(&first), super::stable_fields(&again));
    assert_eq!(stack.rows("resources").len(), 2);
}

#[tokio::test]
async fn author_pulls_change_with_replaced_reference() {
    let stack = Stack::new();
    let mut ana = member_of_north(&stack, "ana");
    ana.pull().await;
    let results = ana
        .push(json!([meter("tmp-m", "A"), task("t-1", "tmp-m")]))
        .await;

    stack.settle().await;
    let changes = ana.pull().await;
    assert_eq!(changes.len(), 1, "the meter is stored as it was sent");
    assert_eq!(
        (&changes[0]["id"], &changes[0]["payload"]["meter_id"]),
        (&results[1]["server_id"], &results[0]["server_id"])
    );
}

#[tokio::test]
async fn reference_cycles_are_resolved() {
    let catalog = "[part]\nchannel = 'tenant'\nid_prefix = 'p'\nreferences = { other = 'part' }";
    let stack = Stack::configured(&[("CATALOG", catalog)]);
    let part =
        |temp_id: &str, other: &str| Item::create_as("part", temp_id, json!({"other": other}));
    let results = stack
        .device("ana", "phone")
        .push(json!([part("a", "b"), part("b", "a"), part("c", "c")]))
        .await;
    assert!(results.iter().all(|it| it["status"] == "ok"), "{results:?}");
    for (of, to) in [(0, 1), (1, 0), (2, 2)] {
        assert_eq!(
            payload(&stack, &results[of]["server_id"])["other"],
            results[to]["server_id"]
        );
    }
}
