//! `POST /batches/{id}/replay`: the replay of a batch, §7 of the protocol.

mod claims;
mod concurrency;
mod conflicts;
mod many;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::Duration;
use serde_json::{Value, json};
use tidemark_aws::tables::format::unpack;
use tidemark_core::model::time::timestamp;
use tidemark_tests::{Device, Item, Stack, noise, scenario::member_of_north};

use super::{boss, create, edit, everything, get, push, replay};

/// Returns items that are applied, an item that conflicts, and an item about a resource that does
/// not exist yet.
fn mixed() -> Value {
    json!([
        create("mine", "1"),
        edit("mine", 1, "2"),
        edit("stale", 1, "ana's"),
        edit("missing", 1, "late")
    ])
}

/// Pushes [`mixed`] from Ana's phone and creates the missing resource afterwards. Returns the id of
/// the batch.
async fn prepared(stack: &Stack) -> String {
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ben.push(json!([create("stale", "1"), edit("stale", 1, "ben's")]))
        .await;
    let id = push(&ana, "b", &mixed()).await;
    ben.push_one(create("missing", "1")).await;
    stack.advance(Duration::hours(1));
    id
}

fn outcomes(results: &Value) -> Vec<(Value, Value)> {
    let results = results.as_array().cloned().unwrap_or_default();
    results
        .iter()
        .map(|result| (result["status"].clone(), result["server_version"].clone()))
        .collect()
}

fn expected() -> Vec<(Value, Value)> {
    [("ok", 1), ("ok", 2), ("conflict", 2), ("ok", 2)]
        .map(|(status, version)| (json!(status), json!(version)))
        .to_vec()
}

/// Returns the server version of a meter.
fn version(stack: &Stack, id: &str) -> Value {
    let sk = format!("meter#{id}");
    let row = stack
        .rows("resources")
        .into_iter()
        .find(|row| row["sk"]["S"] == sk.as_str());
    row.map_or(Value::Null, |row| row["server_version"]["N"].clone())
}

/// Returns the entries of the audit log with this action.
pub(super) fn audit(stack: &Stack, action: &str) -> Vec<Value> {
    let entry = |row: Value| -> Value {
        let packed = BASE64_STANDARD
            .decode(row["packed"]["B"].as_str().expect("bytes"))
            .expect("base64");
        serde_json::from_slice(&unpack(&packed, 1 << 20).expect("packed")).expect("an entry")
    };
    stack
        .rows("audit_log")
        .into_iter()
        .map(entry)
        .filter(|entry| entry["action"] == action)
        .collect()
}

#[tokio::test]
async fn replay_applies_failed_items_only() {
    let stack = Stack::new();
    let id = prepared(&stack).await;
    let conflicts = stack.conflicts();
    let before = get(&stack, &boss(&stack), &id).await.ok();
    assert_eq!(before["results"][3]["code"], "not_found");

    let response = replay(&stack, &boss(&stack), &id, &json!({})).await.ok();
    assert_replayed(&stack, &id, &response);
    let ok = |response: &Value| {
        [
            response["results"][0].clone(),
            response["results"][1].clone(),
        ]
    };
    assert_eq!(ok(&response), ok(&before), "the earlier results");
    assert_eq!(
        response["results"][2]["conflict_id"],
        before["results"][2]["conflict_id"]
    );
    assert_eq!(
        stack.conflicts(),
        conflicts,
        "no second conflict is created"
    );
    assert_eq!(
        (version(&stack, "mine"), version(&stack, "missing")),
        (json!("2"), json!("2"))
    );

    assert_new_results_are_returned(&stack, &id, &response["processed_at"]).await;

    // A second replay, without a body, changes nothing.
    let twice = stack
        .post_bytes(&format!("batches/{id}/replay"), Some(&boss(&stack)), b"")
        .await
        .ok();
    assert_eq!(outcomes(&twice["results"]), expected());
    assert_eq!(version(&stack, "missing"), "2");
}

/// Checks the outcomes of a replay of [`mixed`], and the fields of its response.
fn assert_replayed(stack: &Stack, id: &str, response: &Value) {
    assert_eq!(outcomes(&response["results"]), expected());
    let heading = (
        &response["batch_id"],
        &response["dry_run"],
        &response["processed_at"],
    );
    assert_eq!(
        heading,
        (&json!(id), &json!(false), &json!(timestamp(stack.now())))
    );
}

/// Checks that the batch and a retry of the push return the results of the replay.
async fn assert_new_results_are_returned(stack: &Stack, id: &str, processed_at: &Value) {
    let shown = get(stack, &boss(stack), id).await.ok();
    assert_eq!(
        (outcomes(&shown["results"]), &shown["processed_at"]),
        (expected(), processed_at)
    );

    let again = stack
        .device("ana", "phone")
        .push_batch("b", &mixed())
        .await
        .ok();
    assert_eq!(
        (outcomes(&again["results"]), &again["processed_at"]),
        (expected(), processed_at)
    );
    assert_eq!(version(stack, "missing"), "2");
}

