//! Sequencing: the stream delivers the same records again.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::http::{Hook, NoHook};
use tidemark_tests::{Device, Stack, stack::stream_event};

use super::{CrashScenario, dies_everywhere, dies_twice, numbered};

/// The function is handed what the stream holds.
struct Sequencing {
    /// What was written, each item a push of its own.
    writes: fn() -> Vec<Value>,
    /// Of their records, in which order they come, and which were sequenced before.
    before: &'static [usize],
    order: &'static [usize],
    /// A record that nobody can read comes with them.
    is_poisoned: bool,
}

/// Whether the function took them all.
async fn sequenced(stack: &Stack, records: &[Value], hook: Arc<dyn Hook>) -> bool {
    let context = stack.context("changelog", hook);
    let response = tidemark_changelog::handle(&context, stream_event(records))
        .await
        .expect("a response");
    response.batch_item_failures.is_empty()
}

impl CrashScenario for Sequencing {
    /// The records, in the order they come.
    type Facts = Vec<Value>;

    async fn prepare(&self, stack: &Stack) -> Vec<Value> {
        let writer = Device::new(
            stack,
            stack.token("acme", "writer", &["admin"], &[]),
            "server",
        );
        for item in (self.writes)() {
            assert_eq!(writer.push_one(item).await["status"], "ok");
        }
        let written = numbered(stack.stream_records());
        let chosen = |places: &[usize]| -> Vec<Value> {
            places.iter().map(|place| written[*place].clone()).collect()
        };
        if !self.before.is_empty() {
            assert!(sequenced(stack, &chosen(self.before), Arc::new(NoHook)).await);
        }
        let mut records = chosen(self.order);
        if self.is_poisoned {
            let mut poison = records[1].clone();
            poison["dynamodb"]["NewImage"]["server_version"] = json!({"S": "poison"});
            records.insert(1, poison);
        }
        records
    }

    async fn act(&self, stack: &Stack, hook: Arc<dyn Hook>, records: &Vec<Value>) -> Value {
        assert!(sequenced(stack, records, hook).await);
        let aside: Vec<_> = stack
            .dead_letter()
            .await
            .into_values()
            .map(|object| object["reason"].clone())
            .collect();
        assert_eq!(aside.len(), usize::from(self.is_poisoned), "{aside:?}");
        json!(stack.rows("changes").len())
    }

    fn is_sequenced(&self) -> bool {
        false
    }
}

fn task(channel: &str, id: &str, version: u64) -> Value {
    let action = if version == 0 { "create" } else { "update" };
    json!({"resource_type": "task", "action": action, "channel": channel, "client_version": version, "base_version": version,
        "payload": {"id": id, "title": version}})
}

/// Two versions of two resources in one channel.
fn one_channel() -> Vec<Value> {
    [0, 1]
        .into_iter()
        .flat_map(|version| ["a", "b"].map(|id| task("tenant", id, version)))
        .collect()
}

/// The same in each of three.
fn channels() -> Vec<Value> {
    let written =
        |version| ["tenant", "group/north", "user/ana"].map(|channel| task(channel, "a", version));
    [0, 1].into_iter().flat_map(written).collect()
}

/// Of one channel, more than fits into one segment.
fn large() -> Vec<Value> {
    let large = |letter: char| {
        let payload = json!({"id": letter, "text": letter.to_string().repeat(250_000)});
        json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": payload})
    };
    ('a'..='i').map(large).collect()
}

#[tokio::test(start_paused = true)]
async fn one_channel_is_sequenced_wherever_the_function_dies() {
    let scenario = Sequencing {
        writes: one_channel,
        before: &[],
        order: &[0, 1, 2, 3],
        is_poisoned: false,
    };
    dies_everywhere(&scenario).await;
    dies_twice(&scenario).await;
}

#[tokio::test(start_paused = true)]
async fn several_channels_are_sequenced_wherever_the_function_dies() {
    let scenario = Sequencing {
        writes: channels,
        before: &[],
        order: &[0, 1, 2, 3, 4, 5],
        is_poisoned: false,
    };
    assert!(
        dies_everywhere(&scenario).await >= 4,
        "the heads, and a segment and a head for each"
    );
}

#[tokio::test(start_paused = true)]
async fn late_and_repeated_records_are_told_apart_wherever_the_function_dies() {
    // The head has passed 0 and 1, which it does not hold; 2 comes again; 3 is new.
    let late = Sequencing {
        writes: one_channel,
        before: &[2],
        order: &[0, 1, 2, 3],
        is_poisoned: false,
    };
    assert!(
        dies_everywhere(&late).await >= 5,
        "head, log, rows, segment and head"
    );
    dies_twice(&late).await;
    // Late ones that no newer record speaks for.
    let channels = Sequencing {
        writes: channels,
        before: &[4],
        order: &[3, 1, 5, 2, 4, 0],
        is_poisoned: false,
    };
    dies_everywhere(&channels).await;
}

#[tokio::test(start_paused = true)]
async fn several_segments_are_appended_wherever_the_function_dies() {
    let scenario = Sequencing {
        writes: large,
        before: &[],
        order: &[0, 1, 2, 3, 4, 5, 6, 7, 8],
        is_poisoned: false,
    };
    assert_eq!(
        dies_everywhere(&scenario).await,
        11,
        "the head, nine segments, and the head"
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_set_aside_once_wherever_the_function_dies() {
    dies_everywhere(&Sequencing {
        writes: channels,
        before: &[],
        order: &[0, 1, 2, 3, 4, 5],
        is_poisoned: true,
    })
    .await;
}
