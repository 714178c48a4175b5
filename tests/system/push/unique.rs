//! No two resources of a type share a value of a unique field (§3.9).

mod batches;
mod catalog;

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tidemark::engine::http::CallFate;
use tidemark_tests::{Device, Item, Script, Stack, scenario};

use super::delete;

/// Builds a create of the meter `id` with this code.
fn create(id: &str, code: impl Into<Value>) -> Item {
    Item::create("meter", id, json!({"code": code.into()}))
}

/// Builds a patch of the meter `id` that is based on `base`.
fn patch(id: &str, base: u64, payload: Value) -> Item {
    Item::update("meter", id, base, payload).base(base)
}

fn statuses(results: &[Value]) -> Vec<&str> {
    results
        .iter()
        .map(|it| it["status"].as_str().unwrap_or_default())
        .collect()
}

#[tokio::test]
async fn duplicate_value_conflicts_and_names_holder() {
    let stack = Stack::new();
    stack
        .device("ana", "phone")
        .push_one(create("m-1", "A"))
        .await;
    let ben = stack.device("ben", "phone");
    let result = ben.push_one(create("m-2", "A")).await;
    assert_eq!(
        (&result["status"], &result["code"]),
        (&json!("conflict"), &json!("unique_violation"))
    );
    assert_eq!(result["holder_id"], "m-1");
    assert_eq!(stack.rows("resources").len(), 1);

    let conflict = &stack.conflicts()[0];
    assert_eq!(conflict["id"]["S"], result["conflict_id"]);
    assert!(
        conflict["client_payload"]["S"].to_string().contains("code"),
        "the create is kept"
    );

    // A retry finds the same conflict, and dependent edits join it, in this batch and in a later
    // one.
    let again = ben
        .push(json!([
            create("m-2", "A"),
            patch("m-2", 0, json!({"reading": 1}))
        ]))
        .await;
    assert_eq!(statuses(&again), ["conflict", "conflict"]);
    assert_eq!(again[1]["conflict_id"], result["conflict_id"]);
    let later = ben.push_one(patch("m-2", 0, json!({"reading": 2}))).await;
    assert_eq!(later["conflict_id"], result["conflict_id"]);
    assert_eq!(stack.conflicts()[0]["edit_count"]["N"], "3");
}

