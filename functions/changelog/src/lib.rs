//! Changelog, the sequencer: stream batch → packed segments → `head`. It may die between any two
//! calls, run twice at once, and be given any record again: each segment's condition keeps the log
//! right, and a retry finishes the work.
//!
//! Operators invoke it too, with an event that asks for a repair: what the stream forgot before it
//! was sequenced is appended from the resources themselves.

use std::collections::BTreeMap;

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use futures_util::{StreamExt as _, stream};
use lambda_runtime::{Context as LambdaContext, LambdaEvent};
use serde_json::value::to_raw_value;
use tidemark_aws::{
    Context, Deadline, Failure, http,
    metrics::Metric,
    repair,
    stream::{Reading, StreamEvent, dead_letter, given_back, read, sequence_of},
    tables::changes::AppendOutcome,
    telemetry::{End, Invocation},
};
use tidemark_core::{
    channel::Scope,
    json::{self, Json},
    protocol::{
        problem::{Problem, read_body},
        repair::{RepairEvent, RepairResponse},
    },
    sequence::{
        plan::{Record, classify},
        position::Sequence,
    },
};

/// What the function is called in logs.
const NAME: &str = "changelog";
/// What a batch of stream records has, and nothing else that Lambda hands over.
const RECORDS: &str = "Records";
/// Times a channel is classified again after a lost race; a race is lost only when another
/// invocation made progress.
const RACES_MAX: u32 = 50;
/// Channels sequenced side by side: each is a connection.
const CHANNELS_AT_ONCE: usize = 16;

/// Answers whatever Lambda hands over: a batch of stream records, or else an operator's request.
///
/// # Errors
/// A batch that does not read, which no stream sends. A refused request is no error: it is answered
/// with its problem.
pub async fn invoked(
    context: &Context,
    event: LambdaEvent<Json>,
) -> Result<Json, lambda_runtime::Error> {
    let LambdaEvent {
        payload,
        context: lambda_context,
    } = event;
    // Only an object is a batch: serde would take a list of its values too.
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
    // Boxed, because the compiler counts how deep futures stand in each other.
    let response = Box::pin(handle(context, LambdaEvent::new(batch, lambda_context))).await?;
    Ok(to_raw_value(&response)?)
}

/// A direct invocation, answered with what was found and done, or with the problem. IAM says who
/// may send it.
async fn direct(
    context: &Context,
    event: &Json,
    lambda_context: &LambdaContext,
) -> Result<Json, lambda_runtime::Error> {
    let context = &context.for_invocation();
    Ok(http::direct(context, NAME, lambda_context, repaired(context, event)).await?)
}

async fn repaired(context: &Context, event: &Json) -> Result<RepairResponse, Failure> {
    if !json::fields(event)
        .unwrap_or_default()
        .contains_key("repair")
    {
        let detail =
            "an event is a batch of stream records, or says what to repair, as in {\"repair\": {}}";
        return Err(Problem::malformed("repair", detail).into());
    }
    let RepairEvent { repair: request } = read_body(event.get().as_bytes())?;
    // Boxed, because the compiler counts how deep futures stand in each other.
    Box::pin(repair::repair(context, &request)).await
}

/// Sequences a batch of stream records. What could not be sequenced is reported by its earliest
/// sequence number, from which the stream delivers again.
///
/// # Errors
/// None: a failure that hits the whole batch reports the first record.
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
    // The channel of the earliest record first, in an order that is always the same: the stream
    // delivers again from the earliest record that failed, so that a batch which takes too long
    // still gets on with each try.
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
        .buffer_unordered(CHANNELS_AT_ONCE)
        .collect::<Vec<_>>();
    failed.extend(sequenced.await.into_iter().flatten());
    given_back(failed)
}

/// Brings one channel's records into its log.
async fn sequence(context: &Context, scope: &Scope, records: Vec<Record>) -> Result<(), Failure> {
    for _ in 0..RACES_MAX {
        if append(context, scope, records.clone()).await? == AppendOutcome::Done {
            return Ok(());
        }
    }
    Err(Failure::Outage(format!(
        "lost {RACES_MAX} races for the head of a channel"
    )))
}

/// One try: read the head, classify, append what is missing.
async fn append(
    context: &Context,
    scope: &Scope,
    records: Vec<Record>,
) -> Result<AppendOutcome, Failure> {
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
        .held(scope, classified.positions_to_find())
        .await?;
    classified = classified.without_repeats(&held);
    let unverified = classified.resources_to_look_at();
    let rows = tables.resources.load(&scope.tenant, &unverified).await?;
    let versions = rows
        .rows
        .into_iter()
        .map(|(key, row)| (key, row.server_version))
        .collect();
    let steps = classified.steps(head.as_ref(), &versions, context.clock.now());
    if tables.changes.append(scope, &steps).await? == AppendOutcome::LostRace {
        return Ok(AppendOutcome::LostRace);
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
