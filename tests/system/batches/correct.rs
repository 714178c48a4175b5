//! `POST /batches/{id}/items/{index}/correct`: an admin runs a rejected item with another payload,
//! §7 of the protocol.

mod audited;
mod retried;

use std::sync::Arc;

use chrono::Duration;
use serde_json::{Value, json};
use tidemark_core::model::time::timestamp;
use tidemark_tests::{
    Device, Item, Script, Stack,
    hooks::{Gate, Moment},
    scenario::member_of_north,
};

use super::{boss, correct, create, edit, everything, get, id_of, push, replay};

/// The payload of the correction of [`batch`].
fn corrected() -> Value {
    json!({"payload": {"id": "m", "text": "corrected", "n": 1}, "base_version": 2})
}

/// Returns an item that is applied, one that conflicts, one about a resource that does not exist
/// yet, and one that is rejected because of its payload.
fn items() -> Value {
    let invalid = Item::new("meter", "update", 3).base(1);
    json!([
        create("mine", "1"),
        edit("stale", 1, "ana's"),
        edit("missing", 1, "late"),
        invalid.with("payload", json!([1]))
    ])
}

/// Pushes [`items`] from Ana's phone, and a meter `m` with two versions as Ben. Returns the id of
/// the batch.
async fn batch(stack: &Stack) -> String {
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    for id in ["stale", "m"] {
        ben.push(json!([create(id, "1"), edit(id, 1, "ben's")]))
            .await;
    }
    let id = push(&ana, "b", &items()).await;
    ben.push_one(create("missing", "1")).await;
    stack.advance(Duration::hours(1));
    id
}

/// Returns the stored results of a batch.
async fn results(stack: &Stack, id: &str) -> Vec<Value> {
    let batch = get(stack, &boss(stack), id).await.ok();
    batch["results"].as_array().expect("results").clone()
}

/// Returns the row of a meter, or of another resource with this sort key.
fn row(stack: &Stack, sk: &str) -> Value {
    let rows = stack.rows("resources");
    rows.into_iter()
        .find(|row| row["sk"]["S"] == sk)
        .unwrap_or_default()
}

#[tokio::test]
async fn correction_applies_one_item_once() {
    let stack = Stack::new();
    let id = batch(&stack).await;
    let before = results(&stack, &id).await;
    assert_eq!(before[3]["status"], "error");
    let raw = get(&stack, &boss(&stack), &id).await.ok()["items"].clone();

    let response = correct(&stack, &boss(&stack), (&id, 3), &corrected()).await;
    let response = response.ok();
    let result = json!({"index": 3, "client_temp_id": null, "status": "ok", "server_id": "m",
        "server_version": 3, "server_payload_omitted": true, "corrected": true});
    let runs_as = json!({"user": "ana", "roles": [], "groups": []});
    let expected = json!({"batch_id": id, "dry_run": false, "runs_as": runs_as,
        "processed_at": timestamp(stack.now()), "results": [result]});
    assert_eq!(response, expected);

    let meter = row(&stack, "meter#m");
    let payload: Value = serde_json::from_str(&stack.payload_of(&meter)).expect("JSON");
    assert_eq!(payload, json!({"text": "corrected", "n": 1}));
    assert_eq!(meter["run_by"]["S"], "ana#phone");

    assert_others_are_unchanged(&stack, &id, &before, &result).await;
    let shown = get(&stack, &boss(&stack), &id).await.ok();
    assert_eq!(shown["items"], raw, "the stored items do not change");
    assert_repetition_is_recognized(&stack, &id, &expected).await;
}

/// Checks that the other items were not run, although one of them could succeed now.
async fn assert_others_are_unchanged(stack: &Stack, id: &str, before: &[Value], result: &Value) {
    let after = results(stack, id).await;
    assert_eq!((&after[..3], &after[3]), (&before[..3], result));
    assert_eq!(row(stack, "meter#missing")["server_version"]["N"], "1");
}

