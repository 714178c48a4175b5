//! §3.6: sending any item again, in the same batch or another, after any crash, changes nothing and
//! answers as the first time.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::{Reply, http::CallFate};
use tidemark_tests::{Script, Stack, hooks::Moment};

use super::{create, delete, edit, told};

/// A batch with one of everything: creates, a chain of edits, a delete, an edit that conflicts and
/// one behind it, an error.
fn mixed_batch() -> Value {
    json!([
        {"client_temp_id": "t-1", "resource_type": "submission", "action": "create", "client_version": 1,
         "payload": {"form_id": "f", "data": {"a": 1.0}}},
        {"client_temp_id": "t-1", "resource_type": "submission", "action": "update", "client_version": 1, "base_version": 0,
         "payload": {"data": {"b": 2}}},
        edit("mine", 1, 1, "second"),
        edit("mine", 2, 1, "third"),
        delete("gone", 1),
        edit("stale", 1, 1, "mine"),
        edit("stale", 2, 1, "mine again"),
        edit("missing", 1, 1, "x"),
    ])
}

/// A stack in which [`mixed_batch`] meets all that.
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

fn conflicts(stack: &Stack) -> Vec<Value> {
    stack.conflicts()
}

#[tokio::test]
async fn a_retried_push_answers_as_the_first_time() {
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
    let stored = (resources(&stack), conflicts(&stack));

    assert_eq!(told(&ana.push(mixed_batch()).await), told(&first));
    assert_eq!((resources(&stack), conflicts(&stack)), stored);
}

#[tokio::test]
async fn a_batch_split_into_its_items_in_any_order_answers_as_the_first_time() {
    let stack = Stack::new();
    prepared(&stack).await;
    let ana = stack.device("ana", "phone");
    let first = ana.push(mixed_batch()).await;
    let stored = (resources(&stack), conflicts(&stack));

    for index in [7, 3, 0, 6, 2, 5, 1, 4] {
        let again = ana.push_one(mixed_batch()[index].clone()).await;
        assert_eq!(told(&[again]), told(&first[index..=index]), "item {index}");
    }
    let mut backwards = mixed_batch();
    backwards.as_array_mut().expect("a list").reverse();
    let mut again = ana.push(backwards).await;
    again.reverse();
    assert_eq!(told(&again), told(&first));
    assert_eq!((resources(&stack), conflicts(&stack)), stored);
}