#[tokio::test]
async fn unique_values_compare_as_canonical_json() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let nested = |text: &str| create("m-n", serde_json::from_str::<Value>(text).unwrap());
    assert_eq!(
        ana.push_one(nested(r#"{"b": [1, 2], "a": "x"}"#)).await["status"],
        "ok"
    );

    let other = create(
        "m-o",
        serde_json::from_str::<Value>(r#"{"a":"\u0078","b":[1,2]}"#).expect("JSON"),
    );
    assert_eq!(ana.push_one(other).await["code"], "unique_violation");

    assert_eq!(ana.push_one(create("m-1", 1)).await["status"], "ok");
    assert_eq!(
        ana.push_one(create("m-2", "1")).await["status"],
        "ok",
        "a number differs from a string"
    );

    assert_eq!(
        statuses(
            &ana.push(json!([
                create("m-3", Value::Null),
                create("m-4", Value::Null)
            ]))
            .await
        ),
        ["ok", "ok"]
    );
}

#[tokio::test]
async fn change_and_delete_free_a_value() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    ana.push_one(create("m-1", "A")).await;
    assert_eq!(
        ana.push_one(patch("m-1", 1, json!({"code": "B"}))).await["status"],
        "ok"
    );
    assert_eq!(ana.push_one(create("m-2", "A")).await["status"], "ok");
    assert_eq!(
        ana.push_one(create("m-3", "B")).await["code"],
        "unique_violation"
    );
    assert_eq!(ana.push_one(delete("m-1", 2)).await["status"], "ok");
    assert_eq!(ana.push_one(create("m-4", "B")).await["status"], "ok");
    assert_eq!(stack.rows("unique_keys").len(), 2);

    // A change of other fields claims and frees no value.
    assert_eq!(
        ana.push_one(patch("m-4", 1, json!({"reading": 5}))).await["status"],
        "ok"
    );
    assert_eq!(
        ana.push_one(patch("m-4", 2, json!({"code": null}))).await["status"],
        "ok"
    );
    assert_eq!(stack.rows("unique_keys").len(), 1);
}

#[tokio::test]
async fn concurrent_creates_one_gets_the_value() {
    let stack = Stack::hooked(Arc::new(Script::new(|_, _, _, _| CallFate::Continue)));
    let devices: Vec<Device<'_>> = (0..8)
        .map(|at| stack.device(&format!("user-{at}"), "phone"))
        .collect();

    let pushes = devices
        .iter()
        .enumerate()
        .map(|(at, device)| device.push_one(create(&format!("m-{at}"), "A")));
    let results = join_all(pushes).await;

    assert_eq!(
        results.iter().filter(|it| it["status"] == "ok").count(),
        1,
        "{results:?}"
    );
    assert_eq!(
        results
            .iter()
            .filter(|it| it["code"] == "unique_violation")
            .count(),
        7
    );
    assert_eq!(
        (
            stack.rows("resources").len(),
            stack.rows("unique_keys").len()
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn unreadable_holder_is_not_named() {
    let stack = Stack::new();
    let admin = Device::new(&stack, scenario::admin(&stack), "desk");
    let elsewhere = create("m-1", "A").channel("group/north");
    assert_eq!(admin.push_one(elsewhere).await["status"], "ok");

    let result = stack
        .device("ana", "phone")
        .push_one(create("m-2", "A"))
        .await;
    assert_eq!(
        (&result["code"], &result["holder_id"]),
        (&json!("unique_violation"), &Value::Null)
    );
    assert!(!result["error"].to_string().contains("m-1"));

    // Tenants do not share values.
    let other = Device::new(&stack, stack.token("umbrella", "ana", &[], &[]), "phone");
    assert_eq!(other.push_one(create("m-9", "A")).await["status"], "ok");
}

#[tokio::test]
async fn retried_create_keeps_its_value() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    assert_eq!(ana.push_one(create("m-1", "A")).await["server_version"], 1);
    assert_eq!(ana.push_one(create("m-1", "A")).await["server_version"], 1);

    let results = ana
        .push(json!([
            create("m-1", "A"),
            patch("m-1", 1, json!({"code": "B"}))
        ]))
        .await;
    assert_eq!(statuses(&results), ["ok", "ok"]);

    let results = ana
        .push(json!([
            create("m-1", "A"),
            patch("m-1", 1, json!({"code": "B"}))
        ]))
        .await;
    assert_eq!(
        (&results[0]["server_version"], &results[1]["server_version"]),
        (&json!(1), &json!(2))
    );
}

#[tokio::test]
async fn rejected_create_stays_in_its_conflict() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ana.push_one(create("m-1", "A")).await;
    let rejected = ben.push_one(create("m-2", "A")).await;
    ana.push_one(patch("m-1", 1, json!({"code": "B"}))).await;

    // While the conflict is open, only an admin resolves it.
    let again = ben.push_one(create("m-2", "A")).await;
    assert_eq!(
        (&again["status"], &again["conflict_id"]),
        (&json!("conflict"), &rejected["conflict_id"])
    );

    // After the resolution, a retry returns the outcome.
    let dismiss = json!({"resolution": "accept_server"});
    scenario::resolve(&stack, &rejected["conflict_id"], &dismiss)
        .await
        .ok();
    let after = ben.push_one(create("m-2", "A")).await;
    assert_eq!(
        (&after["status"], &after["resolution"]),
        (&json!("conflict"), &json!("accept_server"))
    );
    assert_eq!(stack.rows("resources").len(), 1);
}

#[tokio::test]
async fn accepted_create_is_ok_on_retry() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ana.push_one(create("m-1", "A")).await;
    let named = create("m-2", "A").temp_id("tmp-2");
    let items = json!([named, patch("m-2", 0, json!({"reading": 1}))]);
    let rejected = ben.push(items.clone()).await;

    let accept = json!({"resolution": "accept_client"});
    let taken = scenario::resolve(&stack, &rejected[0]["conflict_id"], &accept).await;
    assert_eq!(
        (taken.status, &taken.json()["holder_id"]),
        (409, &json!("m-1"))
    );

    ana.push_one(patch("m-1", 1, json!({"code": "B"}))).await;
    let accepted = scenario::resolve(&stack, &rejected[0]["conflict_id"], &accept).await;
    assert_eq!(accepted.ok()["server_version"], 1);

    assert_eq!(statuses(&ben.push(items).await), ["ok", "ok"]);
    assert_eq!(ana.push_one(create("m-3", "A")).await["holder_id"], "m-2");
}
