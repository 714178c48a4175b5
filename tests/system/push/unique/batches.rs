//! Unique values within a batch: its items take and free values in their order.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use serde_json::json;
use tidemark::engine::{Reply, http::CallFate};
use tidemark_core::model::{ids::BatchId, limits::COMMIT_ATTEMPTS_MAX};
use tidemark_tests::{Script, Stack, hooks::Moment, scenario};

use super::{create, delete, patch, statuses};

#[tokio::test]
async fn first_of_a_batch_gets_the_value() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let results = ana
        .push(json!([
            create("m-1", "A"),
            create("m-2", "A"),
            create("m-3", "B")
        ]))
        .await;
    assert_eq!(statuses(&results), ["ok", "conflict", "ok"]);
    assert_eq!(results[1]["holder_id"], "m-1");

    // A later item of the batch may take a value that an earlier item frees.
    let results = ana
        .push(json!([
            patch("m-1", 1, json!({"code": "C"})),
            create("m-4", "A"),
            create("m-5", "C")
        ]))
        .await;
    assert_eq!(statuses(&results), ["ok", "ok", "conflict"]);

    let results = ana
        .push(json!([delete("m-3", 1), create("m-6", "B")]))
        .await;
    assert_eq!(statuses(&results), ["ok", "ok"]);
}

#[tokio::test]
async fn values_change_hands_in_batch_order() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    ana.push(json!([create("m-1", "A"), create("m-2", "B")]))
        .await;
    let code = |code: &str| json!({ "code": code });
    // Each item takes the value that the preceding item frees.
    let results = ana
        .push(json!([
            patch("m-1", 1, code("C")),
            patch("m-2", 1, code("A")),
            create("m-3", "B")
        ]))
        .await;
    assert_eq!(statuses(&results), ["ok", "ok", "ok"], "{results:?}");
}

#[tokio::test]
async fn long_chain_of_values_moves_either_way() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let meters = 1..=15;
    ana.push(
        meters
            .clone()
            .map(|number| create(&format!("m-{number}"), number))
            .collect(),
    )
    .await;
    let next = |number: u64, base: u64, code: u64| {
        patch(&format!("m-{number}"), base, json!({ "code": code }))
    };

    // Each item requests the value that the next resource still holds.
    let up = ana
        .push(
            meters
                .clone()
                .map(|number| next(number, 1, number + 1))
                .collect(),
        )
        .await;
    assert_eq!(
        statuses(&up),
        [vec!["conflict"; 14], vec!["ok"]].concat(),
        "{up:?}"
    );
    assert!(
        up[..14]
            .iter()
            .all(|result| result["code"] == "unique_violation"),
        "{up:?}"
    );

    // Each item takes the value that the preceding item frees.
    let further = |number| {
        if number == 15 {
            next(15, 2, 17)
        } else {
            next(number, 1, number + 1)
        }
    };
    let down = ana.push(meters.rev().map(further).collect()).await;
    assert_eq!(statuses(&down), ["ok"; 15], "{down:?}");
}

#[tokio::test]
async fn value_of_retried_create_can_be_taken() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    ana.push_one(create("m-1", "A")).await;
    // The response was lost, so the create is repeated. Only the processing of the batch shows that
    // the resource exists.
    let results = ana
        .push(json!([
            create("m-1", "A"),
            patch("m-1", 1, json!({"code": "C"})),
            create("m-2", "A")
        ]))
        .await;
    assert_eq!(statuses(&results), ["ok", "ok", "ok"], "{results:?}");
}

#[tokio::test(start_paused = true)]
async fn dry_run_simulates_values_of_the_batch() {
    let stack = Stack::new();
    stack
        .device("ana", "phone")
        .push_one(create("m-1", "A"))
        .await;

    // The push dies before it applies anything, and its items are stored.
    let items = json!([
        patch("m-1", 1, json!({"code": "C"})),
        create("m-4", "A"),
        create("m-5", "C")
    ]);
    let dying = stack.beside(Arc::new(Script::new(|_, operation, _, moment| {
        match (operation, moment) {
            ("TransactWriteItems", Moment::Before) => CallFate::Hang,
            _ => CallFate::Continue,
        }
    })));
    let device = dying.device("ana", "phone");
    let died = tokio::time::timeout(
        std::time::Duration::from_secs(60),
        device.push_batch("b", &items),
    )
    .await;
    assert!(died.is_err());

    let admin = scenario::admin(&stack);
    let path = format!(
        "batches/{}/replay",
        BatchId::derived("acme", "ana", "phone", "b")
    );
    let dry = stack
        .post(&path, &admin, &json!({"dry_run": true}))
        .await
        .ok();
    assert_eq!(
        (
            stack.rows("resources").len(),
            stack.rows("unique_keys").len()
        ),
        (1, 1)
    );

    let real = stack.post(&path, &admin, &json!({})).await.ok();
    for replay in [&dry, &real] {
        assert_eq!(
            statuses(replay["results"].as_array().unwrap()),
            ["ok", "ok", "conflict"]
        );
    }
    assert_eq!(dry["results"].to_string(), real["results"].to_string());
}

#[tokio::test(start_paused = true)]
async fn contended_create_does_not_reject_waiting_one() {
    // Another writer is always faster than the transaction of m-1.
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = attempts.clone();
    let stack = Stack::hooked(Arc::new(Script::new(move |_, operation, body, moment| {
        let is_first = operation == "TransactWriteItems" && body.contains("m-1");
        if !is_first || moment == Moment::After {
            return CallFate::Continue;
        }
        counted.fetch_add(1, Ordering::SeqCst);
        let cancelled = json!({"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException", "Message": "Transaction cancelled",
            "CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}]});
        CallFate::Reply(Reply {
            status: 400,
            body: cancelled.to_string().into_bytes(),
        })
    })));

    // Both claim the value, so m-2 waits for m-1.
    let ana = stack.device("ana", "phone");
    let results = ana
        .push(json!([create("m-1", "A"), create("m-2", "A")]))
        .await;
    assert_eq!(
        (&results[0]["code"], &results[0]["retryable"]),
        (&json!("contended"), &json!(true))
    );
    assert_eq!(attempts.load(Ordering::SeqCst), COMMIT_ATTEMPTS_MAX);
    assert_eq!(results[1]["status"], "ok");
}