#[tokio::test]
async fn a_retry_after_other_peoples_edits_answers_as_the_first_time() {
    let stack = Stack::new();
    prepared(&stack).await;
    let ana = stack.device("ana", "phone");
    let first = ana.push_one(edit("mine", 1, 1, "second")).await;
    assert_eq!(first["server_version"], 2);
    let ben = stack.device("ben", "phone");
    ben.push_one(edit("mine", 2, 2, "ben's")).await;

    assert_eq!(
        told(&[ana.push_one(edit("mine", 1, 1, "second")).await]),
        told(&[first])
    );
    let held = resources(&stack)
        .into_iter()
        .find(|row| row["sk"]["S"] == "meter#mine")
        .expect("the row");
    assert_eq!(held["payload"]["S"], r#"{"by":"ben's"}"#);
}

#[tokio::test]
async fn what_the_row_has_forgotten_becomes_a_conflict_and_is_never_applied_again() {
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

    // The device's own edits overrun the memory too; then its run tells the old one from a new one.
    let chain: Vec<Value> = (0..20)
        .map(|at| edit("gone", 1 + at, 1, &format!("chain {at}")))
        .collect();
    for item in &chain {
        assert_eq!(ana.push_one(item.clone()).await["status"], "ok");
    }
    assert_eq!(ana.push_one(chain[0].clone()).await["status"], "conflict");
    assert_eq!(told(&[ana.push_one(chain[19].clone()).await])[0][2], 21);
}

#[tokio::test]
async fn a_batch_that_edits_one_resource_fifty_times_is_remembered_whole() {
    let stack = Stack::new();
    prepared(&stack).await;
    let ana = stack.device("ana", "phone");
    let chain: Vec<Value> = (0..50)
        .map(|at| edit("mine", 1 + at, 1, &format!("chain {at}")))
        .collect();
    let first = ana.push(chain.clone().into()).await;
    assert_eq!(first[49]["server_version"], 51);
    assert_eq!(told(&ana.push(chain.into()).await), told(&first));
}

#[tokio::test]
async fn a_batch_id_sent_again_answers_with_the_first_answer() {
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
    // Only the payload of what has changed since is left out.
    for index in [5, 6] {
        assert_eq!(again["results"][index]["server_payload_omitted"], true);
        let result = again["results"][index].as_object_mut().expect("a result");
        result.remove("server_payload_omitted");
        result.insert("server_payload".into(), json!({"by": "ben"}));
    }
    assert_eq!(again, first);
    // The same name on another device is another batch.
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
async fn a_first_answer_never_pairs_a_version_with_a_newer_payload() {
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
        told(std::slice::from_ref(again)),
        told(first["results"].as_array().expect("results"))
    );
}

#[tokio::test]
async fn a_batch_id_with_other_items_is_refused_and_applies_nothing() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    ana.push_batch("b-1", &json!([create("one")])).await.ok();
    let rejected = ana.push_batch("b-1", &json!([create("two")])).await;
    assert_eq!(
        (rejected.status, &rejected.json()["code"]),
        (409, &json!("batch_id_reused"))
    );
    assert_eq!(stack.rows("resources").len(), 1);
    // Order of fields and white space make no other items.
    let reordered = r#"[ {"payload": {"by": "first", "id": "one"}, "client_version": 0, "action": "create", "resource_type": "meter"} ]"#;
    assert_eq!(
        ana.push_batch("b-1", &serde_json::from_str(reordered).expect("JSON"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_forgotten_edit_that_claimed_a_version_far_ahead_is_not_applied_again() {
    let stack = Stack::new();
    prepared(&stack).await;
    // A client that counts in its own way and sends no base version.
    let mut claimed = edit("mine", 20, 0, "claims twenty");
    claimed
        .as_object_mut()
        .expect("an item")
        .remove("base_version");
    let ana = stack.device("ana", "phone");
    assert_eq!(ana.push_one(claimed.clone()).await["server_version"], 2);
    let ben = stack.device("ben", "phone");
    for version in 2..20 {
        ben.push_one(edit("mine", version, version, &format!("ben's {version}")))
            .await;
    }
    assert_eq!(ana.push_one(claimed).await["status"], "conflict");
    // It is that device's claim, and stands in nobody else's way.
    let mut seen = edit("mine", 20, 0, "eva's");
    seen.as_object_mut()
        .expect("an item")
        .remove("base_version");
    assert_eq!(
        stack.device("eva", "phone").push_one(seen).await["status"],
        "ok"
    );
}

#[tokio::test]
async fn results_of_other_items_under_an_expired_batch_id_count_as_none() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    ana.push_batch("b-1", &json!([create("old")])).await.ok();
    // The raw items have expired, the results not yet.
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

/// A table that throttles every statement inside a 200, as DynamoDB does, while the switch is on.
fn throttling(is_on: Arc<std::sync::atomic::AtomicBool>) -> Script {
    Script::new(move |_, operation, body, moment| {
        if operation != "BatchExecuteStatement"
            || moment == Moment::After
            || !is_on.load(std::sync::atomic::Ordering::SeqCst)
        {
            return CallFate::Continue;
        }
        let request: Value = serde_json::from_str(body).expect("a request");
        let error = json!({"Error": {"Code": "ThrottlingError", "Message": "slow down"}});
        let responses: Vec<Value> = request["Statements"]
            .as_array()
            .expect("statements")
            .iter()
            .map(|_| error.clone())
            .collect();
        CallFate::Reply(Reply {
            status: 200,
            body: json!({"Responses": responses}).to_string().into_bytes(),
        })
    })
}

#[tokio::test(start_paused = true)]
async fn items_answered_retryable_are_tried_again_under_the_same_batch_id() {
    let is_throttled = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let stack = Stack::hooked(Arc::new(throttling(is_throttled.clone())));
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

    is_throttled.store(false, std::sync::atomic::Ordering::SeqCst);
    ana.push_one(create("missing")).await;
    let second = ana.push_batch("b-1", &items).await.ok();
    assert_eq!(
        (
            &second["results"][0]["status"],
            &second["results"][0]["server_version"]
        ),
        (&json!("ok"), &json!(1))
    );
    assert_eq!(
        second["results"][1], results[1],
        "what was settled stays settled"
    );
    assert_eq!(ana.push_batch("b-1", &items).await.ok(), second);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_found_to_be_the_own_one() {
    // Every first BatchExecuteStatement of a push takes effect and its answer is lost; the SDK
    // sends it again.
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
        told(&results),
        told(
            &ana.push(json!([
                create("one"),
                edit("one", 1, 0, "x"),
                create("two")
            ]))
            .await
        )
    );
    assert_eq!(results[1]["server_version"], 2);
    assert!(conflicts(&stack).is_empty());
}
