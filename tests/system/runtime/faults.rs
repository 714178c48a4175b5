//! What becomes of a request when its process, its answer or what it stands on fails: an answer in
//! time, or a retry that finishes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::process::ExitStatusExt as _,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tidemark::{
    BoxFuture,
    engine::{
        Reply,
        http::{Call, CallFate, Hook, NoHook},
    },
    template::Template,
};
use tidemark_tests::{
    ApiResponse, Stack,
    hooks::Moment,
    lambda::{
        self, Lambda, Outcome,
        api::{FunctionResponse, RESPONSE_BYTES_MAX, soon},
        response,
    },
};
use tokio::sync::Notify;

use super::{dead_letters, start, start_changed};
use crate::{
    batches,
    events::{function_of, samples},
};

/// Whether a call is the one: by its number, its operation, and the moment.
type Fits = dyn Fn(usize, &str, Moment) -> bool + Send + Sync;

/// Keeps one call of a function waiting for ever, and tells when it does.
struct Hold {
    fits: Box<Fits>,
    calls: AtomicUsize,
    responses: AtomicUsize,
    held: Notify,
}

impl Hold {
    /// The call that fits.
    fn that(fits: impl Fn(usize, &str, Moment) -> bool + Send + Sync + 'static) -> Arc<Self> {
        let (calls, responses) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self {
            fits: Box::new(fits),
            calls,
            responses,
            held: Notify::new(),
        })
    }

    /// The call that writes the meter and its unique code, done but for its answer.
    fn committed() -> Arc<Self> {
        Self::that(|_, operation, at| operation == "TransactWriteItems" && at == Moment::After)
    }

    fn verdict(
        &self,
        count: &AtomicUsize,
        call: &Call<'_>,
        moment: Moment,
    ) -> BoxFuture<'_, CallFate> {
        let is_it = (self.fits)(count.fetch_add(1, Ordering::SeqCst), call.operation, moment);
        if is_it {
            self.held.notify_one();
        }
        Box::pin(std::future::ready(if is_it {
            CallFate::Hang
        } else {
            CallFate::Continue
        }))
    }
}

impl Hook for Hold {
    fn before<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        self.verdict(&self.calls, call, Moment::Before)
    }

    fn after<'a>(&'a self, call: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        self.verdict(&self.responses, call, Moment::After)
    }
}

/// Answers no call.
struct Outage;

impl Hook for Outage {
    fn before<'a>(&'a self, _: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        Box::pin(std::future::ready(CallFate::Hang))
    }

    fn after<'a>(&'a self, _: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        Box::pin(std::future::ready(CallFate::Hang))
    }
}

/// A push of two edits that the device may repeat as often as it likes.
fn push(stack: &Stack) -> String {
    samples()["push.rest-retry"].replace("${TOKEN}", &stack.token("acme", "ana", &[], &[]))
}

/// The same push, which asks the faulty function to fail like this.
fn push_that(stack: &Stack, fault: &str) -> String {
    let mut event: Value = serde_json::from_str(&push(stack)).unwrap();
    event["headers"]["x-fault"] = fault.into();
    event["multiValueHeaders"]["x-fault"] = json!([fault]);
    event.to_string()
}

