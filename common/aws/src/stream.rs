//! Stream records: decodes the records in Lambda events of the streams of `resources` and
//! `conflicts` one by one, so that a corrupt record does not prevent the others from being
//! processed, and dead-letters records that cannot be processed.

use aws_lambda_events::event::{
    dynamodb::EventRecord,
    streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tidemark_core::{
    model::{channel::Scope, conflict::ConflictResolution, position::Sequence},
    rules::sequence::plan::Record,
    wire::{Action, notifications::ConflictResolved},
};

use crate::{
    context::Context,
    error::Error,
    metrics::Metric,
    tables::{
        conflicts,
        resources::{ResourceRow, identify},
    },
};

/// A batch of stream records, each still unparsed.
#[derive(Debug, Deserialize)]
pub struct StreamEvent {
    /// The records in the order of the stream.
    #[serde(rename = "Records")]
    pub records: Vec<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct OldRow {
    server_version: u64,
}

/// The decoded content of a stream record.
#[derive(Debug)]
pub enum Reading {
    /// A change of a resource, to be appended to the log of its channel.
    Change(Scope, Box<Record>),
    /// No change for the log: the version did not change, or the row was removed.
    Nothing,
    /// The record cannot be decoded, for this reason.
    Unreadable(String),
}

/// Decodes a record of the stream of `resources`.
pub fn read(record: &RawValue) -> Reading {
    let record: EventRecord = match serde_json::from_str(record.get()) {
        Ok(record) => record,
        Err(error) => return Reading::Unreadable(format!("not a stream record: {error}")),
    };
    if record.event_name == "REMOVE" {
        return Reading::Nothing;
    }
    read_change(record).unwrap_or_else(Reading::Unreadable)
}

/// Returns the conflict resolution in a record of the stream of `conflicts`, or `None` if the
/// record contains none. A conflict that a policy resolves immediately is inserted with its outcome
/// and is no resolution here, because the response to the push contains it.
///
/// # Errors
/// Returns the reason if the record cannot be decoded.
pub fn read_decision(record: &RawValue) -> Result<Option<ConflictResolved>, String> {
    let record: EventRecord = serde_json::from_str(record.get())
        .map_err(|error| format!("not a stream record: {error}"))?;
    if record.event_name != "MODIFY" {
        return Ok(None);
    }
    conflicts::decided(record.change.new_image).map_err(|failure| failure.to_string())
}

/// Returns the sequence number of a record, or zero if it cannot be decoded. Zero in
/// `batchItemFailures` makes the stream redeliver the whole batch.
pub fn sequence_of(record: &RawValue) -> Sequence {
    let number = || {
        let record: serde_json::Value = serde_json::from_str(record.get()).ok()?;
        Sequence::parse(record.get("dynamodb")?.get("SequenceNumber")?.as_str()?)
    };
    number().unwrap_or(Sequence::ZERO)
}

/// Stores a record that can never be processed in the dead-letter bucket, so that the following
/// records are processed.
///
/// # Errors
/// Returns the sequence number of the record if it could not be stored, so that the stream
/// redelivers it.
pub async fn dead_letter(
    context: &Context,
    record: &RawValue,
    reason: &str,
) -> Result<(), Sequence> {
    let kept = match &context.dead_letters {
        Some(dead_letters) => {
            dead_letters
                .dead_letter(record, reason, context.clock.now())
                .await
        }
        None => Err(Error::Unavailable(
            "the function has no dead-letter bucket".into(),
        )),
    };

    match kept {
        Ok(key) => {
            // The reason may quote the record, so it is stored in the object and not logged.
            tracing::error!(%key, "stream record dead-lettered");
            context.meter.count(Metric::DeadLetteredRecords, 1);
            Ok(())
        }
        Err(failure) => {
            tracing::error!(%failure, "stream record could not be dead-lettered");
            Err(sequence_of(record))
        }
    }
}

/// Returns the response of a function that could not process these records. The stream redelivers
/// from the earliest of them.
pub fn batch_item_failures(failed: impl IntoIterator<Item = Sequence>) -> DynamoDbEventResponse {
    let mut response = DynamoDbEventResponse::default();
    response
        .batch_item_failures
        .extend(failed.into_iter().min().map(|earliest| {
            let mut failure = DynamoDbBatchItemFailure::default();
            // The stream writes sequence numbers without leading zeros. An invalid number makes the
            // stream redeliver the whole batch.
            failure.item_identifier = Some(earliest.as_str().trim_start_matches('0').to_owned());
            failure
        }));
    response
}

fn read_change(record: EventRecord) -> Result<Reading, String> {
    // Only the version of the old row is needed. If it cannot be decoded, this change repaired the
    // row.
    let is_new = record.change.old_image.is_empty();
    let old_version = serde_dynamo::from_item::<_, OldRow>(record.change.old_image)
        .ok()
        .map(|row| row.server_version);
    let new: ResourceRow =
        serde_dynamo::from_item(record.change.new_image).map_err(|error| error.to_string())?;

    if old_version == Some(new.server_version) {
        return Ok(Reading::Nothing);
    }

    let arn = record.event_source_arn.unwrap_or_default();
    let stream = arn
        .split_once("/stream/")
        .map(|(_, label)| label.to_owned())
        .ok_or("no stream label in eventSourceARN")?;
    let sequence = record
        .change
        .sequence_number
        .as_deref()
        .and_then(Sequence::parse)
        .ok_or("no SequenceNumber")?;

    let (scope, key) = identify(&new.pk, &new.sk).map_err(|failure| failure.to_string())?;
    let resource = new.read().map_err(|failure| failure.to_string())?;
    let action = match (resource.deleted, is_new) {
        (true, _) => Action::Delete,
        (false, true) => Action::Create,
        (false, false) => Action::Update,
    };

    let record = Record {
        stream,
        sequence,
        key,
        action,
        server_version: resource.server_version,
        changed_at: resource.changed_at,
        author: resource.run.author,
        echo_to_author: resource.run.echo_to_author,
        resolved_conflicts: ConflictResolution::resolved_since(old_version, resource.resolutions),
        payload: Some(resource.payload).filter(|_| !resource.deleted),
    };
    Ok(Reading::Change(scope, Box::new(record)))
}
