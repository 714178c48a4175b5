//! Sequencing: the stream delivers the same records again.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::http::{Hook, NoHook};
use tidemark_tests::{Device, Item, Stack, stack::stream_event};

use super::{CrashScenario, dies_everywhere, dies_twice, numbered};

/// Scenario: the changelog function sequences a batch of stream records.
struct Sequencing {
    /// Returns the items to write, each by a separate push.
    writes: fn() -> Vec<Value>,
    /// Indices of the records that are sequenced beforehand.
    before: &'static [usize],
    /// Indices of the records of the batch, in order of delivery.
    order: &'static [usize],
    /// Whether the batch contains a record that cannot be decoded.
    is_poisoned: bool,
}

/// Sequences the records and returns whether the function reports no failure.
async fn sequenced(stack: &Stack, records: &[Value], hook: Arc<dyn Hook>) -> bool {
    let changelog = stack.consumer("changelog", hook);
    let response = changelog.sequence(stream_event(records)).await;
    response.batch_item_failures.is_empty()
}

impl CrashScenario for Sequencing {
    /// Records of the batch, in order of delivery.
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
        let reasons: Vec<_> = stack
            .dead_letters()
            .await
            .into_values()
            .map(|object| object["reason"].clone())
            .collect();
        assert_eq!(reasons.len(), usize::from(self.is_poisoned), "{reasons:?}");
        json!(stack.rows("changes").len())
    }

    fn is_sequenced(&self) -> bool {
        false
    }
}

fn task(channel: &str, id: &str, version: u64) -> Value {
    let action = if version == 0 { "create" } else { "update" };
    let task = Item::new("task", action, version).base(version);
    let task = task.channel(channel).payload(json!({"title": version}));
    task.id(id).into()
}

/// Returns two versions of two resources in one channel.
fn one_channel() -> Vec<Value> {
    [0, 1]
        .into_iter()
        .flat_map(|version| ["a", "b"].map(|id| task("tenant", id, version)))
        .collect()
}

/// Returns two versions of a resource in each of three channels.
fn channels() -> Vec<Value> {
    let written =
        |version| ["tenant", "group/north", "user/ana"].map(|channel| task(channel, "a", version));
    [0, 1].into_iter().flat_map(written).collect()
}

/// Returns creates in one channel that do not fit into one segment.
fn large() -> Vec<Value> {
    let large = |letter: char| {
        let id = letter.to_string();
        Item::create("meter", &id, json!({"text": id.repeat(250_000)})).into()
    };
    ('a'..='i').map(large).collect()
}

#[tokio::test(start_paused = true)]
async fn one_channel_is_sequenced_despite_crashes() {
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
async fn several_channels_are_sequenced_despite_crashes() {
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
async fn late_and_repeated_records_survive_crashes() {
    // The head has passed records 0 and 1, which the log lacks. Record 2 is a repeat, and 3 is new.
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

    // Late records whose newer versions are sequenced already or come earlier in the batch.
    let channels = Sequencing {
        writes: channels,
        before: &[4],
        order: &[3, 1, 5, 2, 4, 0],
        is_poisoned: false,
    };
    dies_everywhere(&channels).await;
}

#[tokio::test(start_paused = true)]
async fn several_segments_are_appended_despite_crashes() {
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
async fn poison_record_is_dead_lettered_despite_crashes() {
    dies_everywhere(&Sequencing {
        writes: channels,
        before: &[],
        order: &[0, 1, 2, 3, 4, 5],
        is_poisoned: true,
    })
    .await;
}