/// The push was applied, once, and its answer says so.
fn applied_once(stack: &Stack, told: &str, when: &str) {
    let response = response(told).ok();
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
async fn a_process_that_is_killed_in_the_middle_is_finished_by_a_retry_in_the_next_one() {
    for at in [Moment::Before, Moment::After] {
        for nth in 0.. {
            let stack = Stack::new().today();
            let (event, hold) = (
                push(&stack),
                Hold::that(move |call, _, moment| call == nth && moment == at),
            );
            let mut first = start(&stack, "push", hold.clone()).await;
            let is_held = tokio::select! {
                told = first.ask(&event) => { applied_once(&stack, &told, "nothing was held"); false }
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
            let told = start(&stack, "push", Arc::new(NoHook))
                .await
                .ask(&event)
                .await;
            applied_once(&stack, &told, &format!("killed {at:?} call {nth}"));
        }
    }
}

#[tokio::test]
async fn a_panic_ends_the_process_and_a_retry_in_the_next_one_finishes_what_it_began() {
    let stack = Stack::new().today();
    let mut first = start(&stack, "faulty", Hold::committed()).await;
    let Outcome::Exited(status) = first.invoke(&push_that(&stack, "panic")).await else {
        panic!("it lived on")
    };
    assert_eq!(status.signal(), Some(6), "aborted: {}", first.logged());
    assert!(
        first.logged().contains("faulty/main.rs"),
        "it says where: {}",
        first.logged()
    );
    assert_eq!(
        (
            stack.rows("resources").len(),
            stack.rows("sync_batches").len()
        ),
        (1, 0),
        "that was the middle"
    );
    let told = start(&stack, "faulty", Arc::new(NoHook))
        .await
        .ask(&push(&stack))
        .await;
    applied_once(&stack, &told, "panicked");
}

#[tokio::test]
async fn an_answer_that_lambda_refuses_as_too_large_is_not_the_end_of_the_process() {
    let stack = Stack::new().today();
    let mut function = start(&stack, "faulty", Arc::new(NoHook)).await;
    let outcome = function.invoke(&push_that(&stack, "too large")).await;
    assert!(
        matches!(outcome, Outcome::Responded(FunctionResponse::TooLarge(bytes)) if bytes > RESPONSE_BYTES_MAX),
        "{outcome:?}"
    );
    let process = function.id();
    applied_once(
        &stack,
        &function.ask(&push(&stack)).await,
        "after an answer that was too large",
    );
    assert!(process.is_some() && process == function.id());
}

#[tokio::test]
async fn a_process_that_is_told_to_end_ends_at_once_whether_it_is_idle_or_not() {
    let stack = Stack::new().today();
    let (event, hold) = (push(&stack), Hold::committed());
    let mut idle = start(&stack, "push", Arc::new(NoHook)).await;
    response(&idle.ask(&samples()["push.rest-no-token"]).await);
    let mut busy = start(&stack, "push", hold.clone()).await;
    tokio::select! {
        told = busy.ask(&event) => panic!("nothing was held: {told}"),
        () = soon("a call that is held", hold.held.notified()) => {}
    }
    for process in [&mut idle, &mut busy] {
        // The standard library sends no other signal than SIGKILL; every shell can.
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
    let told = start(&stack, "push", Arc::new(NoHook))
        .await
        .ask(&event)
        .await;
    applied_once(&stack, &told, "told to end in the middle");
}

#[tokio::test]
async fn a_function_without_a_setting_does_not_start_and_names_it() {
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
async fn an_endpoint_of_one_service_stands_before_that_of_all() {
    let stack = Stack::new().today();
    let nobody = "http://127.0.0.1:1".to_owned();
    let own = |environment: &mut BTreeMap<String, String>| {
        let services = environment
            .insert("AWS_ENDPOINT_URL".to_owned(), nobody)
            .unwrap();
        environment.insert("AWS_ENDPOINT_URL_S3".to_owned(), services.clone());
        environment.insert("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), services);
    };
    let told = start_changed(&stack, "push", Arc::new(NoHook), own)
        .await
        .ask(&push(&stack))
        .await;
    applied_once(&stack, &told, "over endpoints of its own");
}

/// One event for each function that makes a call.
fn events_by_function(stack: &Stack) -> BTreeMap<&'static str, String> {
    let mut events = BTreeMap::new();
    let admin = stack.token("acme", "root", &["admin"], &[]);
    for sample in [
        "ack.rest-devices",
        "batches.rest-batch",
        "changelog.create-update-delete",
        "conflicts.rest-list",
        "notify.unreadable-record",
        "pull.rest-fresh",
        "push.rest-create",
        "resolve.rest-accept-client",
    ] {
        let event = samples()[sample].replace("${TOKEN}", &admin);
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
async fn an_outage_is_answered_before_the_functions_time_is_over() {
    let stack = Stack::new().today();
    let template = Template::built_in().unwrap();
    let events = events_by_function(&stack);
    let without: Vec<String> = template
        .functions()
        .filter(|function| !events.contains_key(function.as_str()))
        .collect();
    assert_eq!(without, ["presign"], "it makes no calls");
    let outages = events.iter().map(async |(function, event)| {
        let mut process = start(&stack, function, Arc::new(Outage)).await;
        let began = Instant::now();
        let told = process.ask(event).await;
        let left = Duration::from_secs(template.timeout_s(function).unwrap())
            .saturating_sub(began.elapsed());
        assert!(
            left >= Duration::from_secs(2),
            "{function}: {left:?} were left"
        );
        if matches!(*function, "changelog" | "notify") {
            assert_eq!(dead_letters(&told).len(), 1, "{function}: {told}");
            return;
        }
        assert_unavailable(function, &response(&told));
    });
    join_all(outages).await;
}

/// 503, and when to come back.
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

/// Asks a function, and checks that it answers before its time is over. An outage is told as one.
async fn ask_in_time(function: &str, process: &mut Lambda, event: &str) -> bool {
    let time = lambda::timeout(function);
    let began = Instant::now();
    let told = process.ask(event).await;
    assert!(
        time.saturating_sub(began.elapsed()) >= Duration::from_secs(1),
        "{function} took {:?}",
        began.elapsed()
    );
    if matches!(function, "changelog" | "notify") {
        return dead_letters(&told).is_empty();
    }
    let response = response(&told);
    if response.status >= 500 {
        assert_unavailable(function, &response);
    }
    response.status < 500
}

/// Held by tests that compare times: the processes of one would take the processor from those of
/// the other.
static TIMED: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The first try of each call hangs, which takes the time of an attempt; the next one is answered
/// late.
#[derive(Default)]
struct SlowFirstAttempt(Mutex<BTreeSet<(String, Vec<u8>)>>);

impl Hook for SlowFirstAttempt {
    fn before<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        let is_first = self
            .0
            .lock()
            .unwrap()
            .insert((call.operation.to_owned(), call.body.to_vec()));
        Box::pin(async move {
            if is_first {
                return CallFate::Hang;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            CallFate::Continue
        })
    }

    fn after<'a>(&'a self, _: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        Box::pin(std::future::ready(CallFate::Continue))
    }
}

#[tokio::test]
async fn slow_calls_end_in_an_answer() {
    let _timed = TIMED.lock().await;
    let stack = Stack::new().today();
    let asked = events_by_function(&stack)
        .into_iter()
        .map(async |(function, event)| {
            let mut process = start(&stack, function, Arc::new(SlowFirstAttempt::default())).await;
            (function, ask_in_time(function, &mut process, &event).await)
        });
    let done: BTreeMap<_, _> = join_all(asked).await.into_iter().collect();
    assert!(
        !done["push"],
        "three round trips of seven seconds do not fit into seventeen"
    );
    assert!(done["ack"], "two do");
    let event = push(&stack);
    let mut process = start(&stack, "push", Arc::new(SlowFirstAttempt::default())).await;
    assert!(!ask_in_time("push", &mut process, &event).await);
    let told = start(&stack, "push", Arc::new(NoHook))
        .await
        .ask(&event)
        .await;
    let response = response(&told).ok();
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
async fn hanging_at_any_call_ends_in_an_answer() {
    let _timed = TIMED.lock().await;
    let stack = Stack::new().today();
    let events = events_by_function(&stack);
    // The first call of a process is the one that opens its connection.
    let asked = (1..=4).flat_map(|nth| {
        events
            .iter()
            .map(move |(function, event)| (nth, *function, event))
    });
    let asked = asked.map(async |(nth, function, event)| {
        let hang = Hold::that(move |call, _, moment| call >= nth && moment == Moment::Before);
        let mut process = start(&stack, function, hang).await;
        (
            nth,
            function,
            ask_in_time(function, &mut process, event).await,
        )
    });
    let done = join_all(asked).await;
    let hung = |nth| {
        done.iter()
            .filter(|(number, _, is_done)| *number == nth && !is_done)
            .count()
    };
    assert!(hung(1) >= 6 && hung(2) >= 2 && hung(3) >= 1, "{done:?}");
}
