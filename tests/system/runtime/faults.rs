//! Requests whose process, response or dependencies fail: they get a response in time, or a retry
//! finishes them.

mod hooks;
mod in_time;

use std::{
    collections::BTreeMap, os::unix::process::ExitStatusExt as _, process::Command, sync::Arc,
};

use serde_json::{Value, json};
use tidemark::{engine::http::NoHook, template::Template};
use tidemark_tests::{
    Stack,
    hooks::Moment,
    lambda::{
        Outcome,
        api::{FunctionResponse, RESPONSE_BYTES_MAX, soon},
        response,
    },
};

use hooks::Hold;

use super::{start, start_changed};
use crate::events::samples;

/// Returns a push of two edits that the device may retry any number of times.
fn push(stack: &Stack) -> String {
    samples()["push.rest-retry"].replace("${TOKEN}", &stack.token("acme", "ana", &[], &[]))
}

/// Returns the same push with a header that requests this fault.
fn push_that(stack: &Stack, fault: &str) -> String {
    let mut event: Value = serde_json::from_str(&push(stack)).unwrap();
    event["headers"]["x-fault"] = fault.into();
    event["multiValueHeaders"]["x-fault"] = json!([fault]);
    event.to_string()
}

/// Asserts that the push was applied once and that its response contains the versions.
fn assert_applied_once(stack: &Stack, text: &str, when: &str) {
    let response = response(text).ok();
    let results: Vec<_> = response["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["status"], &it["server_version"]))
        .collect();
    assert_eq!(
        results,
        [(&json!("ok"), &json!(1)), (&json!("ok"), &json!(2))],
        "{when}"
    );

    let rows = stack.rows("resources");
    assert_eq!(
        (rows.len(), &rows[0]["server_version"]["N"]),
        (1, &json!("2")),
        "{when}"
    );
    assert_eq!(
        (stack.conflicts().len(), stack.rows("sync_batches").len()),
        (0, 1),
        "{when}"
    );
}

#[tokio::test]
async fn retry_finishes_after_process_is_killed() {
    for at in [Moment::Before, Moment::After] {
        for nth in 0.. {
            let stack = Stack::new().today();
            let (event, hold) = (
                push(&stack),
                Hold::that(move |call, _, moment| call == nth && moment == at),
            );
            let mut first = start(&stack, "push", hold.clone()).await;
            let is_held = tokio::select! {
                text = first.ask(&event) => {
                    assert_applied_once(&stack, &text, "nothing was held");
                    false
                }
                () = hold.held.notified() => true,
            };

            if !is_held {
                assert!(
                    nth >= 4,
                    "a push makes four calls at least, {nth} were held"
                );
                break;
            }

            first.kill().await;
            let text = start(&stack, "push", Arc::new(NoHook))
                .await
                .ask(&event)
                .await;
            assert_applied_once(&stack, &text, &format!("killed {at:?} call {nth}"));
        }
    }
}

#[tokio::test]
async fn retry_finishes_after_a_panic() {
    let stack = Stack::new().today();
    let mut first = start(&stack, "faulty", Hold::committed()).await;
    let Outcome::Exited(status) = first.invoke(&push_that(&stack, "panic")).await else {
        panic!("the process survived")
    };

    assert_eq!(status.signal(), Some(6), "aborted: {}", first.logged());
    assert!(
        first.logged().contains("faulty/main.rs"),
        "the log contains the location: {}",
        first.logged()
    );
    assert_eq!(
        (
            stack.rows("resources").len(),
            stack.rows("sync_batches").len()
        ),
        (1, 0),
        "the push is applied in part"
    );

    let text = start(&stack, "faulty", Arc::new(NoHook))
        .await
        .ask(&push(&stack))
        .await;
    assert_applied_once(&stack, &text, "panicked");
}

#[tokio::test]
async fn oversized_response_does_not_end_process() {
    let stack = Stack::new().today();
    let mut function = start(&stack, "faulty", Arc::new(NoHook)).await;
    let outcome = function.invoke(&push_that(&stack, "too large")).await;
    assert!(
        matches!(outcome, Outcome::Responded(FunctionResponse::TooLarge(bytes)) if bytes > RESPONSE_BYTES_MAX),
        "{outcome:?}"
    );
    let process = function.id();
    assert_applied_once(
        &stack,
        &function.ask(&push(&stack)).await,
        "after an oversized response",
    );
    assert!(process.is_some() && process == function.id());
}

#[tokio::test]
async fn terminated_process_ends_immediately() {
    let stack = Stack::new().today();
    let (event, hold) = (push(&stack), Hold::committed());

    let mut idle = start(&stack, "push", Arc::new(NoHook)).await;
    response(&idle.ask(&samples()["push.rest-no-token"]).await);
    let mut busy = start(&stack, "push", hold.clone()).await;
    tokio::select! {
        text = busy.ask(&event) => panic!("nothing was held: {text}"),
        () = soon("a call that is held", hold.held.notified()) => {}
    }

    for process in [&mut idle, &mut busy] {
        // The standard library can send only SIGKILL, but a shell can send any signal.
        let kill = format!("kill -TERM {}", process.id().unwrap());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success(),
            "{kill}"
        );
        assert_eq!(process.end().await.signal(), Some(15));
    }

    let text = start(&stack, "push", Arc::new(NoHook))
        .await
        .ask(&event)
        .await;
    assert_applied_once(&stack, &text, "terminated in the middle");
}

#[tokio::test]
async fn missing_setting_prevents_start() {
    let stack = Stack::new().today();
    for function in Template::built_in().unwrap().functions() {
        for missing in [
            "RESOURCES_TABLE",
            "JWT_ISSUER",
            "AWS_REGION",
            "AWS_SECRET_ACCESS_KEY",
        ] {
            let without = |environment: &mut BTreeMap<_, _>| drop(environment.remove(missing));
            let mut process = start_changed(&stack, &function, Arc::new(NoHook), without).await;
            let Outcome::Exited(status) = process.invoke("{}").await else {
                panic!("{function} runs without {missing}")
            };

            assert_eq!(status.code(), Some(1), "{function}: {}", process.logged());
            assert!(
                process
                    .logged()
                    .contains(&format!("environment variable {missing} is not set")),
                "{}",
                process.logged()
            );
        }
    }
}

#[tokio::test]
async fn service_endpoint_overrides_global_endpoint() {
    let stack = Stack::new().today();
    let unreachable = "http://127.0.0.1:1".to_owned();
    let own = |environment: &mut BTreeMap<String, String>| {
        let services = environment
            .insert("AWS_ENDPOINT_URL".to_owned(), unreachable)
            .unwrap();
        environment.insert("AWS_ENDPOINT_URL_S3".to_owned(), services.clone());
        environment.insert("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), services);
    };
    let text = start_changed(&stack, "push", Arc::new(NoHook), own)
        .await
        .ask(&push(&stack))
        .await;
    assert_applied_once(&stack, &text, "with an endpoint for each service");
}
