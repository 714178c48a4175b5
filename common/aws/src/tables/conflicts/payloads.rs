//! Payloads of conflicts that are stored in rows of their own: which payloads are, under which
//! keys, and their encoding.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tidemark_core::model::{
    conflict::{ConflictEdit, ConflictWrite},
    json::{self, Json},
    resource::EditId,
};

use super::{
    EditRow, INLINE_BYTES_MAX, INLINE_EDITS_MAX, PART_BYTES_MAX, hex,
    versions::{Version, number_of, payload_of},
};
use crate::{
    error::Error,
    tables::{Row, from_packed, from_row, text},
};

/// The payloads of a conflict's edits that are stored in separate rows, by the name of the row.
pub(super) struct SeparatePayloads<'a>(pub(super) Vec<(String, Vec<&'a ConflictEdit>)>);

/// How a conflict's row stores the server's payload.
pub(super) enum StoredPayload<'a> {
    /// The server has no payload.
    Nothing,
    /// The payload is in the row itself.
    Inline(&'a str),
    /// The payload is stored once for all conflicts about that version.
    Kept {
        /// The number under which the payload is stored.
        number: u64,
        /// Size of the payload in bytes.
        bytes: usize,
    },
}

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

impl<'a> StoredPayload<'a> {
    /// Determines where the server's payload of a conflict is stored.
    pub(super) fn of(write: &'a ConflictWrite) -> Self {
        let Some(server) = &write.server else {
            return Self::Nothing;
        };
        if let Some(kept) = server.kept {
            return Self::Kept {
                number: kept.number,
                bytes: kept.bytes,
            };
        }

        let bytes = server.payload.get().len();
        if bytes <= INLINE_BYTES_MAX {
            return Self::Inline(server.payload.get());
        }

        // A conflict that a policy resolves is written in the same transaction as the resource,
        // whose version may not be committed.
        let number = match write.outcome {
            Some(_) => number_of(server.server_version, &server.payload, None),
            None => server.server_version,
        };
        Self::Kept { number, bytes }
    }

    /// Returns the version that must be stored for the conflict.
    pub(super) fn version_to_store(write: &'a ConflictWrite) -> Option<Version<'a>> {
        let server = write
            .server
            .as_ref()
            .filter(|server| server.kept.is_none())?;
        let Self::Kept { number, .. } = Self::of(write) else {
            return None;
        };
        Some(Version {
            resource: &write.resource,
            number,
            payload: &server.payload,
            fields: None,
        })
    }
}

/// The key of a row that contains a payload.
pub(super) type PayloadKey = [String; 2];

/// Payloads that were loaded from separate rows.
#[derive(Debug, Default)]
pub(super) struct PayloadTexts {
    alone: HashMap<PayloadKey, String>,
    by_edit: HashMap<(PayloadKey, String), String>,
    /// Whether payloads were omitted on purpose, in which case `null` replaces them.
    pub(super) is_partial: bool,
}

impl PayloadTexts {
    /// Decodes the rows that were loaded.
    pub(super) fn new(rows: Vec<Row>) -> Result<Self, Error> {
        let mut texts = Self::default();
        for row in rows {
            let place = ["pk", "sk"].map(|name| text(&row, name).unwrap_or_default().to_owned());
            if place[1].starts_with("v#") {
                texts.alone.insert(place, payload_of(row)?);
                continue;
            }

            let part: PartRow = from_row("part of a conflict", row)?;
            if let Some(payload) = part.payload {
                texts.alone.insert(place, payload);
                continue;
            }

            let payloads = part.payloads()?;
            let payloads = payloads
                .into_iter()
                .map(|(edit, payload)| ((place.clone(), edit), payload.get().to_owned()));
            texts.by_edit.extend(payloads);
        }
        Ok(texts)
    }

    /// Returns whether the payload with this key has been loaded.
    pub(super) fn has(&self, place: &PayloadKey) -> bool {
        self.alone.contains_key(place) || self.by_edit.keys().any(|(at, _)| at == place)
    }

    /// Returns the payload of an edit, or of the server, in the row with this key.
    pub(super) fn of(&self, place: PayloadKey, edit: &str) -> Option<String> {
        let found = self
            .alone
            .get(&place)
            .cloned()
            .or_else(|| self.by_edit.get(&(place, edit.to_owned())).cloned());
        found.or_else(|| self.is_partial.then(|| "null".to_owned()))
    }
}
