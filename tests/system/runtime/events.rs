//! Sends the samples in `events/` to the binaries, whose responses equal those of the functions in
//! this process.

use std::sync::Arc;

use tidemark::engine::http::NoHook;
use tidemark_aws::http;
use tidemark_tests::{ApiResponse, Stack, lambda::response, openapi};

use super::{dead_letters, start};
use crate::events;

/// Returns a deployment with the machine's clock, which the processes use.
fn deployment() -> Stack {
    Stack::new().today()
}

async fn ask(stack: &Stack, function: &str, event: &str) -> String {
    start(stack, function, Arc::new(NoHook))
        .await
        .ask(event)
        .await
}

async fn request(stack: &Stack, function: &str, event: &str) -> ApiResponse {
    let response = response(&ask(stack, function, event).await);
    openapi::check(
        http::route(&tidemark_tests::request(event)).unwrap(),
        &response,
    );
    response
}

#[tokio::test]
async fn binaries_handle_every_request() {
    events::api::each_request(deployment, request).await;
}

#[tokio::test]
async fn binaries_handle_every_conflict_request() {
    events::conflicts::each_request(deployment, request).await;
    events::conflicts::each_decision(deployment, async |stack, event| {
        ask(stack, "resolve", event).await
    })
    .await;
}

#[tokio::test]
async fn binaries_handle_every_stream_batch() {
    events::stream::each_batch(async |stack, event| {
        dead_letters(&ask(stack, "changelog", event).await)
    })
    .await;
    events::notify::each_batch(async |stack, event| {
        dead_letters(&ask(stack, "notify", event).await)
    })
    .await;
}

#[tokio::test]
async fn binary_handles_every_repair() {
    events::repair::each_repair(deployment, async |stack, event| {
        ask(stack, "changelog", event).await
    })
    .await;
}

#[tokio::test]
async fn process_handles_consecutive_events() {
    let stack = deployment();
    let event = events::samples()["push.rest-retry"]
        .replace("${TOKEN}", &stack.token("acme", "ana", &[], &[]));
    let mut push = start(&stack, "push", Arc::new(NoHook)).await;
    let first = response(&push.ask(&event).await);
    let process = push.id();
    let again = response(&push.ask(&event).await);
    assert_eq!(
        (again.status, &again.text, push.id()),
        (200, &first.text, process)
    );
    assert_eq!(stack.rows("resources").len(), 1);
}
