//! Encodes the row of a conflict that is opened. `row.rs` decodes it.

mod payloads;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use tidemark_core::{
    model::{
        conflict::{ConflictEdit, ConflictSlot, ConflictStatus, ConflictWrite},
        time::timestamp,
    },
    rules::push::edit::Sender,
};

use super::{EditRow, OutcomeRow, hex, keys, payloads::SeparatePayloads};
use crate::{error::Error, tables::Row};

use payloads::{place_client_payload, place_server_payload, put_payloads};

/// Creates the row of an opened conflict, without the references to its neighbors; `None` for a
/// conflict without edits, which does not occur.
pub(super) fn opened(
    sender: Sender<'_>,
    write: &ConflictWrite,
    slot: ConflictSlot,
    apart: &SeparatePayloads<'_>,
) -> Result<Option<Row>, Error> {
    let [first, joined @ ..] = write.edits.as_slice() else {
        return Ok(None);
    };

    let mut row = keys::of(&sender.principal.tenant, &write.id, slot)?;
    for (name, text) in identity(sender, write, slot)? {
        set(&mut row, name, AttributeValue::S(text));
    }
    if slot == ConflictSlot::First {
        let id = keys::parse(&write.id)?;
        set(&mut row, "newest", AttributeValue::S(id.edit.to_owned()));
    }

    set_edits(&mut row, write, first, &apart.rows(joined))?;
    set_was(&mut row, first, apart);
    set_server_version(&mut row, write);
    if let Some(outcome) = &write.outcome {
        set(&mut row, "outcome", value(&OutcomeRow::new(outcome))?);
    }

    let client = place_client_payload(&mut row, first, apart);
    let server = place_server_payload(&mut row, write);
    put_payloads(&mut row, client, server)?;
    Ok(Some(row))
}

fn set(row: &mut Row, name: &str, value: AttributeValue) {
    row.insert(name.to_owned(), value);
}

/// Returns the attributes that identify a conflict, its device and its resource, with its status.
fn identity(
    sender: Sender<'_>,
    write: &ConflictWrite,
    slot: ConflictSlot,
) -> Result<[(&'static str, String); 9], Error> {
    let status = if write.outcome.is_some() {
        ConflictStatus::Resolved
    } else {
        ConflictStatus::Open
    };

    // Unique, so that the order of a list is total: the time and a suffix that distinguishes
    // conflicts of the same time.
    let id = keys::parse(&write.id)?;
    let detected_at = format!(
        "{}#{}{}",
        timestamp(write.detected_at),
        &id.resource[..8],
        id.edit
    );

    Ok([
        (
            "status_key",
            keys::status_key(&sender.principal.tenant, &write.id, slot, status)?,
        ),
        ("id", write.id.clone()),
        ("status", status.as_str().to_owned()),
        ("detected_at", detected_at),
        ("resource_type", write.resource.resource_type.clone()),
        ("resource_id", write.resource.id.clone()),
        ("channel", write.resource.channel.to_string()),
        ("user", sender.principal.user.clone()),
        ("device_id", sender.device_id.to_owned()),
    ])
}

/// Adds the edits of a conflict, of which `first` opens it.
fn set_edits(
    row: &mut Row,
    write: &ConflictWrite,
    first: &ConflictEdit,
    joined: &[EditRow],
) -> Result<(), Error> {
    set(row, "code", AttributeValue::S(write.code.to_string()));
    set(row, "action", AttributeValue::S(first.action.to_string()));
    set(row, "client_version", number(first.client_version));
    if let Some(base) = first.base_version {
        set(row, "base_version", number(base));
    }

    let ids: Vec<_> = write.edits.iter().map(|edit| hex(edit.id)).collect();
    set(row, "joined", value(&joined)?);
    set(row, "edits", value(&ids)?);
    set(row, "edit_count", number(write.edits.len()));
    Ok(())
}

/// Adds the `was` of the edit that opens a conflict, or the name of the row with it.
fn set_was(row: &mut Row, first: &ConflictEdit, apart: &SeparatePayloads<'_>) {
    match (apart.was_name_of(first.id), &first.was) {
        (Some(part), _) => set(row, "was_part", AttributeValue::S(part)),
        (None, Some(was)) => set(row, "was", AttributeValue::S(was.get().to_owned())),
        (None, None) => {}
    }
}

/// Adds the version of the server that the edits conflict with, and whether it is a deletion.
fn set_server_version(row: &mut Row, write: &ConflictWrite) {
    let server = write.server.as_ref();
    let version = server.map_or(0, |server| server.server_version);
    set(row, "server_version", number(version));
    if server.is_some_and(|server| server.deleted) {
        set(row, "server_deleted", AttributeValue::Bool(true));
    }
}

/// Encodes a number.
pub(super) fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Encodes a serializable value.
pub(super) fn value(value: &impl Serialize) -> Result<AttributeValue, Error> {
    serde_dynamo::to_attribute_value(value).map_err(|error| Error::unencoded("row to write", error))
}
