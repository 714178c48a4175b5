//! Samples of stream batches: the log that `changelog` builds from each, and that it builds it
//! once.

use std::sync::Arc;

use lambda_http::{Context as LambdaContext, LambdaEvent};
use serde_json::{Value, json};
use tidemark::{deployment::StreamConsumer, engine::http::NoHook};
use tidemark_aws::stream::StreamEvent;
use tidemark_core::model::{
    channel::{Channel, Scope},
    position::{Position, Sequence},
};
use tidemark_tests::{Item, Stack};

use super::{function_of, missing_fields, samples};

/// The expected effects of a sample.
pub(super) struct StreamExpectation {
    pub(super) sample: &'static str,
    /// By channel of the tenant `acme`: the entries of its log, each as (type, action, version,
    /// payload).
    log: &'static [(&'static str, &'static [Entry])],
    /// The sequence numbers of the dead-lettered records, each with a word of the reason.
    dead_letter: &'static [(&'static str, &'static str)],
}

type Entry = (&'static str, &'static str, u64, Option<&'static str>);

const CREATED: Entry = (
    "meter",
    "create",
    1,
    Some(r#"{"code":"A-17","reading":1.0,"installed":"2025-12-01"}"#),
);
const UPDATED: Entry = (
    "meter",
    "update",
    2,
    Some(r#"{"code":"A-17","reading":42.50,"installed":"2025-12-01"}"#),
);
const DELETED: Entry = ("meter", "delete", 3, None);
const SUBMITTED: Entry = (
    "submission",
    "create",
    1,
    Some(r#"{"form_id":"f-1","form_version":"v2","data":{"fieldA":"ok"}}"#),
);

pub(super) const EXPECTED: &[StreamExpectation] = &[
    StreamExpectation {
        sample: "changelog.create-update-delete",
        log: &[
            ("tenant", &[CREATED, UPDATED, DELETED]),
            ("user/ana", &[SUBMITTED]),
        ],
        dead_letter: &[],
    },
    StreamExpectation {
        sample: "changelog.unreadable-record",
        log: &[("tenant", &[CREATED]), ("user/ana", &[SUBMITTED])],
        dead_letter: &[("442158450000000001745044117", "server_version")],
    },
    StreamExpectation {
        sample: "changelog.repeat",
        log: &[("tenant", &[CREATED, UPDATED]), ("user/ana", &[SUBMITTED])],
        dead_letter: &[],
    },
    StreamExpectation {
        sample: "changelog.nothing-new",
        log: &[("tenant", &[]), ("user/ana", &[])],
        dead_letter: &[],
    },
];

/// Runs a sample and returns the sequence numbers that the stream retries from, if any.
async fn run(changelog: &StreamConsumer, text: &str) -> Vec<Option<String>> {
    let event: StreamEvent = serde_json::from_str(text).unwrap();
    let event = LambdaEvent::new(event, LambdaContext::default());
    let response = changelog.sequence(event).await;
    response
        .batch_item_failures
        .into_iter()
        .map(|failure| failure.item_identifier)
        .collect()
}

/// Returns the log of a channel, read through its links from the start to the head, with the
/// position of each entry.
async fn log(stack: &Stack, channel: &str) -> Vec<(Position, String, String, u64, Option<String>)> {
    let scope = Scope {
        tenant: "acme".into(),
        channel: Channel::parse(channel).unwrap(),
    };
    let changes = stack.parts("pull", Arc::new(NoHook)).tables.changes;

    let Some(head) = changes
        .heads(std::slice::from_ref(&scope))
        .await
        .unwrap()
        .remove(0)
    else {
        return Vec::new();
    };

    assert_eq!(head.stream, "2025-11-03T09:15:27.418");
    let segments = changes
        .segments(&scope, Position::START, head.position, 100)
        .await
        .unwrap();

    let mut read = Position::START;
    let mut entries = Vec::new();
    for stored in segments {
        assert_eq!(
            stored.segment.follows, read,
            "{channel}: a segment that is not linked"
        );
        read = stored.segment.last;
        entries.extend(stored.segment.entries.into_iter().map(|entry| {
            let payload = entry.payload.map(|payload| payload.get().to_owned());
            (
                entry.position,
                entry.resource_type,
                entry.action.as_str().to_owned(),
                entry.server_version,
                payload,
            )
        }));
    }

    assert_eq!(
        read, head.position,
        "{channel}: the head has another position"
    );
    entries
}

/// Returns the dead-lettered records, each with its sequence number and reason, in order.
async fn dead_letter(stack: &Stack) -> Vec<(String, String, Value)> {
    let number = |object: &Value| {
        object["record"]["dynamodb"]["SequenceNumber"]
            .as_str()
            .unwrap()
            .to_owned()
    };

    let objects = stack.dead_letters().await.into_values();
    let mut records: Vec<_> = objects
        .map(|object| {
            (
                number(&object),
                object["reason"].as_str().unwrap().to_owned(),
                object["record"].clone(),
            )
        })
        .collect();
    records.sort_by(|one, other| one.0.cmp(&other.0));
    records
}

#[tokio::test]
async fn batches_are_sequenced_as_expected() {
    each_batch(async |stack, text| run(&stack.consumer("changelog", Arc::new(NoHook)), text).await)
        .await;
}

/// Sequences each batch with `run`, which returns the sequence numbers to retry from, and checks
/// the log and the dead letters.
pub(crate) async fn each_batch(run: impl AsyncFn(&Stack, &str) -> Vec<Option<String>>) {
    let samples = samples();
    for expected in EXPECTED {
        let (stack, name) = (Stack::new(), expected.sample);
        assert_eq!(
            run(&stack, &samples[name]).await,
            [],
            "{name}: no record is retried"
        );

        for (channel, entries) in expected.log {
            let found = log(&stack, channel).await;
            let found: Vec<_> = found
                .iter()
                .map(|(_, kind, action, version, payload)| {
                    (kind.as_str(), action.as_str(), *version, payload.as_deref())
                })
                .collect();
            assert_eq!(found, *entries, "{name}: {channel}");
        }

        let kept = dead_letter(&stack).await;
        let ids: Vec<&str> = kept.iter().map(|(id, _, _)| id.as_str()).collect();
        assert_eq!(
            ids,
            expected
                .dead_letter
                .iter()
                .map(|(id, _)| *id)
                .collect::<Vec<_>>(),
            "{name}"
        );

        for ((_, reason, _), (_, word)) in kept.iter().zip(expected.dead_letter) {
            assert!(reason.contains(word), "{name}: {reason}");
        }
    }
}

#[tokio::test]
async fn redelivered_batch_changes_nothing() {
    let samples = samples();
    for sample in EXPECTED.iter().map(|it| it.sample) {
        let stack = Stack::new();
        let changelog = stack.consumer("changelog", Arc::new(NoHook));
        run(&changelog, &samples[sample]).await;
        let before = stack.rows("changes");
        assert_eq!(run(&changelog, &samples[sample]).await, [], "{sample}");
        assert_eq!(stack.rows("changes"), before, "{sample}");
    }
}

#[tokio::test]
async fn entries_have_the_positions_of_their_records() {
    let stack = Stack::new();
    let changelog = stack.consumer("changelog", Arc::new(NoHook));
    let sample = &samples()["changelog.create-update-delete"];
    run(&changelog, sample).await;

    let event: Value = serde_json::from_str(sample).unwrap();
    let number = |record: &Value| {
        Sequence::parse(record["dynamodb"]["SequenceNumber"].as_str().unwrap()).unwrap()
    };
    let sent: Vec<Sequence> = event["Records"]
        .as_array()
        .unwrap()
        .iter()
        .map(number)
        .collect();

    let found = [log(&stack, "tenant").await, log(&stack, "user/ana").await].concat();
    assert_eq!(
        found
            .iter()
            .map(|entry| entry.0.sequence)
            .collect::<Vec<_>>(),
        sent
    );
}

#[tokio::test]
async fn dead_lettered_record_is_stored_whole() {
    let stack = Stack::new();
    let sample = &samples()["changelog.unreadable-record"];
    run(&stack.consumer("changelog", Arc::new(NoHook)), sample).await;
    let event: Value = serde_json::from_str(sample).unwrap();
    assert_eq!(dead_letter(&stack).await[0].2, event["Records"][1]);
}

/// Compares the samples with the stream record of a push: their rows have the same columns, except
/// for the column that is meant to be corrupt.
#[tokio::test]
async fn samples_have_all_fields_of_real_records() {
    let stack = Stack::new();
    let item = Item::create_as("meter", "t", json!({"a": 1})).version(1);
    stack.device("ana", "phone").push_one(item).await;
    let real = stack.stream_records().remove(0);

    for (sample, text) in samples()
        .iter()
        .filter(|(sample, _)| function_of(sample) == "changelog" && !sample.contains(".direct-"))
    {
        let event: Value = serde_json::from_str(text).unwrap();
        for record in event["Records"].as_array().unwrap() {
            let mut missing = missing_fields(&real, record, "");
            if record["eventName"] == "REMOVE" {
                assert_eq!(missing, ["dynamodb.NewImage"], "{sample}");
                continue;
            }

            missing.retain(|field| {
                sample != "changelog.unreadable-record"
                    || field != "dynamodb.NewImage.server_version"
            });
            assert_eq!(missing, [""; 0], "{sample}: {}", record["eventID"]);
            let extra = missing_fields(
                &record["dynamodb"]["NewImage"],
                &real["dynamodb"]["NewImage"],
                "",
            );
            assert!(
                extra.is_empty() || sample == "changelog.unreadable-record",
                "{sample}: {extra:?}"
            );
        }
    }
}
