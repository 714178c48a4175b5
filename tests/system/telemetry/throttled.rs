//! Statements that are throttled within a response of 200, and transactions that are cancelled
//! because a table is throttled: how long they are retried, and what is logged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tidemark::engine::{Reply, http::CallFate};
use tidemark_aws::Random;
use tidemark_tests::{ApiResponse, Item, Script, Stack, hooks::Moment};
use tokio::time::Instant;
use tracing::level_filters::LevelFilter;

use super::CapturedLog;

const STATEMENT: &str = "BatchExecuteStatement";
const TRANSACTION: &str = "TransactWriteItems";
const REASON: &str = "Throughput exceeds the current capacity for one or more global secondary indexes of table resources";

/// Returns a hook that throttles the first `times` calls of this operation.
fn throttling(throttled: &'static str, times: usize, calls: Arc<AtomicUsize>) -> Script {
    Script::new(move |_, operation, body, moment| {
        if operation != throttled
            || moment == Moment::After
            || calls.fetch_add(1, Ordering::SeqCst) >= times
        {
            return CallFate::Continue;
        }

        let request: Value = serde_json::from_str(body).unwrap();
        if operation == TRANSACTION {
            let reason = |number| match number {
                0 => json!({"Code": "ThrottlingError", "Message": REASON}),
                _ => json!({"Code": "None"}),
            };
            let reasons: Vec<Value> = (0..request["TransactItems"].as_array().unwrap().len())
                .map(reason)
                .collect();
            let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
            let body =
                json!({"__type": kind, "Message": "cancelled", "CancellationReasons": reasons});
            return CallFate::Reply(Reply {
                status: 400,
                body: body.to_string().into_bytes(),
            });
        }

        let error = json!({"Error": {"Code": "ThrottlingError", "Message": REASON}});
        let responses: Vec<Value> = request["Statements"]
            .as_array()
            .unwrap()
            .iter()
            .map(|_| error.clone())
            .collect();
        CallFate::Reply(Reply {
            status: 200,
            body: json!({"Responses": responses}).to_string().into_bytes(),
        })
    })
}

/// Pushes an item, with these waits drawn one after the other. Returns the result's code, the
/// number of calls and the time taken. An item with a unique value is written in a transaction.
async fn pushed(
    throttled: &'static str,
    times: usize,
    drawn: &'static [u64],
) -> (Value, usize, Duration) {
    let stack = Stack::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let next = AtomicUsize::new(0);
    let random = Random::from_fn(move || drawn[next.fetch_add(1, Ordering::SeqCst) % drawn.len()]);
    let hook = Arc::new(throttling(throttled, times, Arc::clone(&calls)));
    let context = stack.context("push", hook.clone()).with_random(random);
    let media = stack.media("push", hook);

    let payload = match throttled {
        TRANSACTION => json!({"code": "X"}),
        _ => json!({}),
    };
    let item = Item::create("meter", "secret-id", payload);
    let body = json!({"device_id": "phone", "items": [item]});
    let event = stack
        .event(
            "POST",
            "sync/push",
            &stack.token("acme", "ana", &[], &[]),
            &body,
        )
        .to_string();

    let began = Instant::now();
    let request = tidemark_tests::request(&event);
    let response = ApiResponse::read(tidemark_push::handle(&context, &media, request).await).ok();
    (
        response["results"][0]["code"].clone(),
        calls.load(Ordering::SeqCst),
        began.elapsed(),
    )
}

#[tokio::test(start_paused = true)]
async fn throttled_call_waits_with_full_jitter() {
    const LONGEST: &[u64] = &[60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000];
    for throttled in [STATEMENT, TRANSACTION] {
        let (code, calls, took) = pushed(throttled, usize::MAX, LONGEST).await;
        assert_eq!((code, calls), (json!("unavailable"), 7), "{throttled}");
        assert_eq!(
            took.as_millis(),
            3_780,
            "{throttled}: the longest of each wait"
        );

        let (code, calls, took) = pushed(throttled, usize::MAX, &[0]).await;
        assert_eq!(
            (code, calls, took.as_millis()),
            (json!("unavailable"), 7, 0),
            "{throttled}"
        );

        let (code, calls, _) = pushed(throttled, 6, LONGEST).await;
        assert_eq!(
            (code, calls),
            (Value::Null, 7),
            "{throttled}: the seventh try succeeds"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn throttled_statement_logs_its_reason() {
    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    let (_, calls, _) = pushed(STATEMENT, 2, &[0]).await;
    assert_eq!(calls, 3);
    assert_eq!(written.logs(), Vec::<Value>::new(), "nothing at that level");

    let (written, _guard) = CapturedLog::at(LevelFilter::WARN);
    pushed(STATEMENT, 2, &[0]).await;
    let logs = written.logs();
    assert_eq!(logs.len(), 2, "{logs:?}");
    assert!(
        logs.iter()
            .all(|line| line["reason"] == REASON
                && line["message"] == "DynamoDB did not write a row"),
        "{logs:?}"
    );
    assert!(!written.text().contains("secret-id"));
}

#[tokio::test(start_paused = true)]
async fn throttled_item_counts_as_outage() {
    for throttled in [STATEMENT, TRANSACTION] {
        let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
        pushed(throttled, usize::MAX, &[0]).await;
        let metrics = written.metrics();
        assert_eq!(metrics.len(), 1, "{throttled}");
        assert_eq!(
            (&metrics[0]["Outages"], metrics[0].get("CorruptItems")),
            (&json!(1), None),
            "{throttled}"
        );
    }
}
