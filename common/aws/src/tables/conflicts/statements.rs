//! The conditional statements that write conflicts: open, announce and join. Each states in its
//! condition the state that was read.

use aws_sdk_dynamodb::types::{AttributeValue, BatchStatementRequest};
use tidemark_core::{
    model::conflict::{ConflictSlot, ConflictStatus, ConflictWrite},
    rules::push::edit::Sender,
};

use super::{
    Conflicts,
    encode::{number, value},
    hex, keys,
    opened::OpenedConflict,
    payloads::{SeparatePayloads, StoredPayload},
};
use crate::{
    error::Error,
    tables::{Row, statements::statement},
};

/// A statement to execute, with the number of payload bytes in it.
pub(super) struct ConflictStatement {
    pub(super) statement: BatchStatementRequest,
    pub(super) bytes: usize,
}

impl Conflicts {
    /// Returns the statement that announces a newly opened conflict in the first row; `None` for
    /// other writes.
    pub(super) fn announcement(
        &self,
        sender: Sender<'_>,
        write: &ConflictWrite,
    ) -> Result<Option<ConflictStatement>, Error> {
        if write.expected_edits > 0 {
            return Ok(None);
        }
        let place = OpenedConflict::of(write)?;
        let Some((newest, is_decided)) = place.last else {
            return Ok(None);
        };

        let id = keys::parse(&write.id)?;
        let text = format!(
            "UPDATE \"{}\" SET newest = ? SET siblings = ? SET followed = ? WHERE pk = ? AND sk = ? AND newest = ?",
            self.0.name
        );
        let [pk, sk] = key_values(keys::of(
            &sender.principal.tenant,
            &write.id,
            ConflictSlot::First,
        )?);

        let own = AttributeValue::S(id.edit.to_owned());
        let values = vec![
            own,
            value(&place.neighbors)?,
            AttributeValue::Bool(is_decided),
            pk,
            sk,
            AttributeValue::S(newest),
        ];

        Ok(Some(ConflictStatement {
            statement: statement(&text, values)?,
            bytes: 0,
        }))
    }

    /// Returns the statement that opens a conflict or joins edits to it.
    pub(super) fn statement(
        &self,
        sender: Sender<'_>,
        write: &ConflictWrite,
    ) -> Result<ConflictStatement, Error> {
        if write.expected_edits > 0 {
            return self.join(sender, write);
        }
        let place = OpenedConflict::of(write)?;
        let row = place
            .row(sender, write)?
            .ok_or_else(|| Error::unavailable("a conflict without edits cannot be written"))?;
        self.insert(row, super::INLINE_BYTES_MAX)
    }

    /// Builds the statement that joins edits, on the condition that the conflict is open and has as
    /// many edits as were read.
    fn join(&self, sender: Sender<'_>, write: &ConflictWrite) -> Result<ConflictStatement, Error> {
        let apart = SeparatePayloads::of(write);
        let edits: Vec<String> = write.edits.iter().map(|edit| hex(edit.id)).collect();

        let text = format!(
            "UPDATE \"{}\" SET joined = list_append(joined, ?) SET edits = list_append(edits, ?) SET edit_count = ? \
             SET server_payload = ? SET server_at = ? SET server_bytes = ? SET server_version = ? SET server_deleted = ? \
             WHERE pk = ? AND sk = ? AND id = ? AND \"status\" = ? AND edit_count = ?",
            self.0.name
        );

        let [pk, sk] = key_values(keys::of(&sender.principal.tenant, &write.id, write.slot)?);
        let mut values = vec![
            value(&apart.rows(&write.edits))?,
            value(&edits)?,
            number(write.expected_edits + write.edits.len()),
        ];
        values.extend(server_state(write));
        values.extend([
            pk,
            sk,
            AttributeValue::S(write.id.clone()),
            AttributeValue::S(ConflictStatus::Open.as_str().to_owned()),
            number(write.expected_edits),
        ]);

        Ok(ConflictStatement {
            statement: statement(&text, values)?,
            bytes: super::INLINE_BYTES_MAX,
        })
    }

    /// Builds the statement that inserts a row, on the condition that it does not exist.
    pub(super) fn insert(&self, row: Row, bytes: usize) -> Result<ConflictStatement, Error> {
        let mut attributes: Vec<(String, AttributeValue)> = row.into_iter().collect();
        attributes.sort_by(|(one, _), (other, _)| one.cmp(other));
        let names: Vec<String> = attributes
            .iter()
            .map(|(name, _)| format!("'{name}': ?"))
            .collect();

        let text = format!(
            "INSERT INTO \"{}\" VALUE {{{}}}",
            self.0.name,
            names.join(", ")
        );

        let values = attributes.into_iter().map(|(_, value)| value).collect();
        Ok(ConflictStatement {
            statement: statement(&text, values)?,
            bytes,
        })
    }
}

/// Returns the values of the attributes about the server's state: payload, number and size of a
/// separately stored payload, version, and whether the resource is deleted.
fn server_state(write: &ConflictWrite) -> [AttributeValue; 5] {
    let null = AttributeValue::Null(true);
    let (payload, at, bytes) = match StoredPayload::of(write) {
        StoredPayload::Nothing => (null, 0, 0),
        StoredPayload::Inline(text) => (AttributeValue::S(text.to_owned()), 0, 0),
        StoredPayload::Kept { number, bytes } => (null, number, bytes),
    };
    let server = write.server.as_ref();

    [
        payload,
        number(at),
        number(bytes),
        number(server.map_or(0, |server| server.server_version)),
        AttributeValue::Bool(server.is_some_and(|server| server.deleted)),
    ]
}

fn key_values(mut row: Row) -> [AttributeValue; 2] {
    ["pk", "sk"].map(|name| row.remove(name).unwrap_or(AttributeValue::Null(true)))
}
