//! Sequencing: converts a batch of stream records to segments, and appends them to the change logs.
//! It may be killed between any two calls, run twice concurrently, and receive any record again: the
//! condition of each segment keeps the log consistent, and a retry completes the work. If it stops
//! between a segment and the head, the next append finds the segment and moves the head first.

mod append;

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use tidemark_aws::{
    Context, Deadline, Error,
    dead_letters::DeadLetters,
    stream::{StreamRecord, sequence_of},
    tables::changes::AppendOutcome,
};
use tidemark_core::{
    model::{channel::Scope, position::Sequence},
    rules::sequence::plan::Record,
};

use crate::dead_letter::dead_letter;

use append::try_append;
pub(crate) use append::{APPEND_ATTEMPTS_MAX, concurrent_updates};

/// The number of channels that are sequenced concurrently. Each uses a connection.
const PARALLEL_CHANNELS: usize = 16;

/// Sequences a batch of stream records. Returns the sequence numbers of records that could be
/// neither sequenced nor dead-lettered; of a channel, that of its earliest record. The stream
/// redelivers from the earliest of them.
pub async fn sequence(
    context: &Context,
    dead_letters: &DeadLetters,
    records: impl IntoIterator<Item = StreamRecord<(Scope, Record)>>,
    deadline: Deadline,
) -> Vec<Sequence> {
    let mut channels: BTreeMap<Scope, Vec<Record>> = BTreeMap::new();
    let mut failed: Vec<Sequence> = Vec::new();

    for StreamRecord { text, content } in records {
        match content {
            Ok(Some((scope, record))) => channels.entry(scope).or_default().push(record),
            Ok(None) => {}
            Err(reason) => {
                let stored = deadline.bound(async {
                    Ok(dead_letter(context, dead_letters, &text, &reason)
                        .await
                        .err())
                });
                failed.extend(stored.await.unwrap_or_else(|failure| {
                    context.meter.count_failure(&failure);
                    Some(sequence_of(&text))
                }));
            }
        }
    }

    let sequenced = in_order(channels)
        .into_iter()
        .map(|(first, scope, records)| async move {
            let appended = Box::pin(append_all(context, &scope, records));
            let failure = deadline.bound(appended).await.err()?;
            context.meter.count_failure(&failure);
            let Scope { tenant, channel } = &scope;
            tracing::error!(%failure, tenant, %channel, "a channel could not be sequenced");
            Some(first)
        });
    let sequenced = stream::iter(sequenced)
        .buffer_unordered(PARALLEL_CHANNELS)
        .collect::<Vec<_>>();
    failed.extend(sequenced.await.into_iter().flatten());
    failed
}

/// Returns the channels with their earliest records, in the order of these. The stream redelivers
/// from the earliest failed record, so a batch that takes too long makes progress with each attempt.
fn in_order(channels: BTreeMap<Scope, Vec<Record>>) -> Vec<(Sequence, Scope, Vec<Record>)> {
    let first = |records: &[Record]| records.iter().map(|record| record.sequence).min();
    let mut channels: Vec<_> = channels
        .into_iter()
        .filter_map(|(scope, records)| Some((first(&records)?, scope, records)))
        .collect();
    channels.sort_by_key(|(first, ..)| *first);
    channels
}

/// Appends the records of one channel to its log.
async fn append_all(context: &Context, scope: &Scope, records: Vec<Record>) -> Result<(), Error> {
    for _ in 0..APPEND_ATTEMPTS_MAX {
        if try_append(context, scope, records.clone()).await? == AppendOutcome::Done {
            return Ok(());
        }
    }
    Err(concurrent_updates())
}
