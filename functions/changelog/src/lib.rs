//! Changelog, the sequencer: converts a batch of stream records to segments, and appends them to
//! the change logs. It may be killed between any two calls, run twice concurrently, and receive any
//! record again: the condition of each segment keeps the log consistent, and a retry completes the
//! work.
//!
//! Operators also invoke it with a repair request. Changes that the stream lost before they were
//! sequenced are then appended from the resources themselves.

use std::collections::BTreeMap;

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use futures_util::{StreamExt as _, stream};
use lambda_runtime::{Context as LambdaContext, LambdaEvent};
use serde_json::value::to_raw_value;
use tidemark_app::repair;
use tidemark_aws::{
    Context, Deadline, Error, http,
    metrics::Metric,
    stream::{Reading, StreamEvent, batch_item_failures, dead_letter, read, sequence_of},
    tables::changes::AppendOutcome,
    telemetry::{End, Invocation},
};
use tidemark_core::{
    model::{
        channel::Scope,
        json::{self, Json},
        position::Sequence,
    },
    rules::sequence::plan::{Record, classify},
    wire::{
        problem::{Problem, read_body},
        repair::{RepairEvent, RepairResponse},
    },
};

/// The name of the function in logs.
const NAME: &str = "changelog";
/// The field that identifies a batch of stream records among the events of the function.
const RECORDS: &str = "Records";
/// The maximum number of appends per channel while concurrent updates fail their condition. A
/// condition fails only if another invocation made progress.
const APPEND_ATTEMPTS_MAX: u32 = 50;
/// The number of channels that are sequenced concurrently. Each uses a connection.
const PARALLEL_CHANNELS: usize = 16;

/// Handles any event of the function: a batch of stream records, or otherwise an operator's
/// request.
///
/// # Errors
/// Returns an error if a batch cannot be decoded, which no stream sends. A rejected request is no
/// error: the response is its problem.
pub async fn invoked(
    context: &Context,
    event: LambdaEvent<Json>,
) -> Result<Json, lambda_runtime::Error> {
    let LambdaEvent {
        payload,
        context: lambda_context,
    } = event;

    // Only an object can be a batch: serde would also decode an array of the field values.
    let batch = match payload
        .get()
        .starts_with('{')
        .then(|| serde_json::from_str::<StreamEvent>(payload.get()))
    {
        Some(Ok(batch)) => batch,
        Some(Err(error))
            if json::fields(&payload).is_some_and(|fields| fields.contains_key(RECORDS)) =>
        {
            return Err(error.into());
        }
        _ => return Box::pin(direct(context, &payload, &lambda_context)).await,
    };

    drop(payload);
    // Boxed to reduce the nesting depth of futures, which the compiler limits.
    let response = Box::pin(handle(context, LambdaEvent::new(batch, lambda_context))).await?;
    Ok(to_raw_value(&response)?)
}

/// Serves a direct invocation. Returns the report of the repair, or a problem. IAM controls who may
/// invoke the function.
async fn direct(
    context: &Context,
    event: &Json,
    lambda_context: &LambdaContext,
) -> Result<Json, lambda_runtime::Error> {
    let context = &context.for_invocation();
    Ok(http::direct(context, NAME, lambda_context, repaired(context, event)).await?)
}

async fn repaired(context: &Context, event: &Json) -> Result<RepairResponse, Error> {
    if !json::fields(event)
        .unwrap_or_default()
        .contains_key("repair")
    {
        let detail =
            "an event is a batch of stream records, or a repair request such as {\"repair\": {}}";
        return Err(Problem::malformed("repair", detail).into());
    }
    let RepairEvent { repair: request } = read_body(event.get().as_bytes())?;
    // Boxed to reduce the nesting depth of futures, which the compiler limits.
    Box::pin(repair::repair(context, &request)).await
}

