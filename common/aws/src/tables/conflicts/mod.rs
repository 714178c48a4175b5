//! `conflicts`: what devices meant, kept until it is decided, in the partition of its device
//! (`tenant#device hash`).
//!
//! The first conflict of a device about a resource has a row whose key follows from the two
//! (`c#<resource hash>`), so that a push finds it without a query. Later ones have rows of their
//! own beside it (`c#<resource hash>#<edit>`), and the first row names those that were opened last.
//! A row holds its edits while their payloads are small; larger ones stand in rows that are never
//! changed and are written before the row that names them: those of edits beside the conflict
//! (`p#…`), what the server held once for each version of a resource ([`versions`]). Edits join on
//! the condition that the conflict is open and holds as many edits as were read, so that none is
//! lost.
//!
//! Rows of earlier builds (`tenant` / conflict id) are read, joined and decided as they are.

mod by_device;
mod decided;
mod find;
mod keys;
mod legacy;
mod list;
mod open_count;
mod read;
mod record;
mod row;
mod settle;
pub(crate) mod versions;

use serde::{Deserialize, Serialize};
use tidemark_core::{
    conflict::{ConflictEdit, ConflictOutcome, Resolution},
    json,
    protocol::Action,
    resource::EditId,
};

pub use by_device::{DeviceConflict, NewestConflicts};
pub(crate) use decided::decided;
pub use list::ConflictCursor;

use super::{Table, moment};
use crate::failure::Failure;

/// Bytes of the payload of the first edit, of an edit that joins and of the server that a
/// conflict's own row carries at most: so the row of a conflict stays small however large its
/// payloads are.
const INLINE_BYTES_MAX: usize = 1024;
/// Edits whose payloads a conflict's own row carries at most; those of later ones stand apart.
const INLINE_EDITS_MAX: usize = 8;
/// Bytes of payloads that stand together in one row apart.
const PART_BYTES_MAX: usize = 300 * 1024;

/// The table of conflicts.
#[derive(Debug, Clone)]
pub struct Conflicts(pub(super) Table);

/// How a conflict was decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OutcomeRow {
    resolution: Resolution,
    resolved_by: String,
    resolved_at: i64,
    note: Option<String>,
    server_version: u64,
    merged_digest: Option<String>,
}

/// An edit that joined; a payload that is missing stands in a row of its own.
#[derive(Debug, Serialize, Deserialize)]
struct EditRow {
    edit: String,
    action: Action,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_payload: Option<String>,
    /// Names the row that its payload stands in; rows of earlier builds name it after the edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<String>,
    client_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base_version: Option<u64>,
}

impl EditRow {
    /// The row of an edit; `part` names where its payload stands, if that is apart.
    fn new(edit: &ConflictEdit, part: Option<String>) -> Self {
        Self {
            edit: hex(edit.id),
            action: edit.action,
            client_payload: part.is_none().then(|| edit.payload.get().to_owned()),
            part,
            client_version: edit.client_version,
            base_version: edit.base_version,
        }
    }
}

impl OutcomeRow {
    fn new(outcome: &ConflictOutcome) -> Self {
        Self {
            resolution: outcome.resolution,
            resolved_by: outcome.resolved_by.clone(),
            resolved_at: outcome.resolved_at.timestamp_millis(),
            note: outcome.note.clone(),
            server_version: outcome.server_version,
            merged_digest: outcome.merged_digest.map(|digest| json::hex(&digest)),
        }
    }

    fn read(self) -> Result<ConflictOutcome, Failure> {
        let unreadable = |what: &str| Failure::unreadable("outcome of a conflict", what);
        let merged_digest = self
            .merged_digest
            .map(|text| digest(&text).ok_or_else(|| unreadable("merged_digest")));
        Ok(ConflictOutcome {
            resolution: self.resolution,
            resolved_by: self.resolved_by,
            resolved_at: moment(self.resolved_at)?,
            note: self.note,
            server_version: self.server_version,
            merged_digest: merged_digest.transpose()?,
        })
    }
}

/// Reads the text of an [`hex`] back.
fn edit_id(text: &str) -> Result<EditId, Failure> {
    u64::from_str_radix(text, 16)
        .map(EditId)
        .map_err(|error| Failure::unreadable("edit", error))
}

/// Reads 32 hexadecimal digits.
fn digest(text: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(text, 16)
        .ok()
        .filter(|_| text.len() == 32)
        .map(u128::to_be_bytes)
}

fn hex(edit: EditId) -> String {
    format!("{:016x}", edit.0)
}