/// Checks that a repeated correction gets the first response, and another one is rejected.
async fn assert_repetition_is_recognized(stack: &Stack, id: &str, first: &Value) {
    stack.advance(Duration::minutes(1));
    let rows = everything(stack);
    let again = correct(stack, &boss(stack), (id, 3), &corrected()).await;
    assert_eq!(again.ok(), *first);

    let other = json!({"payload": {"id": "m", "text": "again"}, "base_version": 3});
    let other = correct(stack, &boss(stack), (id, 3), &other).await;
    assert_eq!(
        (other.status, &other.json()["code"]),
        (422, &json!("unprocessable"))
    );
    assert_eq!(everything(stack), rows);
}

#[tokio::test]
async fn dry_run_predicts_the_correction() {
    let stack = Stack::new();
    let id = batch(&stack).await;
    let before = everything(&stack);
    let mut body = corrected();
    body["dry_run"] = true.into();
    let dry = correct(&stack, &boss(&stack), (&id, 3), &body).await.ok();
    assert_eq!(dry["dry_run"], true);
    assert_eq!(everything(&stack), before);

    let real = correct(&stack, &boss(&stack), (&id, 3), &corrected()).await;
    assert_eq!(real.ok()["results"], dry["results"]);
}

#[tokio::test]
async fn device_receives_the_corrected_content() {
    let stack = Stack::new();
    let id = batch(&stack).await;
    let mut ana = stack.device("ana", "phone");
    stack.settle().await;
    ana.pull().await;
    let response = correct(&stack, &boss(&stack), (&id, 3), &corrected()).await;
    assert_eq!(response.ok()["results"][0]["status"], "ok");

    // The device sends the batch again: it must pull, because it has another payload.
    let repeated = ana.push_batch("b", &items()).await.ok();
    let result = &repeated["results"][3];
    let omitted = (&result["corrected"], &result["server_payload_omitted"]);
    assert_eq!(omitted, (&json!(true), &json!(true)));

    stack.settle().await;
    ana.pull().await;
    let mut fresh = stack.device("eva", "phone");
    fresh.pull().await;
    assert_eq!(ana.live(), fresh.live());
}

#[tokio::test]
async fn replay_keeps_the_corrected_result() {
    let stack = Stack::new();
    let id = batch(&stack).await;
    // The corrected edit conflicts, and the item as it was sent is rejected.
    let stale = json!({"payload": {"id": "m", "text": "corrected"}, "base_version": 1});
    let response = correct(&stack, &boss(&stack), (&id, 3), &stale).await.ok();
    let result = &response["results"][0];
    assert_eq!(
        (&result["status"], &result["corrected"]),
        (&json!("conflict"), &json!(true))
    );
    assert_eq!(stack.conflicts().len(), 2);

    let replayed = replay(&stack, &boss(&stack), &id, &json!({})).await.ok();
    assert_eq!(replayed["results"][2]["status"], "ok");
    let kept = &replayed["results"][3];
    assert_eq!(
        (&kept["conflict_id"], &kept["corrected"]),
        (&result["conflict_id"], &json!(true))
    );
    assert_eq!(stack.conflicts().len(), 2);
}

#[tokio::test]
async fn failed_correction_can_be_repeated() {
    let stack = Stack::new();
    let id = batch(&stack).await;
    let unknown = json!({"payload": {"id": "unknown", "text": "x"}, "base_version": 1});
    let response = correct(&stack, &boss(&stack), (&id, 3), &unknown).await;
    let result = response.ok()["results"][0].clone();
    assert_eq!(
        (&result["code"], result.get("corrected")),
        (&json!("not_found"), None)
    );
    assert_eq!(results(&stack, &id).await[3]["code"], "not_found");

    let response = correct(&stack, &boss(&stack), (&id, 3), &corrected()).await;
    assert_eq!(response.ok()["results"][0]["status"], "ok");
}

