//! A retry of any item is idempotent, in the same batch or another and after any crash: it changes
//! nothing and returns the first result (§3.6).

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};
use tidemark::engine::http::CallFate;
use tidemark_tests::{Item, Script, Stack, hooks::Moment};

use super::{create, delete, edit, stable_fields};

/// Builds a batch with each kind of item: creates, a chain of edits, a delete, an edit that
/// conflicts and another after it, and an error.
fn mixed_batch() -> Value {
    json!([
        Item::create_as(
            "submission",
            "t-1",
            json!({"form_id": "f", "data": {"a": 1.0}})
        )
        .version(1),
        Item::new("submission", "update", 1)
            .base(0)
            .temp_id("t-1")
            .payload(json!({"data": {"b": 2}})),
        edit("mine", 1, 1, "second"),
        edit("mine", 2, 1, "third"),
        delete("gone", 1),
        edit("stale", 1, 1, "mine"),
        edit("stale", 2, 1, "mine again"),
        edit("missing", 1, 1, "x"),
    ])
}

/// Prepares the resources that [`mixed_batch`] refers to.
async fn prepared(stack: &Stack) {
    let ana = stack.device("ana", "phone");
    ana.push(json!([create("mine"), create("gone"), create("stale")]))
        .await;
    stack
        .device("ben", "phone")
        .push_one(edit("stale", 1, 1, "ben"))
        .await;
}

fn resources(stack: &Stack) -> Vec<Value> {
    let mut rows = stack.rows("resources");
    rows.sort_by_key(|row| row["sk"]["S"].to_string());
    rows
}

#[tokio::test]
async fn retried_push_is_idempotent() {
    let stack = Stack::new();
    prepared(&stack).await;
    let ana = stack.device("ana", "phone");
    let first = ana.push(mixed_batch()).await;
    let statuses: Vec<&Value> = first.iter().map(|result| &result["status"]).collect();
    assert_eq!(
        statuses,
        [
            "ok", "ok", "ok", "ok", "ok", "conflict", "conflict", "error"
        ]
    );
    let stored = (resources(&stack), stack.conflicts());

    assert_eq!(
        stable_fields(&ana.push(mixed_batch()).await),
        stable_fields(&first)
    );
    assert_eq!((resources(&stack), stack.conflicts()), stored);
}

#[tokio::test]
async fn retried_items_in_any_order_are_idempotent() {
    let stack = Stack::new();
    prepared(&stack).await;
    let ana = stack.device("ana", "phone");
    let first = ana.push(mixed_batch()).await;
    let stored = (resources(&stack), stack.conflicts());

    for index in [7, 3, 0, 6, 2, 5, 1, 4] {
        let again = ana.push_one(mixed_batch()[index].clone()).await;
        assert_eq!(
            stable_fields(&[again]),
            stable_fields(&first[index..=index]),
            "item {index}"
        );
    }
    let mut backwards = mixed_batch();
    backwards.as_array_mut().expect("a list").reverse();
    let mut again = ana.push(backwards).await;
    again.reverse();
    assert_eq!(stable_fields(&again), stable_fields(&first));
    assert_eq!((resources(&stack), stack.conflicts()), stored);
}

