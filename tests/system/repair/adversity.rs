//! Repairs with crashes, unavailable services and concurrent operations.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rstest::rstest;
use serde_json::{Value, json, value::to_raw_value};
use tidemark::{
    BoxFuture,
    deployment::StreamConsumer,
    engine::{
        Reply,
        http::{Call, CallFate, Hook},
    },
};
use tidemark_aws::Clock;
use tidemark_aws::tables::changes::entries;
use tidemark_tests::{Device, Item, Script, Stack, hooks::Moment, stack::stream_event};

use super::{admin, assert_mended, counts, outage, repair, write};

/// Repairs everything with a function whose calls pass `hook`.
async fn repaired_through(stack: &Stack, hook: Arc<dyn Hook>) -> Value {
    repaired_by(&stack.consumer("changelog", hook)).await
}

async fn repaired_by(changelog: &StreamConsumer) -> Value {
    let event = to_raw_value(&json!({"repair": {}})).expect("JSON");
    let event = lambda_http::LambdaEvent::new(event, lambda_http::Context::default());
    let response = changelog.invoke_changelog(event).await.expect("a response");
    serde_json::from_str(response.get()).expect("JSON")
}

#[rstest]
#[case::before(Moment::Before)]
#[case::after(Moment::After)]
#[tokio::test(start_paused = true)]
async fn crashed_repair_is_finished_by_the_next(#[case] moment: Moment) {
    for nth in 0.. {
        let stack = Stack::new();
        let follower = outage(&stack).await;
        let hook = Arc::new(Script::dying_at(nth, moment));
        let died = tokio::time::timeout(Duration::from_secs(600), repaired_through(&stack, hook))
            .await
            .is_err();

        let [_, missing, appended] = counts(&repair(&stack, json!({})).await);
        // Changes after a lagging head are missing to devices, but they are not appended again.
        assert!(
            missing >= appended && (missing == 0 || died),
            "{moment:?} {nth}: {missing} {appended}"
        );
        assert_eq!(
            entries(&stack),
            8,
            "{moment:?} {nth}: each change is in the log once"
        );
        assert_mended(&stack, follower).await;

        if !died {
            assert!(
                nth >= 8,
                "reads of rows, heads and segments, rows again, segments and heads put: {nth} calls"
            );
            break;
        }
    }
}

/// Returns the number of entries of all segments.
fn entries(stack: &Stack) -> usize {
    let unpacked = stack.segments().into_iter().map(|row| {
        let packed = BASE64_STANDARD
            .decode(row["entries"]["B"].as_str().expect("bytes"))
            .expect("base64");
        entries::unpack(&packed).expect("entries").len()
    });
    unpacked.sum()
}

/// A hook that holds one call of a function until other operations have finished.
struct Turn {
    nth: usize,
    calls: AtomicUsize,
    is_open: AtomicBool,
}

impl Turn {
    fn at(nth: usize) -> Self {
        Self {
            nth,
            calls: AtomicUsize::new(0),
            is_open: AtomicBool::new(false),
        }
    }

    fn is_reached(&self) -> bool {
        self.calls.load(Ordering::SeqCst) > self.nth
    }
}

impl Hook for Turn {
    fn before<'a>(&'a self, _: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        Box::pin(async {
            if self.calls.fetch_add(1, Ordering::SeqCst) == self.nth {
                while !self.is_open.load(Ordering::SeqCst) {
                    tokio::task::yield_now().await;
                }
            }
            CallFate::Continue
        })
    }

    fn after<'a>(&'a self, _: &'a Call<'a>, _: &'a Reply) -> BoxFuture<'a, CallFate> {
        Box::pin(std::future::ready(CallFate::Continue))
    }
}

#[tokio::test]
async fn concurrent_push_and_sequencing_lose_nothing() {
    for nth in 0.. {
        let stack = Stack::new();
        let mut follower = outage(&stack).await;
        let turn = Arc::new(Turn::at(nth));
        let has_ended = AtomicBool::new(false);

        let repairing = async {
            let response = repaired_through(&stack, turn.clone()).await;
            has_ended.store(true, Ordering::SeqCst);
            response
        };

        let others = async {
            while !turn.is_reached() && !has_ended.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
            }
            if !turn.is_reached() {
                return false;
            }
            let writer = admin(&stack);
            write(&writer, "update", "a", "tenant", 3, "meanwhile").await;
            write(&writer, "update", "c", "tenant", 1, "meanwhile").await;
            stack.settle().await;
            turn.is_open.store(true, Ordering::SeqCst);
            true
        };

        let (response, met) = tokio::join!(repairing, others);
        assert!(response["code"].is_null(), "{nth}: {response}");
        assert_forward(&mut follower).await;
        if met {
            assert_eq!(
                [
                    follower.live()["a"].server_version,
                    follower.live()["c"].server_version
                ],
                [4, 2],
                "{nth}"
            );
        }

        assert_mended(&stack, follower).await;
        assert_eq!(counts(&repair(&stack, json!({})).await)[1], 0, "{nth}");
        if !met {
            assert!(nth >= 8, "{nth} calls");
            break;
        }
    }
}

/// Pulls one change at a time and asserts that no version decreases.
async fn assert_forward(follower: &mut Device<'_>) {
    let mut versions: BTreeMap<String, Option<u64>> = BTreeMap::new();
    loop {
        let page = follower.pull_page(1).await;
        for change in page["changes"].as_array().expect("a list") {
            let version = change["server_version"].as_u64();
            let before = versions.insert(change["id"].to_string(), version);
            assert!(before.is_none_or(|before| before <= version), "{page}");
        }
        if page["has_more"] == false {
            return;
        }
    }
}