#[tokio::test]
async fn corrected_create_resolves_references() {
    let stack = Stack::new();
    let ana = member_of_north(&stack, "ana");
    let task = |title: Value| {
        let payload = json!({"meter_id": "new", "title": title});
        Item::create_as("task", "t", payload).channel("group/north")
    };
    let invalid = Item::create_as("task", "t2", json!([])).channel("group/north");
    let meter = Item::create_as("meter", "new", json!({"code": "A"}));
    let response = ana.push_batch("b", &json!([meter, invalid])).await.ok();
    let id = response["batch_id"].as_str().expect("an id").to_owned();

    let payload: Value = task(json!("x")).into();
    let correction = json!({"payload": payload["payload"]});
    let result = correct(&stack, &boss(&stack), (&id, 1), &correction).await;
    let task_id = result.ok()["results"][0]["server_id"].clone();
    let row = row(
        &stack,
        &format!("task#{}", task_id.as_str().expect("an id")),
    );
    let payload: Value = serde_json::from_str(&stack.payload_of(&row)).expect("JSON");
    assert_eq!(payload["meter_id"], response["results"][0]["server_id"]);
}

#[tokio::test]
async fn correction_runs_without_the_stored_admin_role() {
    let stack = Stack::new();
    let mut root = stack.device("root", "phone");
    root.token = stack.token("acme", "root", &["admin", "editor"], &[]);
    let invalid = create("m", "1").channel("user/ana").with("payload", 1);
    let id = push(&root, "b", &json!([invalid])).await;

    let body = json!({"payload": {"id": "m", "text": "x"}, "with_stored_roles": true});
    let response = correct(&stack, &boss(&stack), (&id, 0), &body).await.ok();
    assert_eq!(response["runs_as"]["roles"], json!(["editor"]));
    assert_eq!(response["results"][0]["code"], "channel_forbidden");
}

#[tokio::test]
async fn only_rejected_items_can_be_corrected() {
    let stack = Stack::new();
    let id = batch(&stack).await;
    let other = json!([1, edit("missing-too", 1, "x")]);
    let no_object = push(&stack.device("ana", "phone"), "other", &other).await;
    let (unknown, no_id) = (id_of("ana", "unknown"), "no-id".to_owned());
    let before = everything(&stack);

    for (id, index, status) in [
        (&id, "0", 422),
        (&id, "1", 422),
        (&no_object, "0", 422),
        (&id, "4", 404),
        (&id, "50", 404),
        (&id, "-1", 404),
        (&id, "x", 404),
        (&unknown, "0", 404),
        (&no_id, "0", 404),
    ] {
        let path = format!("batches/{id}/items/{index}/correct");
        let response = stack.post(&path, &boss(&stack), &corrected()).await;
        assert_eq!(response.status, status, "{path}: {}", response.text);
    }
    assert_eq!(everything(&stack), before);
}

#[tokio::test(start_paused = true)]
async fn unanswered_batch_cannot_be_corrected() {
    let stack = Stack::new();
    let dying = stack.beside(Arc::new(Script::dying_at(3, Moment::Before)));
    let (device, items) = (dying.device("ana", "phone"), json!([create("a", "1")]));
    let died = tokio::time::timeout(
        std::time::Duration::from_secs(60),
        device.push_batch("b", &items),
    );
    assert!(died.await.is_err());

    let id = id_of("ana", "b");
    let response = correct(&stack, &boss(&stack), (&id, 0), &corrected()).await;
    assert_eq!(
        (response.status, &response.json()["code"]),
        (422, &json!("unprocessable"))
    );
}

