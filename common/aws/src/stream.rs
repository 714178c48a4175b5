//! Stream records: what a Lambda event of the `resources` stream says, one record at a time, so that one that does not read does not
//! keep the others from being read.

use aws_lambda_events::event::dynamodb::EventRecord;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidemark_core::{
    channel::Scope,
    conflict::Resolved,
    protocol::{Action, pull::DecidedConflict},
    sequence::{plan::Record, position::Sequence},
};

use crate::tables::resources::{ResourceRow, identify};

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

/// The sequence number of a record, as far as it can be told and is one.
pub fn sequence_number(record: &RawValue) -> Option<String> {
    let record: serde_json::Value = serde_json::from_str(record.get()).ok()?;
    let number = record.get("dynamodb")?.get("SequenceNumber")?.as_str()?;
    Sequence::parse(number).map(|_| number.to_owned())
}

fn read_change(record: EventRecord) -> Result<Reading, String> {
    // Of the old row only the version counts; one that does not read was repaired by this change.
    let is_new = record.change.old_image.is_empty();
    let old_version = serde_dynamo::from_item::<_, OldRow>(record.change.old_image).ok().map(|row| row.server_version);
    let new: ResourceRow = serde_dynamo::from_item(record.change.new_image).map_err(|error| error.to_string())?;
    if old_version == Some(new.server_version) {
        return Ok(Reading::Nothing);
    }
    let arn = record.event_source_arn.unwrap_or_default();
    let stream = arn.split_once("/stream/").map(|(_, label)| label.to_owned()).ok_or("no stream label in eventSourceARN")?;
    let sequence = record.change.sequence_number.as_deref().and_then(Sequence::parse).ok_or("no SequenceNumber")?;
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
        is_echoed: resource.run.is_unproven,
        decided: decided_since(old_version, resource.resolutions),
        payload: Some(resource.payload).filter(|_| !resource.deleted),
    };
    Ok(Reading::Change(scope, Box::new(record)))
}

/// The conflicts that the versions after the old row's decided.
fn decided_since(old_version: Option<u64>, resolutions: Vec<Resolved>) -> Vec<DecidedConflict> {
    let since = |resolved: &Resolved| resolved.server_version > old_version.unwrap_or_default();
    resolutions.into_iter().filter(since).map(Resolved::into_decided).collect()
}
