//! Tables that are too slow for the time of an invocation: the function responds before Lambda
//! terminates it, and a retry continues from there.

#![expect(clippy::unwrap_used, reason = "a failed precondition fails the test")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lambda_http::Context as LambdaContext;
use serde_json::{Value, json};
use tidemark::{
    BoxFuture,
    engine::{
        Reply,
        http::{Call, CallFate, Hook, NoHook},
    },
};
use tidemark_aws::Random;
use tidemark_tests::{ApiResponse, Stack, scenario, stack::stream_event};
use tokio::time::Instant;

use crate::batches::{boss, edit, push};

/// Delays each call by this duration.
struct SlowEngine(Duration);

impl Hook for SlowEngine {
    fn before<'a>(&'a self, _: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        Box::pin(async {
            tokio::time::sleep(self.0).await;
            CallFate::Continue
        })
    }

    fn after<'a>(&'a self, _: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        Box::pin(std::future::ready(CallFate::Continue))
    }
}

fn slow(seconds: u64) -> Arc<dyn Hook> {
    Arc::new(SlowEngine(Duration::from_secs(seconds)))
}

/// Returns the context of an invocation with a deadline in 20 seconds.
fn lambda_context(stack: &Stack) -> LambdaContext {
    let mut lambda_context = LambdaContext::default();
    lambda_context.deadline = stack.now().timestamp_millis().unsigned_abs() + 20_000;
    lambda_context
}

#[tokio::test(start_paused = true)]
async fn slow_push_returns_unavailable_with_retry_after() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    let item = json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": "m"}});
    let body = json!({"device_id": "phone", "batch_id": "b-1", "items": [item]});
    let event = stack.event("POST", "sync/push", &token, &body).to_string();
    let request = || tidemark_aws::entry::request(&event, lambda_context(&stack)).0;

    let context = stack
        .context("push", slow(6))
        .with_random(Random::from_fn(|| 5));
    let media = stack.media("push", slow(6));
    let began = Instant::now();
    let response = ApiResponse::read(tidemark_push::handle(&context, &media, request()).await);
    assert_eq!(
        (response.status, &response.json()["code"]),
        (503, &json!("unavailable")),
        "{}",
        response.text
    );
    assert_eq!(
        response.headers["retry-after"], "7",
        "drawn from the given random source"
    );
    assert_eq!(began.elapsed().as_secs(), 17);

    let context = stack.context("push", slow(1));
    let media = stack.media("push", slow(1));
    let response = ApiResponse::read(tidemark_push::handle(&context, &media, request()).await);
    let response = response.ok();
    assert_eq!(
        (
            &response["results"][0]["status"],
            stack.rows("resources").len()
        ),
        (&json!("ok"), 1)
    );
}

/// Sequences these records with slow tables, within the time of one invocation. Returns the
/// sequence number that the stream retries from, or `None` if all records are sequenced.
async fn sequence_slowly(stack: &Stack, records: &[Value]) -> Option<String> {
    let mut event = stream_event(records);
    event.context = lambda_context(stack);

    let began = Instant::now();
    let changelog = stack.consumer("changelog", slow(3));
    let response = changelog.sequence(event).await;
    assert!(
        began.elapsed() < Duration::from_secs(18),
        "{:?}",
        began.elapsed()
    );

    let failed = response.batch_item_failures.first()?;
    Some(failed.item_identifier.clone().unwrap())
}

/// Returns whether a record has this sequence number, regardless of leading zeros.
fn has_number(record: &Value, number: &str) -> bool {
    record["dynamodb"]["SequenceNumber"]
        .as_str()
        .unwrap()
        .trim_start_matches('0')
        == number
}

/// Delays each call by four seconds after a call that `begins` it: a call succeeds, and a few of
/// them take longer than the work of a bulk request may.
struct SlowAfter {
    begins: fn(&Call<'_>) -> bool,
    is_slow: AtomicBool,
}

impl SlowAfter {
    fn hook(begins: fn(&Call<'_>) -> bool) -> Arc<dyn Hook> {
        let is_slow = AtomicBool::new(false);
        Arc::new(Self { begins, is_slow })
    }
}

impl Hook for SlowAfter {
    fn before<'a>(&'a self, _: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        Box::pin(async {
            if self.is_slow.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_secs(4)).await;
            }
            CallFate::Continue
        })
    }

    fn after<'a>(&'a self, call: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        if (self.begins)(call) {
            self.is_slow.store(true, Ordering::SeqCst);
        }
        Box::pin(std::future::ready(CallFate::Continue))
    }
}