#[tokio::test]
async fn correction_is_for_admins_of_the_tenant() {
    let stack = Stack::new();
    let id = batch(&stack).await;
    let before = everything(&stack);
    let token = |tenant, user, roles: &[&str]| stack.token(tenant, user, roles, &[]);
    for (token, status) in [
        (token("acme", "ana", &[]), 403),
        (token("acme", "vic", &["viewer"]), 403),
        (token("umbrella", "boss", &["admin"]), 404),
        ("none".to_owned(), 401),
    ] {
        let response = correct(&stack, &token, (&id, 3), &corrected()).await;
        assert_eq!(response.status, status);
    }
    assert_eq!(everything(&stack), before);
}

#[tokio::test]
async fn invalid_corrections_name_the_member() {
    let stack = Stack::new();
    let id = batch(&stack).await;
    let before = everything(&stack);
    let payload = json!({"id": "m"});
    for (body, path) in [
        (json!({}), "$"),
        (json!({"payload": null}), "payload"),
        (json!({"payload": [1]}), "payload"),
        (json!({"payload": "{}"}), "payload"),
        (
            json!({"payload": payload, "base_version": -1}),
            "base_version",
        ),
        (
            json!({"payload": payload, "note": "x".repeat(2001)}),
            "note",
        ),
        (json!({"payload": payload, "dry_run": "no"}), "dry_run"),
    ] {
        let response = correct(&stack, &boss(&stack), (&id, 3), &body).await;
        let problem = response.json();
        assert_eq!((response.status, &problem["path"]), (400, &json!(path)));
    }
    assert_eq!(everything(&stack), before);

    // A payload beyond the bounds of an item is the result of the item.
    let large = json!({"payload": {"id": "m", "text": "x".repeat(360_000)}});
    let response = correct(&stack, &boss(&stack), (&id, 3), &large).await.ok();
    assert_eq!(response["results"][0]["code"], "payload_too_large");
}

#[tokio::test]
async fn concurrent_correction_is_contended() {
    let gate = Arc::new(Gate::new(|call| {
        call.operation == "TransactWriteItems"
            && String::from_utf8_lossy(call.body).contains("\"sync_batches\"")
    }));
    let stack = Stack::new();
    let id = batch(&stack).await;
    let slow = stack.beside(gate.clone());
    let token = boss(&stack);

    let first = async {
        gate.reached().await;
        let response = correct(&stack, &token, (&id, 3), &corrected()).await;
        gate.open();
        response.ok()
    };
    let body = corrected();
    let (lost, won) = tokio::join!(correct(&slow, &token, (&id, 3), &body), first);
    assert_eq!(
        (lost.status, &lost.json()["code"]),
        (409, &json!("contended"))
    );
    assert_eq!(won["results"][0]["server_version"], 3);
    assert_eq!(row(&stack, "meter#m")["server_version"]["N"], "3");

    let again = correct(&slow, &token, (&id, 3), &body).await.ok();
    assert_eq!(again["results"][0]["server_version"], 3);
}

#[tokio::test]
async fn corrected_id_does_not_deliver_other_content() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ben.push(json!([create("m", "1"), edit("m", 1, "m-2")]))
        .await;
    let id = push(&ana, "b", &json!([edit("missing", 1, "late")])).await;
    let correction = json!({"payload": {"id": "m", "text": "m-3"}, "base_version": 2});
    let response = correct(&stack, &boss(&stack), (&id, 0), &correction).await;
    assert_eq!(response.ok()["results"][0]["server_version"], 3);

    // The item names a resource whose version is equal.
    ben.push(json!([
        create("missing", "1"),
        edit("missing", 1, "2"),
        edit("missing", 2, "3")
    ]))
    .await;
    let desk = Device::new(&stack, ana.token.clone(), "phone");
    let items = json!([edit("missing", 1, "late")]);
    let repeated = desk.push_batch("b", &items).await.ok();
    let result = &repeated["results"][0];
    assert_eq!(
        (&result["server_id"], result.get("server_payload")),
        (&json!("m"), None)
    );
    assert_eq!(result["server_payload_omitted"], true);
}