#[tokio::test]
async fn applied_items_are_skipped_after_deduplication_window() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let other = edit("mine", 1, &"x".repeat(360_000));
    let id = push(
        &ana,
        "b",
        &json!([
            create("mine", "1"),
            edit("mine", 1, "2"),
            other,
            edit("missing", 1, "x")
        ]),
    )
    .await;

    for version in 2..20 {
        ben.push_one(edit("mine", version, &format!("ben's {version}")))
            .await;
    }

    let results = replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"].clone();
    let statuses: Vec<&Value> = results
        .as_array()
        .expect("results")
        .iter()
        .map(|result| &result["status"])
        .collect();
    assert_eq!(statuses, ["ok", "ok", "error", "error"]);
    assert_eq!(version(&stack, "mine"), "20");
    assert_eq!(stack.conflicts(), [json!(null); 0]);
}

#[tokio::test]
async fn replayed_change_reaches_its_device() {
    let stack = Stack::new();
    let (mut ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));

    // Both items of the batch are rejected, and the device drops them.
    let task = |action: &str, version: u64| {
        let item = Item::new("task", action, version).base(version);
        let item = item.payload(json!({"id": "t", "title": action}));
        item.channel("group/north")
    };
    ana.token = stack.token("acme", "ana", &[], &["north"]);
    let id = push(
        &ana,
        "b",
        &json!([edit("missing", 1, "late"), task("update", 1)]),
    )
    .await;
    ben.push_one(create("missing", "1")).await;
    Device::new(&stack, boss(&stack), "desk")
        .push_one(task("create", 0))
        .await;
    stack.settle().await;

    ana.pull().await;
    assert_eq!(
        outcomes(&replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"]),
        [(json!("ok"), json!(2)), (json!("ok"), json!(2))]
    );

    stack.settle().await;
    ana.pull().await;
    let mut fresh = Device::new(&stack, ana.token.clone(), "fresh");
    fresh.pull().await;
    assert_eq!(ana.live(), fresh.live());
}

#[tokio::test]
async fn dry_run_predicts_the_replay_without_writing() {
    let stack = Stack::new();
    let id = prepared(&stack).await;
    stack.settle().await;
    let before = everything(&stack);

    let dry = replay(&stack, &boss(&stack), &id, &json!({"dry_run": true}))
        .await
        .ok();
    assert_eq!(
        (outcomes(&dry["results"]), &dry["dry_run"]),
        (expected(), &json!(true))
    );
    assert_eq!(everything(&stack), before);

    let real = replay(&stack, &boss(&stack), &id, &json!({"dry_run": false}))
        .await
        .ok();
    assert_eq!(real["results"], dry["results"]);
}

#[tokio::test]
async fn large_batch_is_replayed_unchanged() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let texts: Vec<String> = (0..8).map(|number| noise(300_000, number)).collect();
    let items: Vec<Item> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| edit(&format!("m-{number}"), 1, text))
        .collect();

    let id = push(&ana, "b", &json!(items)).await;
    for number in 0..8 {
        stack
            .device("ben", "phone")
            .push_one(create(&format!("m-{number}"), "1"))
            .await;
    }

    let results = replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"].clone();
    assert!(
        outcomes(&results)
            .iter()
            .all(|outcome| *outcome == (json!("ok"), json!(2)))
    );

    stack.settle().await;
    let mut fresh = stack.device("eva", "phone");
    fresh.pull().await;
    for (number, text) in texts.iter().enumerate() {
        let held = fresh.live()[&format!("m-{number}")].payload.clone();
        assert!(held == Some(json!({"text": text}).to_string()));
    }
}

#[tokio::test]
async fn replay_resolves_failed_and_corrected_creates() {
    let stack = Stack::new();
    let ana = member_of_north(&stack, "ana");
    let meter = |payload: Value| json!([Item::create_as("meter", "new", payload)]);
    let task = Item::create_as("task", "t", json!({"meter_id": "new"})).channel("group/north");

    push(&ana, "b-1", &meter(json!([]))).await;
    let id = push(&ana, "b-2", &json!([task])).await;
    let again = replay(&stack, &boss(&stack), &id, &json!({})).await.ok();
    assert_eq!(
        again["results"][0]["code"], "depends_on_failed_item",
        "{again}"
    );

    let made = ana
        .push_batch("b-3", &meter(json!({"code": "A"})))
        .await
        .ok();
    let again = replay(&stack, &boss(&stack), &id, &json!({})).await.ok();
    assert_eq!(again["results"][0]["status"], "ok", "{again}");

    let row = stack
        .rows("resources")
        .into_iter()
        .find(|row| row["sk"]["S"].as_str().expect("text").starts_with("task#"));
    let payload: Value =
        serde_json::from_str(&stack.payload_of(&row.expect("a task"))).expect("JSON");
    assert_eq!(payload["meter_id"], made["results"][0]["server_id"]);
}