#[tokio::test]
async fn concurrent_repairs_append_once() {
    let stack = Stack::new();
    let follower = outage(&stack).await;
    let yielding = || Arc::new(Script::new(|_, _, _, _| CallFate::Continue));
    let [one, mut other] = [(); 2].map(|()| stack.consumer("changelog", yielding()));
    // Two repairs that put the same item in the same millisecond could not determine which of them
    // wrote it.
    let now = stack.now() + chrono::Duration::milliseconds(1);
    other.context.clock = Clock::from_fn(move || now);
    let (one, other) = tokio::join!(repaired_by(&one), repaired_by(&other));
    assert_eq!(counts(&one)[2] + counts(&other)[2], 4, "{one} {other}");
    assert_mended(&stack, follower).await;
}

#[tokio::test(start_paused = true)]
async fn repair_with_unavailable_table_can_be_repeated() {
    let stack = Stack::new();
    let follower = outage(&stack).await;
    let unavailable = Script::new(|_, operation, _, moment| match moment {
        Moment::Before if operation == "PutItem" => {
            CallFate::Reply(Reply::error(500, "InternalServerError", "out of order"))
        }
        _ => CallFate::Continue,
    });

    let problem = repaired_through(&stack, Arc::new(unavailable)).await;
    assert_eq!(
        [&problem["status"], &problem["code"]],
        [&json!(503), &json!("unavailable")]
    );
    assert_eq!(counts(&repair(&stack, json!({})).await)[2], 4);
    assert_mended(&stack, follower).await;
}

/// The time of an invocation is bounded: when it is used up, the response has a cursor. If the log
/// cannot be read to its end in time, the request is rejected with the field to change.
#[rstest]
#[case::fast(9, false)]
#[case::slow(50, true)]
#[tokio::test]
async fn invocation_time_is_bounded(#[case] seconds_a_call: i64, #[case] is_rejected: bool) {
    let stack = Stack::new();
    let follower = outage(&stack).await;
    let late = Arc::new(AtomicI64::new(0));
    let ticking = Arc::clone(&late);
    let hook = Script::new(move |_, _, _, moment| {
        ticking.fetch_add(
            if moment == Moment::Before {
                seconds_a_call
            } else {
                0
            },
            Ordering::SeqCst,
        );
        CallFate::Continue
    });

    let started = stack.now();
    let mut changelog = stack.consumer("changelog", Arc::new(hook));
    changelog.context.clock =
        Clock::from_fn(move || started + chrono::Duration::seconds(late.load(Ordering::SeqCst)));

    let event =
        to_raw_value(&json!({"repair": {"tenant": "acme", "channel": "tenant", "dry_run": true}}))
            .expect("JSON");
    let event = lambda_http::LambdaEvent::new(event, lambda_http::Context::default());
    let response = changelog.invoke_changelog(event).await.expect("a response");
    let response: Value = serde_json::from_str(response.get()).expect("JSON");

    if is_rejected {
        assert_eq!(
            [&response["status"], &response["path"]],
            [&json!(422), &json!("repair.since")],
            "{response}"
        );
    } else {
        assert_eq!(counts(&response), [5, 3, 0]);
    }
    repair(&stack, json!({})).await;
    assert_mended(&stack, follower).await;
}

/// If the missing changes do not fit the time, the appended ones are kept, and the same request
/// continues from there.
#[tokio::test]
async fn repeated_repair_continues_after_timeout() {
    let stack = Stack::new();
    let create = |number: usize| Item::create("meter", &format!("m-{number}"), json!({}));

    for from in [0, 50] {
        admin(&stack)
            .push(json!((from..from + 50).map(create).collect::<Vec<_>>()))
            .await;
    }
    stack.forget().await;
    stack.advance(chrono::Duration::hours(1));

    let mut appended = Vec::new();
    for _ in 0..3 {
        let late = Arc::new(AtomicI64::new(0));
        let ticking = Arc::clone(&late);
        let hook = Script::new(move |_, operation, _, moment| {
            if (operation, moment) == ("PutItem", Moment::After) {
                ticking.store(50, Ordering::SeqCst);
            }
            CallFate::Continue
        });
        let mut changelog = stack.consumer("changelog", Arc::new(hook));
        let started = stack.now();
        changelog.context.clock = Clock::from_fn(move || {
            started + chrono::Duration::seconds(late.load(Ordering::SeqCst))
        });
        let response = repaired_by(&changelog).await;
        appended.push((response["code"].clone(), entries(&stack)));
        stack.advance(chrono::Duration::minutes(1));
    }

    assert_eq!(
        appended,
        [
            (json!("unavailable"), 50),
            (Value::Null, 100),
            (Value::Null, 100)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn lagging_head_is_moved_without_repair() {
    let stack = Stack::new();
    write(&admin(&stack), "create", "a", "tenant", 0, "sequenced").await;

    let changelog = stack.consumer("changelog", Arc::new(Script::heads_stay()));
    let response = changelog
        .sequence(stream_event(&stack.stream_records()))
        .await;
    assert_eq!(response.batch_item_failures.len(), 1);

    stack.forget().await;
    stack.advance(chrono::Duration::hours(1));
    assert_eq!(
        counts(&repair(&stack, json!({})).await),
        [1, 1, 0],
        "the change appeared to be missing"
    );
    assert_eq!(counts(&repair(&stack, json!({})).await), [1, 0, 0]);
    assert_eq!(entries(&stack), 1);
}