/// Asserts that a response of a bulk request that began at `began` has the first result and defers
/// the last item.
fn assert_partial(response: &ApiResponse, began: Instant, first: &str) {
    assert_eq!(began.elapsed().as_secs(), 15, "before the deadline");
    assert_eq!(response.status, 200, "{}", response.text);
    let body = response.json();
    let results = body["results"].as_array().unwrap();
    assert_eq!(results[0]["status"], first, "{body}");
    assert_eq!(results.last().unwrap()["status"], "deferred", "{body}");
}

#[tokio::test(start_paused = true)]
async fn slow_bulk_resolution_returns_its_results() {
    let stack = Stack::new();
    let mut conflicts = Vec::new();
    for id in ["m-1", "m-2", "m-3", "m-4", "m-5"] {
        let fields = [1, 2, 3].map(|reading| json!({"reading": reading}));
        let id = scenario::open_conflict(&stack, id, fields).await;
        conflicts.push(json!({"id": id, "expected_server_version": 2}));
    }
    let body = json!({"conflicts": conflicts, "resolution": "accept_client"});
    let event = stack.event("POST", "conflicts/resolve", &boss(&stack), &body);
    let request = || {
        let event = event.to_string();
        tidemark_aws::entry::request(&event, lambda_context(&stack)).0
    };

    let hook = SlowAfter::hook(|call| call.operation == "TransactWriteItems");
    let (context, began) = (stack.context("resolve", hook), Instant::now());
    let response = ApiResponse::read(tidemark_resolve::handle(&context, request()).await);
    assert_partial(&response, began, "resolved");

    let context = stack.context("resolve", Arc::new(NoHook));
    let response = ApiResponse::read(tidemark_resolve::handle(&context, request()).await).ok();
    let mut results = response["results"].as_array().unwrap().iter();
    assert!(results.all(|it| it["server_version"] == 3), "{response}");
}

#[tokio::test(start_paused = true)]
async fn slow_bulk_replay_returns_its_results() {
    let stack = Stack::new();
    let mut ids = Vec::new();
    for (user, batch_id) in [("ana", "b"), ("eva", "b-1"), ("eva", "b-2"), ("eva", "b-3")] {
        let items = json!([edit("never", 1, "x")]);
        ids.push(push(&stack.device(user, "phone"), batch_id, &items).await);
    }
    let body = json!({"batch_ids": ids});
    let event = stack.event("POST", "batches/replay", &boss(&stack), &body);
    let request = tidemark_aws::entry::request(&event.to_string(), lambda_context(&stack)).0;

    let of_eva = |call: &Call<'_>| String::from_utf8_lossy(call.body).contains("acme#eva#phone#");
    let hook = SlowAfter::hook(of_eva);
    let media = stack.media("batches", Arc::new(NoHook));
    let (context, began) = (stack.context("batches", hook), Instant::now());
    let response = tidemark_batches::handle(&context, &media, request).await;
    assert_partial(&ApiResponse::read(response), began, "replayed");
}

#[tokio::test(start_paused = true)]
async fn slow_stream_batch_progresses_with_each_attempt() {
    let stack = Stack::new();
    let users: Vec<String> = (0..60).map(|number| format!("user-{number:02}")).collect();
    for user in &users {
        let form = json!({"client_temp_id": "t", "resource_type": "submission", "action": "create", "client_version": 0,
            "payload": {"form_id": "f", "data": {}}});
        stack.device(user, "phone").push_one(form).await;
    }

    let mut records = stack.stream_records();
    let mut tries = 0;
    while !records.is_empty() {
        tries += 1;
        assert!(tries <= 10, "{} records are left", records.len());
        let Some(failed) = sequence_slowly(&stack, &records).await else {
            break;
        };
        let position = records
            .iter()
            .position(|record| has_number(record, &failed))
            .unwrap();
        assert!(position >= 16, "try {tries} sequenced {position} records");
        records.drain(..position);
    }
    assert!(tries >= 3, "{tries}");

    stack.forget().await;
    for user in &users {
        assert_eq!(stack.device(user, "tablet").pull().await.len(), 1, "{user}");
    }

    let segments = stack
        .rows("changes")
        .into_iter()
        .filter(|row| row["sk"]["S"] != "head")
        .count();
    assert_eq!(segments, users.len(), "each change is in the log once");
}

#[tokio::test(start_paused = true)]
async fn invocation_without_deadline_is_not_cut_off() {
    let stack = Stack::new();
    stack
        .device("ana", "phone")
        .push_one(json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": "m"}}))
        .await;

    let changelog = stack.consumer("changelog", slow(30));
    let response = changelog
        .sequence(stream_event(&stack.stream_records()))
        .await;
    assert!(response.batch_item_failures.is_empty());

    let changelog = stack.consumer("changelog", Arc::new(NoHook));
    assert!(
        changelog
            .sequence(stream_event(&stack.stream_records()))
            .await
            .batch_item_failures
            .is_empty()
    );
}
