//! Replays of batches that did not finish, and replays that run concurrently with each other or
//! with the push of the batch.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chrono::Duration;
use serde_json::{Value, json};
use tidemark_tests::{
    Script, Stack,
    hooks::{Gate, Moment},
};

use super::{
    super::{boss, create, edit, get, id_of, push, replay},
    audit, expected, outcomes, prepared, version,
};

#[tokio::test(start_paused = true)]
async fn unfinished_batch_is_replayed_completely() {
    let stack = Stack::new();
    let dying = Stack::over(
        stack.engine.clone(),
        Arc::new(Script::dying_at(3, Moment::Before)),
    );
    let (device, items) = (
        dying.device("ana", "phone"),
        json!([create("a", "1"), edit("a", 1, "2"), create("b", "1")]),
    );
    assert!(
        tokio::time::timeout(
            std::time::Duration::from_secs(60),
            device.push_batch("b", &items)
        )
        .await
        .is_err()
    );

    let id = id_of("ana", "b");
    let dry = replay(&stack, &boss(&stack), &id, &json!({"dry_run": true}))
        .await
        .ok();
    let results = replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"].clone();
    assert_eq!(
        outcomes(&results),
        [
            (json!("ok"), json!(1)),
            (json!("ok"), json!(2)),
            (json!("ok"), json!(1))
        ]
    );
    assert_eq!(dry["results"], results);

    // The device has not received a response and sends the batch again.
    let again = stack
        .device("ana", "phone")
        .push_batch("b", &items)
        .await
        .ok();
    assert_eq!(again["results"], results);
    assert_eq!(
        (version(&stack, "a"), version(&stack, "b")),
        (json!("2"), json!("1"))
    );
    assert_eq!(audit(&stack, "replay_started")[0]["before"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn retryable_items_are_replayed() {
    let is_throttled = Arc::new(AtomicBool::new(true));
    let throttling =
        Script::failing_statements("ThrottlingError", "slow down", is_throttled.clone());
    let stack = Stack::hooked(Arc::new(throttling));

    let id = push(
        &stack.device("ana", "phone"),
        "b",
        &json!([create("one", "1")]),
    )
    .await;
    assert_eq!(
        get(&stack, &boss(&stack), &id).await.ok()["results"][0]["retryable"],
        true
    );

    is_throttled.store(false, Ordering::SeqCst);
    let results = replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"].clone();
    assert_eq!(outcomes(&results), [(json!("ok"), json!(1))]);
}

#[tokio::test]
async fn concurrent_replays_do_not_overwrite_results() {
    let gate = Arc::new(Gate::new(|call| {
        call.operation == "TransactWriteItems"
            && String::from_utf8_lossy(call.body).contains("\"sync_batches\"")
    }));
    let stack = Stack::new();
    let id = prepared(&stack).await;
    let slow = Stack::over(stack.engine.clone(), gate.clone());
    slow.advance(Duration::hours(1));
    let token = boss(&stack);

    let first = async {
        gate.reached().await;
        let response = replay(&stack, &token, &id, &json!({})).await;
        gate.open();
        response
    };

    let body = json!({});
    let (lost, won) = tokio::join!(replay(&slow, &token, &id, &body), first);

    assert_eq!(outcomes(&won.ok()["results"]), expected());
    assert_eq!(
        (lost.status, &lost.json()["code"]),
        (409, &json!("contended"))
    );
    assert_eq!(
        outcomes(&get(&stack, &token, &id).await.ok()["results"]),
        expected()
    );
    assert_eq!(audit(&stack, "replay_finished").len(), 1);
    assert_eq!(version(&stack, "missing"), "2");
}

#[tokio::test]
async fn slow_push_does_not_overwrite_replay_results() {
    let gate = Arc::new(Gate::new(|call| {
        call.operation == "PutItem"
            && String::from_utf8_lossy(call.body).contains("\"sync_batches\"")
    }));
    let stack = Stack::new();
    let slow = Stack::over(stack.engine.clone(), gate.clone());
    let items = json!([create("mine", "1"), edit("missing", 1, "late")]);
    let (device, id) = (slow.device("ana", "phone"), id_of("ana", "b"));

    let meanwhile = async {
        gate.reached().await;
        stack
            .device("ben", "phone")
            .push_one(create("missing", "1"))
            .await;
        stack.advance(Duration::seconds(1));
        replay(&stack, &boss(&stack), &id, &json!({})).await.ok();
        gate.open();
    };

    let (pushed, ()) = tokio::join!(device.push_batch("b", &items), meanwhile);
    assert_eq!(pushed.ok()["results"][1]["code"], "not_found");

    let shown = get(&stack, &boss(&stack), &id).await.ok();
    assert_eq!(
        outcomes(&shown["results"]),
        [(json!("ok"), json!(1)), (json!("ok"), json!(2))]
    );
}
