//! Each function responds before its timeout while its dependencies are slow, hang or are
//! unavailable.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tidemark::{engine::http::NoHook, template::Template};
use tidemark_core::model::token::Token;
use tidemark_tests::{
    ApiResponse, Stack,
    hooks::Moment,
    lambda::{self, Lambda, response},
};

use super::{
    hooks::{Hold, Outage, SlowFirstAttempt},
    push,
};
use crate::{
    batches,
    events::{function_of, samples},
    runtime::{dead_letters, start},
};

/// Returns one event for each function that makes a call.
fn events_by_function(stack: &Stack) -> BTreeMap<&'static str, String> {
    let mut events = BTreeMap::new();
    let admin = stack.token("acme", "root", &["admin"], &[]);

    for sample in [
        "ack.rest-token",
        "admin.rest-conflicts",
        "batches.rest-batch",
        "changelog.create-update-delete",
        "notify.unreadable-record",
        "pull.rest-fresh",
        "push.rest-create",
        "resolve.rest-accept-client",
    ] {
        let event = samples()[sample].replace("${TOKEN}", &admin);
        let event = event.replace("${SINCE_TOKEN}", &Token::default().encode());
        let event = event.replace("${BATCH_ID}", &batches::id_of("ana", "b"));
        let event = event.replace(
            "${CONFLICT_ID}",
            "conf-5d41402abc4b2a76b9719d911017c592-863b583dd2a52909",
        );
        events.insert(function_of(sample), event);
    }
    events
}

#[tokio::test]
async fn unavailability_is_reported_in_time() {
    let stack = Stack::new().today();
    let template = Template::built_in().unwrap();
    let events = events_by_function(&stack);

    let without: Vec<String> = template
        .functions()
        .filter(|function| !events.contains_key(function.as_str()))
        .collect();
    assert_eq!(without, ["presign", "console"], "they make no calls");

    let outages = events.iter().map(async |(function, event)| {
        let mut process = start(&stack, function, Arc::new(Outage)).await;
        let began = Instant::now();
        let text = process.ask(event).await;
        let left = Duration::from_secs(template.timeout_s(function).unwrap())
            .saturating_sub(began.elapsed());
        assert!(
            left >= Duration::from_secs(2),
            "{function}: {left:?} were left"
        );

        if matches!(*function, "changelog" | "notify") {
            assert_eq!(dead_letters(&text).len(), 1, "{function}: {text}");
            return;
        }
        assert_unavailable(function, &response(&text));
    });
    join_all(outages).await;
}

/// Asserts a 503 with a `Retry-After` header.
fn assert_unavailable(function: &str, response: &ApiResponse) {
    let ApiResponse {
        status,
        headers,
        text,
    } = response;
    assert_eq!(*status, 503, "{function}: {text}");
    let seconds: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((2..=10).contains(&seconds), "{function}: {seconds}");
    assert!(
        text.contains(r#""code":"unavailable""#),
        "{function}: {text}"
    );
}

/// Sends an event to a function and asserts a response before the timeout. Returns whether the
/// response reports success.
async fn ask_in_time(function: &str, process: &mut Lambda, event: &str) -> bool {
    let time = lambda::timeout(function);
    let began = Instant::now();
    let text = process.ask(event).await;
    assert!(
        time.saturating_sub(began.elapsed()) >= Duration::from_secs(1),
        "{function} took {:?}",
        began.elapsed()
    );

    if matches!(function, "changelog" | "notify") {
        return dead_letters(&text).is_empty();
    }
    let response = response(&text);
    if response.status >= 500 {
        assert_unavailable(function, &response);
    }
    response.status < 500
}

/// Locked by tests that compare times, because their processes would compete for the processor.
static TIMED: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test]
async fn slow_calls_get_a_response() {
    let _timed = TIMED.lock().await;
    let stack = Stack::new().today();
    let attempts = events_by_function(&stack)
        .into_iter()
        .map(async |(function, event)| {
            let mut process = start(&stack, function, Arc::new(SlowFirstAttempt::default())).await;
            (function, ask_in_time(function, &mut process, &event).await)
        });

    let done: BTreeMap<_, _> = join_all(attempts).await.into_iter().collect();
    assert!(
        !done["push"],
        "three round trips of seven seconds do not fit into seventeen"
    );
    assert!(done["ack"], "two round trips do");

    let event = push(&stack);
    let mut process = start(&stack, "push", Arc::new(SlowFirstAttempt::default())).await;
    assert!(!ask_in_time("push", &mut process, &event).await);
    let text = start(&stack, "push", Arc::new(NoHook))
        .await
        .ask(&event)
        .await;

    let response = response(&text).ok();
    assert!(
        response["results"]
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["status"] == "ok"),
        "{response}"
    );
}

#[tokio::test]
async fn hanging_calls_get_a_response() {
    let _timed = TIMED.lock().await;
    let stack = Stack::new().today();
    let events = events_by_function(&stack);

    // The first call of a process opens its connection.
    let attempts = (1..=4).flat_map(|nth| {
        events
            .iter()
            .map(move |(function, event)| (nth, *function, event))
    });
    let attempts = attempts.map(async |(nth, function, event)| {
        let hang = Hold::that(move |call, _, moment| call >= nth && moment == Moment::Before);
        let mut process = start(&stack, function, hang).await;
        (
            nth,
            function,
            ask_in_time(function, &mut process, event).await,
        )
    });

    let done = join_all(attempts).await;
    let hung = |nth| {
        done.iter()
            .filter(|(number, _, is_done)| *number == nth && !is_done)
            .count()
    };
    assert!(hung(1) >= 6 && hung(2) >= 2 && hung(3) >= 1, "{done:?}");
}
