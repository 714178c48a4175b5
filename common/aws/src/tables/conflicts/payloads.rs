//! Payloads of conflicts that are stored in rows of their own: which payloads are, under which
//! keys, and their encoding.

mod server;
mod texts;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tidemark_core::model::{
    conflict::{ConflictEdit, ConflictWrite},
    json::{self, Json},
    resource::EditId,
};

use super::{EditRow, INLINE_BYTES_MAX, INLINE_EDITS_MAX, PART_BYTES_MAX, hex};
use crate::{error::Error, tables::from_packed};

pub(super) use server::StoredPayload;
pub(super) use texts::PayloadTexts;

/// The payloads of a conflict's edits that are stored in separate rows, by the name of the row.
pub(super) struct SeparatePayloads<'a>(pub(super) Vec<(String, Vec<&'a ConflictEdit>)>);

/// A separate row that holds payloads of several edits, by edit.
#[derive(Debug, Serialize, Deserialize)]
struct PartRow {
    pk: String,
    sk: String,
    /// The single payload in rows of earlier builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(default, with = "serde_bytes")]
    packed: Vec<u8>,
}

impl PartRow {
    /// Unpacks the payloads of the row, by edit.
    fn payloads(&self) -> Result<HashMap<String, Json>, Error> {
        let bytes_max = 2 * PART_BYTES_MAX + 64 * 1024;
        from_packed("part of a conflict", &self.packed, bytes_max)
    }
}

impl<'a> SeparatePayloads<'a> {
    /// Determines which payloads of a write are stored in separate rows.
    pub(super) fn of(write: &'a ConflictWrite) -> Self {
        let mut parts: Vec<Vec<&ConflictEdit>> = Vec::new();
        let mut bytes = 0;
        for (at, edit) in write.edits.iter().enumerate() {
            let length = edit.payload.get().len();
            if write.expected_edits + at < INLINE_EDITS_MAX && length <= INLINE_BYTES_MAX {
                continue;
            }
            bytes += length;
            match parts.last_mut().filter(|_| bytes <= PART_BYTES_MAX) {
                Some(part) => part.push(edit),
                None => {
                    bytes = length;
                    parts.push(vec![edit]);
                }
            }
        }

        // The name is derived from the ids of all its edits, which are digests of their content, so
        // that two attempts never write different content to one row.
        let name = |part: &[&ConflictEdit]| {
            let digest = json::digest(part.iter().map(|edit| edit.id.0.to_be_bytes()));
            json::hex(&digest[..8])
        };

        Self(parts.into_iter().map(|part| (name(&part), part)).collect())
    }

    /// Returns the name of the separate row with the payload of an edit, if there is one.
    pub(super) fn name_of(&self, edit: EditId) -> Option<String> {
        let (name, _) = self
            .0
            .iter()
            .find(|(_, part)| part.iter().any(|it| it.id == edit))?;
        Some(name.clone())
    }

    /// Creates the rows of joined edits.
    pub(super) fn rows(&self, edits: &[ConflictEdit]) -> Vec<EditRow> {
        edits
            .iter()
            .map(|edit| EditRow::new(edit, self.name_of(edit.id)))
            .collect()
    }
}

/// Serializes the payloads of a separate row, before packing.
pub(super) fn part_text(part: &[&ConflictEdit]) -> Result<Vec<u8>, Error> {
    let payloads: HashMap<String, &Json> = part
        .iter()
        .map(|edit| (hex(edit.id), &edit.payload))
        .collect();
    serde_json::to_vec(&payloads).map_err(|error| Error::unencoded("part of a conflict", error))
}

/// The key of a row that contains a payload.
pub(super) type PayloadKey = [String; 2];