/// Sequences a batch of stream records. Reports the earliest record that could not be sequenced,
/// from which the stream redelivers.
///
/// # Errors
/// Returns no error. A failure of the whole batch is reported as a failure of its first record.
pub async fn handle(
    context: &Context,
    event: LambdaEvent<StreamEvent>,
) -> Result<DynamoDbEventResponse, lambda_runtime::Error> {
    let context = &context.for_invocation();
    let invocation = Invocation {
        function: NAME,
        request_id: &event.context.request_id,
        lambda_request_id: None,
    };
    let deadline = Deadline::of(Some(&event.context), &context.clock);

    let work = async {
        let response = sequence_all(context, event.payload, deadline).await;
        let end = End::of_records(&response);
        (Ok(response), end)
    };

    invocation.run(context, work).await
}

async fn sequence_all(
    context: &Context,
    event: StreamEvent,
    deadline: Deadline,
) -> DynamoDbEventResponse {
    let mut channels: BTreeMap<Scope, Vec<Record>> = BTreeMap::new();
    let mut failed: Vec<Sequence> = Vec::new();

    for record in event.records {
        match read(&record) {
            Reading::Change(scope, record) => channels.entry(scope).or_default().push(*record),
            Reading::Nothing => {}
            Reading::Unreadable(reason) => {
                let kept = deadline
                    .bound(async { Ok(dead_letter(context, &record, &reason).await.err()) });
                failed.extend(kept.await.unwrap_or_else(|_| Some(sequence_of(&record))));
            }
        }
    }

    // The channel of the earliest record is sequenced first, in a deterministic order. The stream
    // redelivers from the earliest failed record, so a batch that takes too long makes progress
    // with each attempt.
    let first = |records: &[Record]| records.iter().map(|record| record.sequence).min();
    let mut channels: Vec<_> = channels
        .into_iter()
        .filter_map(|(scope, records)| Some((first(&records)?, scope, records)))
        .collect();
    channels.sort_by_key(|(first, ..)| *first);

    let sequenced = channels.into_iter().map(async |(first, scope, records)| {
        let failure = deadline
            .bound(Box::pin(sequence(context, &scope, records)))
            .await
            .err()?;
        let Scope { tenant, channel } = &scope;
        tracing::error!(%failure, tenant, %channel, "a channel could not be sequenced");
        Some(first)
    });

    let sequenced = stream::iter(sequenced)
        .buffer_unordered(PARALLEL_CHANNELS)
        .collect::<Vec<_>>();
    failed.extend(sequenced.await.into_iter().flatten());
    batch_item_failures(failed)
}

/// Appends the records of one channel to its log.
async fn sequence(context: &Context, scope: &Scope, records: Vec<Record>) -> Result<(), Error> {
    for _ in 0..APPEND_ATTEMPTS_MAX {
        if append(context, scope, records.clone()).await? == AppendOutcome::Done {
            return Ok(());
        }
    }
    Err(Error::Unavailable(format!(
        "{APPEND_ATTEMPTS_MAX} appends to a channel failed because of concurrent updates"
    )))
}

/// Makes one attempt: reads the head, classifies the records, and appends the missing changes.
async fn append(
    context: &Context,
    scope: &Scope,
    records: Vec<Record>,
) -> Result<AppendOutcome, Error> {
    let tables = &context.tables;
    let head = tables
        .changes
        .heads(std::slice::from_ref(scope))
        .await?
        .pop()
        .flatten();

    let mut classified = classify(head.as_ref(), records);
    let held = tables
        .changes
        .held(scope, classified.positions_to_look_up())
        .await?;
    classified = classified.without_duplicates(&held);

    let unverified = classified.resources_to_load();
    let rows = tables.resources.load(&scope.tenant, &unverified).await?;
    let versions = rows
        .rows
        .into_iter()
        .map(|(key, row)| (key, row.server_version))
        .collect();

    let steps = classified.steps(head.as_ref(), &versions, context.clock.now());
    if tables.changes.append(scope, &steps).await? == AppendOutcome::ConcurrentUpdate {
        return Ok(AppendOutcome::ConcurrentUpdate);
    }

    let changes = || steps.iter().flat_map(|step| &step.segment.entries);
    context
        .meter
        .count(Metric::SequencedChanges, changes().count());
    if let Some(oldest) = changes().map(|entry| entry.changed_at).min() {
        context
            .meter
            .note_age(Metric::LogHeadAge, context.clock.now() - oldest);
    }
    Ok(AppendOutcome::Done)
}
