//! Payloads of conflicts that are stored in rows of their own: which payloads are, under which
//! keys, and their encoding. The `was` of an edit is stored like a payload, in other rows.

mod server;
mod texts;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidemark_core::model::{
    conflict::{ConflictEdit, ConflictWrite},
    json::{self, Json},
    resource::EditId,
};

use super::{EditRow, INLINE_BYTES_MAX, INLINE_EDITS_MAX, PART_BYTES_MAX, hex};
use crate::{error::Error, tables::from_packed};

pub(super) use server::StoredPayload;
pub(super) use texts::PayloadTexts;

/// Prefix of the names of rows with `was`. The names of rows with payloads are hexadecimal digits.
const WAS: &str = "w";

/// The texts of a conflict's edits that are stored in separate rows.
pub(super) struct SeparatePayloads<'a> {
    payloads: Vec<TextPart<'a>>,
    was: Vec<TextPart<'a>>,
}

/// The texts that one separate row contains.
pub(super) struct TextPart<'a> {
    /// The name of the row.
    pub(super) name: String,
    texts: Vec<(EditId, &'a RawValue)>,
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
    /// Determines which texts of a write are stored in separate rows.
    pub(super) fn of(write: &'a ConflictWrite) -> Self {
        Self {
            payloads: parts_of(write, "", |edit| Some(&edit.payload)),
            was: parts_of(write, WAS, |edit| edit.was.as_ref()),
        }
    }

    /// Returns the separate rows.
    pub(super) fn parts(&self) -> impl Iterator<Item = &TextPart<'a>> {
        self.payloads.iter().chain(&self.was)
    }

    /// Returns the name of the separate row with the payload of an edit, if there is one.
    pub(super) fn name_of(&self, edit: EditId) -> Option<String> {
        name_in(&self.payloads, edit)
    }

    /// Returns the name of the separate row with the `was` of an edit, if there is one.
    pub(super) fn was_name_of(&self, edit: EditId) -> Option<String> {
        name_in(&self.was, edit)
    }

    /// Creates the rows of joined edits.
    pub(super) fn rows(&self, edits: &[ConflictEdit]) -> Vec<EditRow> {
        edits
            .iter()
            .map(|edit| EditRow::new(edit, self.name_of(edit.id), self.was_name_of(edit.id)))
            .collect()
    }
}

impl TextPart<'_> {
    /// Returns the bytes of the texts.
    pub(super) fn bytes(&self) -> usize {
        self.texts.iter().map(|(_, text)| text.get().len()).sum()
    }

    /// Serializes the content of the row, before packing: the texts by edit.
    pub(super) fn serialized(&self) -> Result<Vec<u8>, Error> {
        let texts: HashMap<String, &RawValue> = self
            .texts
            .iter()
            .map(|(edit, text)| (hex(*edit), *text))
            .collect();
        serde_json::to_vec(&texts).map_err(|error| Error::unencoded("part of a conflict", error))
    }
}

/// Divides the texts of a write that are stored in separate rows: the large ones, and those of
/// later edits.
fn parts_of<'a>(
    write: &'a ConflictWrite,
    prefix: &str,
    text_of: impl Fn(&'a ConflictEdit) -> Option<&'a Json>,
) -> Vec<TextPart<'a>> {
    let mut parts: Vec<Vec<(EditId, &RawValue)>> = Vec::new();
    let mut bytes = 0;

    for (at, edit) in write.edits.iter().enumerate() {
        let is_early = write.expected_edits + at < INLINE_EDITS_MAX;
        let Some(text) =
            text_of(edit).filter(|text| !is_early || text.get().len() > INLINE_BYTES_MAX)
        else {
            continue;
        };

        let length = text.get().len();
        bytes += length;
        match parts.last_mut().filter(|_| bytes <= PART_BYTES_MAX) {
            Some(part) => part.push((edit.id, text)),
            None => {
                bytes = length;
                parts.push(vec![(edit.id, text)]);
            }
        }
    }

    // The name is derived from the ids of all its edits, which are digests of their content, so
    // that two attempts never write different payloads to one row. A `was` is not part of an id:
    // the row that was written first is kept.
    let name = |texts: &[(EditId, &RawValue)]| {
        let digest = json::digest(texts.iter().map(|(edit, _)| edit.0.to_be_bytes()));
        format!("{prefix}{}", json::hex(&digest[..8]))
    };
    let part = |texts: Vec<(EditId, &'a RawValue)>| TextPart {
        name: name(&texts),
        texts,
    };
    parts.into_iter().map(part).collect()
}

fn name_in(parts: &[TextPart<'_>], edit: EditId) -> Option<String> {
    let contains = |part: &&TextPart<'_>| part.texts.iter().any(|(id, _)| *id == edit);
    parts.iter().find(contains).map(|part| part.name.clone())
}

/// The key of a row that contains a payload.
pub(super) type PayloadKey = [String; 2];
