//! Every crash point: a function is killed at its first, its second, … its last call, before the
//! call took effect and after, and whoever called it does what they would do: the device sends the
//! batch again, the stream delivers again, the admin decides again. What stands in all tables and
//! buckets then, what subscribers are told and what devices pull must be what it is after a run
//! that nothing killed.
//!
//! How many calls there are is found by running. What differs legitimately is named with its
//! reason: in [`seen`] where it is so for every story, and in a story's [`CrashScenario::exempt`] where it
//! is so for that one.

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

/// Longer than any function takes in virtual time: one that has not answered by then has died.
const DEAD_AFTER: Duration = Duration::from_secs(60);
/// A point in a run: after how many calls, and where in the next one.
type Point = (usize, Moment);

/// Something that a function does and that may die on the way.
trait CrashScenario {
    /// What the caller has to know of what was prepared.
    type Facts;

    /// A new deployment whose API functions' calls pass `hook`.
    fn stack(&self, hook: Arc<dyn Hook>) -> Stack {
        Stack::hooked(hook)
    }

    /// What happened before.
    async fn prepare(&self, stack: &Stack) -> Self::Facts;

    /// What the caller does, and does again when there is no answer; gives what it is told. What it
    /// calls the API for passes `hook` already.
    async fn act(&self, stack: &Stack, hook: Arc<dyn Hook>, facts: &Self::Facts) -> Value;

    /// Whether the functions behind the streams are given what was written. Not where the story is
    /// about one of them.
    fn is_sequenced(&self) -> bool {
        true
    }

    /// Takes out of what a place holds what a run with a crash in it may have left differently.
    fn exempt(&self, _place: &str, things: Vec<Value>) -> Vec<Value> {
        things
    }
}

/// Kills a story at each of its calls; gives how many those are.
async fn dies_everywhere(scenario: &impl CrashScenario) -> usize {
    let mut calls = 0;
    for (moment, later, times) in [
        // Whoever comes back at once must find even the times the same.
        (Moment::Before, chrono::Duration::zero(), Times::Count),
        // And an hour later, as devices come back.
        (Moment::After, chrono::Duration::hours(1), Times::Differ),
    ] {
        let whole;
        (whole, calls) = undisturbed(scenario, times).await;
        assert!(calls > 0, "a story without calls");
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

/// Kills a story after each of its calls, and what is to finish it before its own: every third of
/// them, another third each time.
async fn dies_twice(scenario: &impl CrashScenario) {
    let (whole, calls) = undisturbed(scenario, Times::Count).await;
    let mut pairs = 0;
    for first in 0..calls {
        for second in (first % 3..).step_by(3) {
            let points = [(first, Moment::After), (second, Moment::Before)];
            // The second run makes fewer calls, or more: it ends where it no longer dies.
            let Some(seen) =
                crashed(scenario, &points, chrono::Duration::zero(), Times::Count).await
            else {
                break;
            };
            seen.assert_is(&whole, &format!("died at {points:?}"));
            pairs += 1;
        }
    }
    assert!(pairs > 0, "what is to finish it makes calls too");
}

/// A run that nothing kills: what is seen then, and how many calls it makes.
async fn undisturbed<S: CrashScenario>(scenario: &S, times: Times) -> (Observations, usize) {
    let hook = Arc::new(Switch::default());
    let stack = scenario.stack(hook.clone());
    let facts = scenario.prepare(&stack).await;
    let mut readers = Readers::before(scenario, &stack).await;
    let counting = Arc::new(Script::new(|_, _, _, _| CallFate::Continue));
    hook.set(counting.clone());
    let told = scenario.act(&stack, hook.clone(), &facts).await;
    hook.set(Arc::new(NoHook));
    readers.read(scenario, &stack).await;
    (
        Observations::of(scenario, &stack, readers, told, times).await,
        counting.calls(),
    )
}

/// A run that dies at these points, one try after the other, and that is finished then. `None` if
/// one of them is behind its end.
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
        // The others do not wait: what did take effect is on its way to them.
        readers.read(scenario, &stack).await;
        stack.advance(later);
    }
    let told = scenario.act(&stack, hook, &facts).await;
    readers.read(scenario, &stack).await;
    Some(Observations::of(scenario, &stack, readers, told, times).await)
}

/// A hook that is another one from time to time.
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

/// Records with numbers, labels and times of the tests' own, which every run has alike: the engine
/// takes them from the machine's time.
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
