//! Stream records: what a Lambda event of the streams of `resources` and `conflicts` says, one
//! record at a time, so that one that does not read does not keep the others from being read; and
//! what becomes of those that cannot be handled.

use aws_lambda_events::event::{
    dynamodb::EventRecord,
    streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tidemark_core::{
    channel::Scope,
    conflict::ConflictResolution,
    protocol::{Action, notifications::ConflictResolved},
    sequence::{plan::Record, position::Sequence},
};

use crate::{
    context::Context,
    failure::Failure,
    metrics::Metric,
    tables::{
        conflicts,
        resources::{ResourceRow, identify},
    },
};

/// A batch of stream records, each still text.
#[derive(Debug, Deserialize)]
pub struct StreamEvent {
    /// In stream order.
    #[serde(rename = "Records")]
    pub records: Vec<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct OldRow {
    server_version: u64,
}

/// What a stream record says.
#[derive(Debug)]
pub enum Reading {
    /// A change of a resource, for the log of its channel.
    Change(Scope, Box<Record>),
    /// Nothing for the log: the version did not change, or the row was erased.
    Nothing,
    /// It does not read, and why.
    Unreadable(String),
}

/// Reads a stream record.
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

/// The decision that a record of the stream of `conflicts` tells of; `None` where it tells of none.
/// A conflict that a policy decides at once is inserted with its outcome: the answer to the push
/// has told of it.
///
/// # Errors
/// Why the record does not read.
pub fn read_decision(record: &RawValue) -> Result<Option<ConflictResolved>, String> {
    let record: EventRecord = serde_json::from_str(record.get())
        .map_err(|error| format!("not a stream record: {error}"))?;
    if record.event_name != "MODIFY" {
        return Ok(None);
    }
    conflicts::decided(record.change.new_image).map_err(|failure| failure.to_string())
}

/// The sequence number of a record; zero where it cannot be told, which gives back the whole batch.
pub fn sequence_of(record: &RawValue) -> Sequence {
    let number = || {
        let record: serde_json::Value = serde_json::from_str(record.get()).ok()?;
        Sequence::parse(record.get("dynamodb")?.get("SequenceNumber")?.as_str()?)
    };
    number().unwrap_or(Sequence::ZERO)
}

/// Keeps a record that can never be handled in the failure bucket, so that the others go on; gives
/// it back where that fails.
///
/// # Errors
/// The number of the record: nothing keeps it but the stream.
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
        None => Err(Failure::Outage(
            "the function runs without its failure bucket".into(),
        )),
    };
    match kept {
        Ok(key) => {
            // The reason may hold a piece of the record; it stands in the object.
            tracing::error!(%key, "a stream record was set aside");
            context.meter.count(Metric::SetAsideRecords, 1);
            Ok(())
        }
        Err(failure) => {
            tracing::error!(%failure, "a stream record could not be set aside");
            Err(sequence_of(record))
        }
    }
}

/// What a function answers that could not handle these records: the stream delivers again from the
/// earliest of them.
pub fn given_back(failed: impl IntoIterator<Item = Sequence>) -> DynamoDbEventResponse {
    let mut response = DynamoDbEventResponse::default();
    response
        .batch_item_failures
        .extend(failed.into_iter().min().map(|earliest| {
            let mut failure = DynamoDbBatchItemFailure::default();
            // As the stream writes it: without our leading zeros. A record whose number does not
            // read fails the whole batch.
            failure.item_identifier = Some(earliest.as_str().trim_start_matches('0').to_owned());
            failure
        }));
    response
}

fn read_change(record: EventRecord) -> Result<Reading, String> {
    // Of the old row only the version counts; one that does not read was repaired by this change.
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
        is_echoed: resource.run.is_optimistic,
        decided: ConflictResolution::decided_since(old_version, resource.resolutions),
        payload: Some(resource.payload).filter(|_| !resource.deleted),
    };
    Ok(Reading::Change(scope, Box::new(record)))
}
