//! Changelog, the sequencer: stream batch → packed segments → `head`. It may die between any two calls, run twice at once, and be
//! given any record again: the head's condition keeps the log right, and a retry finishes the work.

use std::collections::BTreeMap;

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use futures_util::{StreamExt as _, stream};
use lambda_runtime::LambdaEvent;
use tidemark_aws::{
    Failure, Platform,
    metrics::Metric,
    stream::{Reading, StreamEvent, given_back, read, set_aside},
    tables::changes::{Appended, LogStep},
    telemetry::{End, Invocation},
};
use tidemark_core::{
    channel::Scope,
    sequence::{
        plan::{Head, Record, classify},
        position::Sequence,
    },
};

/// Times a channel is classified again after a lost race; a race is lost only when another invocation made progress.
const RACES_MAX: u32 = 50;
/// Channels sequenced side by side: each is a connection.
const CHANNELS_AT_ONCE: usize = 16;

/// Sequences a batch of stream records. What could not be sequenced is reported by its earliest sequence number, from which the
/// stream delivers again.
///
/// # Errors
/// None: a failure that hits the whole batch reports the first record.
pub async fn handle(
    platform: &Platform,
    event: LambdaEvent<StreamEvent>,
) -> Result<DynamoDbEventResponse, lambda_runtime::Error> {
    let platform = &platform.for_invocation();
    let invocation = Invocation { function: "changelog", request_id: &event.context.request_id, lambda_request_id: None };
    let work = async {
        let response = sequence_all(platform, event.payload).await;
        let end = End::of_records(&response);
        (Ok(response), end)
    };
    invocation.run(platform, work).await
}

async fn sequence_all(platform: &Platform, event: StreamEvent) -> DynamoDbEventResponse {
    // In an order that is always the same: a run can be made again.
    let mut channels: BTreeMap<Scope, Vec<Record>> = BTreeMap::new();
    let mut failed: Vec<Sequence> = Vec::new();
    for record in &event.records {
        match read(record) {
            Reading::Change(scope, record) => channels.entry(scope).or_default().push(*record),
            Reading::Nothing => {}
            Reading::Unreadable(reason) => failed.extend(set_aside(platform, record, &reason).await.err()),
        }
    }
    let sequenced = channels.into_iter().map(async |(scope, records)| {
        let first = records.iter().map(|record| record.sequence).min()?;
        let failure = sequence(platform, &scope, records).await.err()?;
        let Scope { tenant, channel } = &scope;
        tracing::error!(%failure, tenant, %channel, "a channel could not be sequenced");
        Some(first)
    });
    let sequenced = stream::iter(sequenced).buffer_unordered(CHANNELS_AT_ONCE).collect::<Vec<_>>();
    failed.extend(sequenced.await.into_iter().flatten());
    given_back(failed)
}

/// Brings one channel's records into its log.
async fn sequence(platform: &Platform, scope: &Scope, records: Vec<Record>) -> Result<(), Failure> {
    for _ in 0..RACES_MAX {
        if append(platform, scope, records.clone()).await? == Appended::Done {
            return Ok(());
        }
    }
    Err(Failure::Outage(format!("lost {RACES_MAX} races for the head of a channel")))
}

/// One try: read the head, classify, append what is missing.
async fn append(platform: &Platform, scope: &Scope, records: Vec<Record>) -> Result<Appended, Failure> {
    let tables = &platform.tables;
    let mut head = tables.changes.heads(std::slice::from_ref(scope)).await?.pop().flatten();
    let mut classified = classify(head.as_ref(), records);
    if let Some(head) = &head {
        let positions = classified.positions_to_find();
        let held = tables.changes.held(scope, positions, head.position).await?;
        classified = classified.without_repeats(&held);
    }
    let late = classified.late_resources();
    let rows = tables.resources.load(&scope.tenant, &late).await?;
    let versions = rows.rows.into_iter().map(|(key, row)| (key, row.server_version)).collect();
    for (segment, stream) in classified.segments(head.as_ref(), &versions) {
        let now = platform.clock.now();
        let step = LogStep { scope, head: head.as_ref(), segment: &segment, stream: &stream, now };
        if tables.changes.append(&step).await? == Appended::LostRace {
            return Ok(Appended::LostRace);
        }
        platform.meter.count(Metric::SequencedChanges, segment.entries.len());
        if let Some(oldest) = segment.entries.iter().map(|entry| entry.changed_at).min() {
            platform.meter.note_age(Metric::LogHeadAge, platform.clock.now() - oldest);
        }
        let floor = head.and_then(|head| head.floor);
        head = Some(Head { position: segment.last, stream, floor, moved_at: now });
    }
    Ok(Appended::Done)
}
