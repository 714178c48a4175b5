//! No update is lost: a write that is based on an outdated version conflicts.

use std::sync::{Arc, atomic::AtomicBool};

use serde_json::{Value, json};
use tidemark::engine::http::CallFate;
use tidemark_tests::{Device, Item, Script, Stack, hooks::Gate, scenario};

use super::{create, edit};

/// Returns a stack whose functions yield to each other at every call, so that all of them load
/// before any commits.
fn interleaving() -> Stack {
    Stack::hooked(Arc::new(Script::new(|_, _, _, _| CallFate::Continue)))
}

/// Creates the meter `m` as Ana and changes it as Ben.
async fn changed_by_ben(stack: &Stack) {
    stack.device("ana", "phone").push_one(create("m")).await;
    stack
        .device("ben", "phone")
        .push_one(edit("m", 1, 1, "ben"))
        .await;
}

async fn together(devices: &[Device<'_>], item: impl Fn(usize) -> Item) -> Vec<Value> {
    let pushes: Vec<_> = devices
        .iter()
        .enumerate()
        .map(|(index, device)| device.push_one(item(index)))
        .collect();

    let mut results = Vec::new();
    let mut running: Vec<_> = pushes.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        running.retain_mut(|push| match push.as_mut().poll(context) {
            std::task::Poll::Ready(result) => {
                results.push(result);
                false
            }
            std::task::Poll::Pending => true,
        });
        if running.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    results
}

fn count(results: &[Value], status: &str) -> usize {
    results
        .iter()
        .filter(|result| result["status"] == status)
        .count()
}

#[tokio::test]
async fn concurrent_writers_one_wins_others_conflict() {
    let stack = interleaving();
    stack.device("ana", "phone").push_one(create("m")).await;
    let devices: Vec<_> = (0..8)
        .map(|at| stack.device(&format!("user-{at}"), "phone"))
        .collect();

    let results = together(&devices, |at| edit("m", 1, 1, &format!("user-{at}"))).await;
    assert_eq!((count(&results, "ok"), count(&results, "conflict")), (1, 7));
    let row = &stack.rows("resources")[0];
    assert_eq!(row["server_version"]["N"], "2");

    let mut kept: Vec<String> = stack
        .conflicts()
        .iter()
        .map(|it| it["client_payload"]["S"].to_string())
        .collect();
    kept.push(row["payload"]["S"].to_string());
    kept.sort();
    kept.dedup();
    assert_eq!(kept.len(), 8, "all eight edits are stored: {kept:?}");
}

#[tokio::test]
async fn concurrent_creates_of_one_id_one_wins() {
    let stack = interleaving();
    let devices: Vec<_> = (0..8)
        .map(|at| stack.device(&format!("user-{at}"), "phone"))
        .collect();
    let results = together(&devices, |_| create("m")).await;
    assert_eq!((count(&results, "ok"), count(&results, "conflict")), (1, 7));
    assert!(
        results
            .iter()
            .filter(|it| it["status"] == "conflict")
            .all(|it| it["code"] == "id_taken")
    );
}

#[tokio::test]
async fn concurrent_identical_edits_apply_once() {
    let stack = interleaving();
    stack.device("ana", "phone").push_one(create("m")).await;
    let devices: Vec<_> = (0..8).map(|_| stack.device("ana", "phone")).collect();
    let results = together(&devices, |_| edit("m", 1, 1, "once")).await;
    assert!(
        results
            .iter()
            .all(|result| result["status"] == "ok" && result["server_version"] == 2),
        "{results:?}"
    );
    assert_eq!(stack.rows("resources")[0]["server_version"]["N"], "2");
}

#[tokio::test]
async fn concurrent_conflicts_of_device_lose_no_edit() {
    let stack = interleaving();
    changed_by_ben(&stack).await;

    let devices: Vec<_> = (0..8).map(|_| stack.device("ana", "phone")).collect();
    let results = together(&devices, |at| {
        edit("m", 1 + at as u64, 1, &format!("edit-{at}"))
    })
    .await;
    assert_eq!(count(&results, "conflict"), 8);
    let kept = json!(stack.conflicts()).to_string();
    assert!(
        (0..8).all(|at| kept.contains(&format!("edit-{at}"))),
        "{kept}"
    );
}

#[tokio::test]
async fn concurrently_joined_edits_are_all_kept() {
    let stack = interleaving();
    changed_by_ben(&stack).await;
    let opened = stack
        .device("ana", "phone")
        .push_one(edit("m", 1, 1, "opens"))
        .await;

    let devices: Vec<_> = (0..8).map(|_| stack.device("ana", "phone")).collect();
    let results = together(&devices, |at| {
        edit("m", 2 + at as u64, 1, &format!("joins-{at}"))
    })
    .await;
    assert!(
        results
            .iter()
            .all(|result| result["conflict_id"] == opened["conflict_id"]),
        "{results:?}"
    );

    let kept = scenario::conflict(&stack, &opened["conflict_id"])
        .await
        .to_string();
    assert!(
        kept.contains("opens") && (0..8).all(|at| kept.contains(&format!("joins-{at}"))),
        "{kept}"
    );
}

#[tokio::test]
async fn concurrent_identical_edits_join_once() {
    let stack = interleaving();
    changed_by_ben(&stack).await;
    stack
        .device("ana", "phone")
        .push_one(edit("m", 1, 1, "opens"))
        .await;

    let devices: Vec<_> = (0..8).map(|_| stack.device("ana", "phone")).collect();
    let results = together(&devices, |_| edit("m", 2, 1, "joins")).await;
    assert_eq!(count(&results, "conflict"), 8);
    let conflict = &stack.conflicts()[0];
    assert_eq!(
        (
            conflict["edits"]["L"].as_array().map(Vec::len),
            &conflict["edit_count"]["N"]
        ),
        (Some(2), &json!("2"))
    );
}

#[tokio::test]
async fn slow_retry_keeps_edits_joined_meanwhile() {
    let gate = Arc::new(Gate::new(|call| {
        call.operation == "BatchExecuteStatement"
            && String::from_utf8_lossy(call.body).contains("INSERT INTO \\\"conflicts\\\"")
    }));
    let stack = Stack::hooked(gate.clone());
    changed_by_ben(&stack).await;

    let slow = stack.device("ana", "phone");
    let (slow, ()) = tokio::join!(slow.push_one(edit("m", 1, 1, "opens")), async {
        gate.reached().await;
        let ana = stack.device("ana", "phone");
        ana.push_one(edit("m", 1, 1, "opens")).await;
        ana.push_one(edit("m", 2, 1, "joins")).await;
        gate.open();
    });

    let conflicts = stack.conflicts();
    assert_eq!(
        (conflicts.len(), &conflicts[0]["id"]["S"]),
        (1, &slow["conflict_id"])
    );
    assert!(conflicts[0].to_string().contains("joins"));
}

#[tokio::test]
async fn corrupt_row_affects_only_its_resource() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    ana.push(json!([create("broken"), create("fine")])).await;
    let mut row = stack
        .rows("resources")
        .into_iter()
        .find(|row| row["sk"]["S"] == "meter#broken")
        .expect("the row");
    row["resolutions"] = json!({"S": "by hand"});
    stack.dynamodb("PutItem", &json!({"TableName": "resources", "Item": row}));

    let results = ana
        .push(json!([edit("broken", 1, 1, "a"), edit("fine", 1, 1, "a")]))
        .await;
    assert_eq!(
        (&results[0]["code"], &results[0]["retryable"]),
        (&json!("unavailable"), &json!(true))
    );
    assert_eq!(results[1]["status"], "ok");
    let mut fresh = stack.device("ben", "phone");
    fresh.pull().await;
    assert_eq!(fresh.live().into_keys().collect::<Vec<_>>(), ["fine"]);
    assert_eq!(
        stack.rows("resources").len(),
        2,
        "and the corrupt row is left for manual repair"
    );
}

#[tokio::test(start_paused = true)]
async fn persistent_contention_is_retryable() {
    // The condition of every statement fails, as if another writer were always faster.
    let stack = Stack::hooked(Arc::new(Script::failing_statements(
        "ConditionalCheckFailed",
        "The conditional request failed",
        Arc::new(AtomicBool::new(true)),
    )));

    let result = stack.device("ana", "phone").push_one(create("m")).await;
    assert_eq!(
        (&result["code"], &result["retryable"]),
        (&json!("contended"), &json!(true))
    );
}
