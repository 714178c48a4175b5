//! Every crash point: a function is killed at its first, second, … last call, before the call takes
//! effect and after. Then its caller does what it does in production: the device sends the batch
//! again, the stream redelivers, the admin resolves again. Afterwards, the content of all tables
//! and buckets, the notifications and the pulls of devices must equal those of a run without a
//! crash.
//!
//! A run without a crash determines the number of calls. Legitimate differences are documented with
//! their reason: in [`seen`] if they apply to every scenario, and in [`CrashScenario::exempt`] if
//! they apply to one.

mod ack;
mod changelog;
mod notify;
mod push;
mod replay;
mod resolve;
mod seen;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tidemark::{
    BoxFuture,
    engine::{
        Reply,
        http::{Call, CallFate, Hook, NoHook},
    },
};
use tidemark_tests::{Script, Stack, hooks::Moment};

use seen::{Observations, Readers, Times};

/// Virtual time after which a function without a response counts as dead. No function takes as
/// long, and it is shorter than the deadline of the items of a bulk request, which would end the
/// waiting with a response.
const DEAD_AFTER: Duration = Duration::from_secs(14);
/// A crash point: the number of calls before it, and the moment within the next call.
type Point = (usize, Moment);

/// An operation of a function that may die in the middle.
trait CrashScenario {
    /// Data of the preparation that the caller needs.
    type Facts;

    /// Creates a deployment whose API functions' calls pass `hook`.
    fn stack(&self, hook: Arc<dyn Hook>) -> Stack {
        Stack::hooked(hook)
    }

    /// Prepares the state before the operation.
    async fn prepare(&self, stack: &Stack) -> Self::Facts;

    /// Performs the operation of the caller, who repeats it if there is no response. Returns the
    /// response. Calls through the API pass `hook` already.
    async fn act(&self, stack: &Stack, hook: Arc<dyn Hook>, facts: &Self::Facts) -> Value;

    /// Returns whether the functions of the streams process what was written. It is false if the
    /// scenario is about one of these functions.
    fn is_sequenced(&self) -> bool {
        true
    }

    /// Removes from the content of a place what a run with a crash may leave differently.
    fn exempt(&self, _place: &str, things: Vec<Value>) -> Vec<Value> {
        things
    }
}

/// Kills a scenario at each of its calls and returns their number.
async fn dies_everywhere(scenario: &impl CrashScenario) -> usize {
    let mut calls = 0;
    for (moment, later, times) in [
        // A caller that retries immediately must find even the same times.
        (Moment::Before, chrono::Duration::zero(), Times::Count),
        // A device may also retry an hour later.
        (Moment::After, chrono::Duration::hours(1), Times::Differ),
    ] {
        let whole;
        (whole, calls) = undisturbed(scenario, times).await;
        assert!(calls > 0, "a scenario without calls");

        for nth in 0..calls {
            let seen = crashed(scenario, &[(nth, moment)], later, times).await;
            let seen = seen.unwrap_or_else(|| {
                panic!("the run has {calls} calls and did not die {moment:?} call {nth}")
            });
            seen.assert_is(
                &whole,
                &format!("died {moment:?} call {nth} of {calls}, came back after {later}"),
            );
        }
    }
    calls
}

/// Kills a scenario after each of its calls, and then the retry before one of the retry's calls.
/// Each first call is combined with a third of the second calls, a different third each time.
async fn dies_twice(scenario: &impl CrashScenario) {
    let (whole, calls) = undisturbed(scenario, Times::Count).await;
    let mut pairs = 0;

    for first in 0..calls {
        for second in (first % 3..).step_by(3) {
            let points = [(first, Moment::After), (second, Moment::Before)];
            // The retry makes fewer or more calls than the first run: the loop ends where it does
            // not die.
            let Some(seen) =
                crashed(scenario, &points, chrono::Duration::zero(), Times::Count).await
            else {
                break;
            };
            seen.assert_is(&whole, &format!("died at {points:?}"));
            pairs += 1;
        }
    }
    assert!(pairs > 0, "the retry makes calls too");
}

/// Runs a scenario without a crash. Returns the observations and the number of calls.
async fn undisturbed<S: CrashScenario>(scenario: &S, times: Times) -> (Observations, usize) {
    let hook = Arc::new(Switch::default());
    let stack = scenario.stack(hook.clone());
    let facts = scenario.prepare(&stack).await;
    let mut readers = Readers::before(scenario, &stack).await;
    let counting = Arc::new(Script::new(|_, _, _, _| CallFate::Continue));
    hook.set(counting.clone());
    let response = scenario.act(&stack, hook.clone(), &facts).await;
    hook.set(Arc::new(NoHook));
    readers.read(scenario, &stack).await;
    (
        Observations::of(scenario, &stack, readers, response, times).await,
        counting.calls(),
    )
}

/// Runs a scenario that dies at these points, one attempt after the other, and is then completed.
/// Returns `None` if one of the points is after the last call.
async fn crashed<S: CrashScenario>(
    scenario: &S,
    points: &[Point],
    later: chrono::Duration,
    times: Times,
) -> Option<Observations> {
    let hook = Arc::new(Switch::default());
    let stack = scenario.stack(hook.clone());
    let facts = scenario.prepare(&stack).await;
    let mut readers = Readers::before(scenario, &stack).await;

    for (nth, moment) in points {
        hook.set(Arc::new(Script::dying_at(*nth, *moment)));
        let died = tokio::time::timeout(DEAD_AFTER, scenario.act(&stack, hook.clone(), &facts))
            .await
            .is_err();
        hook.set(Arc::new(NoHook));
        if !died {
            return None;
        }
        // The readers do not wait for the retry: they pull what has taken effect.
        readers.read(scenario, &stack).await;
        stack.advance(later);
    }

    let response = scenario.act(&stack, hook, &facts).await;
    readers.read(scenario, &stack).await;
    Some(Observations::of(scenario, &stack, readers, response, times).await)
}

/// A hook that can be replaced between calls.
struct Switch(Mutex<Arc<dyn Hook>>);

impl Default for Switch {
    fn default() -> Self {
        Self(Mutex::new(Arc::new(NoHook)))
    }
}

impl Switch {
    fn set(&self, hook: Arc<dyn Hook>) {
        *self.0.lock().expect("a hook") = hook;
    }

    fn now(&self) -> Arc<dyn Hook> {
        self.0.lock().expect("a hook").clone()
    }
}

impl Hook for Switch {
    fn before<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        let hook = self.now();
        Box::pin(async move { hook.before(call).await })
    }

    fn after<'a>(&'a self, call: &'a Call<'a>, reply: &'a Reply) -> BoxFuture<'a, CallFate> {
        let hook = self.now();
        Box::pin(async move { hook.after(call, reply).await })
    }
}

/// Replaces the sequence numbers, labels and times of the records, which the engine takes from the
/// machine's time, by values that are equal in every run.
fn numbered(records: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let numbered = |(place, mut record): (usize, Value)| {
        let arn = record["eventSourceARN"].as_str().expect("an ARN");
        let (table, _) = arn.split_once("/stream/").expect("the ARN of a stream");
        record["eventSourceARN"] = format!("{table}/stream/2026-09-21T14:13:20.000").into();
        record["eventID"] = format!("event-{place}").into();
        record["dynamodb"]["SequenceNumber"] = format!("{:021}", 1000 + place).into();
        record["dynamodb"]["ApproximateCreationDateTime"] = 1_790_000_000.0.into();
        record
    };
    records.into_iter().enumerate().map(numbered).collect()
}