#[tokio::test]
async fn retry_after_other_edits_is_idempotent() {
    let stack = Stack::new();
    prepared(&stack).await;
    let ana = stack.device("ana", "phone");
    let first = ana.push_one(edit("mine", 1, 1, "second")).await;
    assert_eq!(first["server_version"], 2);
    let ben = stack.device("ben", "phone");
    ben.push_one(edit("mine", 2, 2, "ben's")).await;

    assert_eq!(
        stable_fields(&[ana.push_one(edit("mine", 1, 1, "second")).await]),
        stable_fields(&[first])
    );
    let held = resources(&stack)
        .into_iter()
        .find(|row| row["sk"]["S"] == "meter#mine")
        .expect("the row");
    assert_eq!(held["payload"]["S"], r#"{"by":"ben's"}"#);
}

#[tokio::test]
async fn edit_outside_deduplication_window_becomes_conflict() {
    let stack = Stack::new();
    prepared(&stack).await;
    let ana = stack.device("ana", "phone");
    ana.push_one(edit("mine", 1, 1, "ana's")).await;
    let ben = stack.device("ben", "phone");
    for version in 2..19 {
        ben.push_one(edit("mine", version, version, &format!("ben's {version}")))
            .await;
    }
    let again = ana.push_one(edit("mine", 1, 1, "ana's")).await;
    assert_eq!(
        (&again["status"], &again["server_version"]),
        (&json!("conflict"), &json!(19))
    );

    // The device's own edits exceed the deduplication window too. Then the device's run
    // distinguishes an old edit from a new one.
    let chain: Vec<Item> = (0..20)
        .map(|at| edit("gone", 1 + at, 1, &format!("chain {at}")))
        .collect();
    for item in &chain {
        assert_eq!(ana.push_one(item.clone()).await["status"], "ok");
    }
    assert_eq!(ana.push_one(chain[0].clone()).await["status"], "conflict");
    assert_eq!(
        stable_fields(&[ana.push_one(chain[19].clone()).await])[0][2],
        21
    );
}

#[tokio::test]
async fn fifty_edits_of_one_batch_are_deduplicated() {
    let stack = Stack::new();
    prepared(&stack).await;
    let ana = stack.device("ana", "phone");
    let chain: Vec<Item> = (0..50)
        .map(|at| edit("mine", 1 + at, 1, &format!("chain {at}")))
        .collect();
    let first = ana.push(chain.clone().into()).await;
    assert_eq!(first[49]["server_version"], 51);
    assert_eq!(
        stable_fields(&ana.push(chain.into()).await),
        stable_fields(&first)
    );
}

#[tokio::test]
async fn repeated_batch_id_returns_first_response() {
    let stack = Stack::new();
    prepared(&stack).await;
    let ana = stack.device("ana", "phone");
    let first = ana.push_batch("b-1", &mixed_batch()).await.ok();
    stack
        .device("ben", "phone")
        .push_one(edit("stale", 2, 2, "ben again"))
        .await;
    stack.advance(chrono::Duration::hours(1));
    let mut again = ana.push_batch("b-1", &mixed_batch()).await.ok();

    // Only payloads of resources that have changed since are omitted.
    for index in [5, 6] {
        assert_eq!(again["results"][index]["server_payload_omitted"], true);
        let result = again["results"][index].as_object_mut().expect("a result");
        result.remove("server_payload_omitted");
        result.insert("server_payload".into(), json!({"by": "ben"}));
    }
    assert_eq!(again, first);

    // The same batch id on another device is another batch.
    assert_ne!(
        stack
            .device("ana", "tablet")
            .push_batch("b-1", &json!([create("other")]))
            .await
            .ok()["batch_id"],
        first["batch_id"]
    );
}

#[tokio::test]
async fn replayed_version_never_has_newer_payload() {
    let stack = Stack::new();
    prepared(&stack).await;
    let ana = stack.device("ana", "phone");
    let items = json!([edit("stale", 1, 1, "mine")]);
    let first = ana.push_batch("b-1", &items).await.ok();
    assert_eq!(first["results"][0]["server_payload"], json!({"by": "ben"}));

    stack
        .device("ben", "phone")
        .push_one(edit("stale", 2, 2, "ben again"))
        .await;
    ana.push_one(edit("stale", 2, 1, "joins on the newer version"))
        .await;

    let again = &ana.push_batch("b-1", &items).await.ok()["results"][0];
    assert_eq!(
        (&again["server_version"], &again["server_payload_omitted"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(
        stable_fields(std::slice::from_ref(again)),
        stable_fields(first["results"].as_array().expect("results"))
    );
}

#[tokio::test]
async fn reused_batch_id_is_rejected() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    ana.push_batch("b-1", &json!([create("one")])).await.ok();
    let rejected = ana.push_batch("b-1", &json!([create("two")])).await;
    assert_eq!(
        (rejected.status, &rejected.json()["code"]),
        (409, &json!("batch_id_reused"))
    );
    assert_eq!(stack.rows("resources").len(), 1);

    // Another order of fields and other white space do not make the items different.
    let reordered = r#"[ {"payload": {"by": "first", "id": "one"}, "client_version": 0, "action": "create", "resource_type": "meter"} ]"#;
    assert_eq!(
        ana.push_batch("b-1", &serde_json::from_str(reordered).expect("JSON"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn high_water_mark_prevents_reapplying_expired_edit() {
    let stack = Stack::new();
    prepared(&stack).await;
    // The client numbers versions in its own way and sends no base version.
    let claimed = Item::update("meter", "mine", 20, json!({"by": "claims twenty"}));
    let ana = stack.device("ana", "phone");
    assert_eq!(ana.push_one(claimed.clone()).await["server_version"], 2);

    let ben = stack.device("ben", "phone");
    for version in 2..20 {
        ben.push_one(edit("mine", version, version, &format!("ben's {version}")))
            .await;
    }
    assert_eq!(ana.push_one(claimed).await["status"], "conflict");

    // The high-water mark is stored per device and does not affect other devices.
    let seen = Item::update("meter", "mine", 20, json!({"by": "eva's"}));
    assert_eq!(
        stack.device("eva", "phone").push_one(seen).await["status"],
        "ok"
    );
}

#[tokio::test]
async fn expired_batch_id_accepts_other_items() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    ana.push_batch("b-1", &json!([create("old")])).await.ok();

    // The raw items have expired, but the results have not.
    for row in stack.rows("sync_items") {
        let key = json!({"pk": row["pk"], "sk": row["sk"]});
        stack.dynamodb(
            "DeleteItem",
            &json!({"TableName": "sync_items", "Key": key}),
        );
    }

    let results = ana.push_batch("b-1", &json!([create("new")])).await.ok();
    assert_eq!(
        (
            &results["results"][0]["server_id"],
            stack.rows("resources").len()
        ),
        (&json!("new"), 2)
    );
}

#[tokio::test(start_paused = true)]
async fn batch_retry_processes_retryable_items_again() {
    let is_throttled = Arc::new(AtomicBool::new(true));
    let throttling =
        Script::failing_statements("ThrottlingError", "slow down", is_throttled.clone());
    let stack = Stack::hooked(Arc::new(throttling));
    let ana = stack.device("ana", "phone");
    let items = json!([create("one"), edit("missing", 1, 1, "x")]);
    let first = ana.push_batch("b-1", &items).await.ok();
    let results = &first["results"];
    assert_eq!(
        (&results[0]["code"], &results[0]["retryable"]),
        (&json!("unavailable"), &json!(true))
    );
    assert_eq!(
        (&results[1]["code"], &results[1]["retryable"]),
        (&json!("not_found"), &json!(false))
    );

    is_throttled.store(false, Ordering::SeqCst);
    ana.push_one(create("missing")).await;
    let second = ana.push_batch("b-1", &items).await.ok();
    assert_eq!(
        (
            &second["results"][0]["status"],
            &second["results"][0]["server_version"]
        ),
        (&json!("ok"), &json!(1))
    );
    assert_eq!(second["results"][1], results[1], "a final result is kept");
    assert_eq!(ana.push_batch("b-1", &items).await.ok(), second);
}

#[tokio::test(start_paused = true)]
async fn write_with_lost_response_is_recognized() {
    // The first BatchExecuteStatement takes effect, but its response is lost, so the SDK sends it
    // again.
    let mut is_first = true;
    let stack = Stack::hooked(Arc::new(Script::new(move |_, operation, _, moment| {
        let loses = operation == "BatchExecuteStatement" && moment == Moment::After && is_first;
        is_first &= !loses;
        if loses {
            CallFate::Lose
        } else {
            CallFate::Continue
        }
    })));

    let ana = stack.device("ana", "phone");
    let results = ana
        .push(json!([
            create("one"),
            edit("one", 1, 0, "x"),
            create("two")
        ]))
        .await;
    assert_eq!(
        stable_fields(&results),
        stable_fields(
            &ana.push(json!([
                create("one"),
                edit("one", 1, 0, "x"),
                create("two")
            ]))
            .await
        )
    );
    assert_eq!(results[1]["server_version"], 2);
    assert!(stack.conflicts().is_empty());
}
