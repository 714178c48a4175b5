//! The nested values of a conflict's row: its joined edits and its outcome.

use serde::{Deserialize, Serialize};
use tidemark_core::{
    model::{
        conflict::{ConflictEdit, ConflictOutcome},
        edit::Action,
        json,
        resolution::Resolution,
    },
    wire::text,
};

use super::super::moment;
use super::{digest, hex};
use crate::error::Error;

/// The stored outcome of a resolved conflict.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OutcomeRow {
    #[serde(with = "text")]
    pub(super) resolution: Resolution,
    pub(super) resolved_by: String,
    pub(super) resolved_at: i64,
    pub(super) note: Option<String>,
    pub(super) server_version: u64,
    pub(super) merged_digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) picked_digest: Option<String>,
}

/// A joined edit. If its payload is missing, it is stored in a separate row.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EditRow {
    pub(super) edit: String,
    #[serde(with = "text")]
    pub(super) action: Action,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client_payload: Option<String>,
    /// Name of the row with its payload. Earlier builds named that row after the edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<String>,
    pub(super) client_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) base_version: Option<u64>,
    /// The values that the fields of the patch had in the device's base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) was: Option<String>,
    /// Name of the row with these values, if they are separate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) was_part: Option<String>,
}

impl EditRow {
    /// Creates the row of an edit; `part` and `was_part` name the separate rows with its payload
    /// and with its `was`, if there are any.
    pub(super) fn new(edit: &ConflictEdit, part: Option<String>, was_part: Option<String>) -> Self {
        let was = edit.was.as_ref().filter(|_| was_part.is_none());
        Self {
            edit: hex(edit.id),
            action: edit.action,
            client_payload: part.is_none().then(|| edit.payload.get().to_owned()),
            part,
            client_version: edit.client_version,
            base_version: edit.base_version,
            was: was.map(|was| was.get().to_owned()),
            was_part,
        }
    }
}

impl OutcomeRow {
    pub(super) fn new(outcome: &ConflictOutcome) -> Self {
        Self {
            resolution: outcome.resolution,
            resolved_by: outcome.resolved_by.clone(),
            resolved_at: outcome.resolved_at.timestamp_millis(),
            note: outcome.note.clone(),
            server_version: outcome.server_version,
            merged_digest: outcome.merged_digest.map(|digest| json::hex(&digest)),
            picked_digest: outcome.picked_digest.map(|digest| json::hex(&digest)),
        }
    }

    pub(super) fn read(self) -> Result<ConflictOutcome, Error> {
        let unreadable = |what: &str| Error::unreadable("outcome of a conflict", what);
        let read = |name: &str, text: Option<String>| {
            text.map(|text| digest(&text).ok_or_else(|| unreadable(name)))
                .transpose()
        };

        Ok(ConflictOutcome {
            resolution: self.resolution,
            resolved_by: self.resolved_by,
            resolved_at: moment(self.resolved_at)?,
            note: self.note,
            server_version: self.server_version,
            merged_digest: read("merged_digest", self.merged_digest)?,
            picked_digest: read("picked_digest", self.picked_digest)?,
        })
    }
}
