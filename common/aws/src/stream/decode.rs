//! Decodes the records of the streams of `resources` and `conflicts`.

use aws_lambda_events::event::dynamodb::EventRecord;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidemark_core::{
    model::{
        channel::Scope, edit::Action, json::Json, position::Sequence,
        resolution::ConflictResolution,
    },
    rules::sequence::plan::Record,
    wire::notifications::ConflictResolved,
};

use super::StreamRecord;
use crate::tables::{
    conflicts,
    resources::{ResourceRow, identify},
};

#[derive(Debug, Deserialize)]
struct OldRow {
    server_version: u64,
}

impl StreamRecord<(Scope, Record)> {
    /// Decodes a record of the stream of `resources`. Its content is the change of a resource, to be
    /// appended to the log of its channel; `None` if the version did not change, or if the row was
    /// removed.
    pub fn change(text: Json) -> Self {
        let content = parse(&text).and_then(|record| match record.event_name.as_str() {
            "REMOVE" => Ok(None),
            _ => read_change(record),
        });
        Self { text, content }
    }
}

impl StreamRecord<ConflictResolved> {
    /// Decodes a record of the stream of `conflicts`. Its content is the resolution of a conflict;
    /// `None` if the record contains none. A conflict that a policy resolves immediately is inserted
    /// with its outcome and is no resolution here, because the response to the push contains it.
    pub fn resolution(text: Json) -> Self {
        let content = parse(&text).and_then(|record| match record.event_name.as_str() {
            "MODIFY" => conflicts::read_resolution(record.change.new_image)
                .map_err(|error| error.to_string()),
            _ => Ok(None),
        });
        Self { text, content }
    }
}

fn parse(text: &RawValue) -> Result<EventRecord, String> {
    serde_json::from_str(text.get()).map_err(|error| format!("not a stream record: {error}"))
}

fn read_change(record: EventRecord) -> Result<Option<(Scope, Record)>, String> {
    // Only the version of the old row is needed. If it cannot be decoded, this change repaired the
    // row.
    let is_new = record.change.old_image.is_empty();
    let old_version = serde_dynamo::from_item::<_, OldRow>(record.change.old_image)
        .ok()
        .map(|row| row.server_version);
    let new: ResourceRow =
        serde_dynamo::from_item(record.change.new_image).map_err(|error| error.to_string())?;

    if old_version == Some(new.server_version) {
        return Ok(None);
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
    Ok(Some((scope, record)))
}
