//! `conflicts`: edits of devices that were not applied, stored until the conflict is resolved, in
//! the partition of the device (`tenant#device hash`).
//!
//! The key of the first conflict of a device about a resource is derived from both, `c#<resource
//! hash>`, so that a push finds it without a query. Later conflicts have separate rows,
//! `c#<resource hash>#<edit>`, and the first row lists the last of them. A row contains its edits
//! while their payloads are small. Larger payloads are stored in immutable rows, which are written
//! before the row that refers to them: payloads of edits next to the conflict (`p#…`), and the
//! server's payload once per version of a resource (`versions`). Edits join on the condition that
//! the conflict is open and has as many edits as were read, so that no edit is lost.
//!
//! Legacy rows (`tenant` / conflict id) are read, joined and resolved in their own format.

mod by_device;
mod encode;
mod find;
mod keys;
mod legacy;
mod list;
mod open_count;
mod opened;
mod payloads;
mod read;
mod record;
mod resolution;
mod resolve;
mod row;
mod statements;
pub(crate) mod versions;

use serde::{Deserialize, Serialize};
use tidemark_core::{
    model::{
        conflict::{ConflictEdit, ConflictOutcome},
        edit::Action,
        json,
        resolution::Resolution,
        resource::EditId,
    },
    wire::text,
};

pub use by_device::{DeviceConflict, NewestConflicts};
pub use find::DeviceConflicts;
pub use list::ConflictCursor;
pub(crate) use resolution::read_resolution;

use super::{Table, moment, statements::WriteOutcome};
use crate::error::Error;

/// Maximum bytes of each payload in a conflict's own row: that of the first edit, of a joined edit
/// and of the server. It keeps the row small regardless of the payload sizes.
const INLINE_BYTES_MAX: usize = 1024;
/// Maximum number of edits whose payloads are in a conflict's own row. Payloads of later edits are
/// stored separately.
const INLINE_EDITS_MAX: usize = 8;
/// Maximum payload bytes that are combined in one separate row.
const PART_BYTES_MAX: usize = 300 * 1024;

/// Client for the table `conflicts`.
#[derive(Debug, Clone)]
pub struct Conflicts(pub(super) Table);

/// The stored outcome of a resolved conflict.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OutcomeRow {
    #[serde(with = "text")]
    resolution: Resolution,
    resolved_by: String,
    resolved_at: i64,
    note: Option<String>,
    server_version: u64,
    merged_digest: Option<String>,
}

/// A joined edit. If its payload is missing, it is stored in a separate row.
#[derive(Debug, Serialize, Deserialize)]
struct EditRow {
    edit: String,
    #[serde(with = "text")]
    action: Action,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_payload: Option<String>,
    /// Name of the row with its payload. Earlier builds named that row after the edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<String>,
    client_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base_version: Option<u64>,
}

impl EditRow {
    /// Creates the row of an edit; `part` names the separate row with its payload, if there is one.
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

    fn read(self) -> Result<ConflictOutcome, Error> {
        let unreadable = |what: &str| Error::unreadable("outcome of a conflict", what);
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

/// Parses an edit id from the text that [`hex`] produces.
fn edit_id(text: &str) -> Result<EditId, Error> {
    u64::from_str_radix(text, 16)
        .map(EditId)
        .map_err(|error| Error::unreadable("edit", error))
}

/// Parses 32 hexadecimal digits.
fn digest(text: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(text, 16)
        .ok()
        .filter(|_| text.len() == 32)
        .map(u128::to_be_bytes)
}

fn hex(edit: EditId) -> String {
    format!("{:016x}", edit.0)
}

/// Accepts a write outcome for an immutable row, which may exist already.
fn accept_existing(committed: WriteOutcome) -> Result<(), Error> {
    match committed {
        WriteOutcome::Written | WriteOutcome::ConditionFailed => Ok(()),
        WriteOutcome::Unavailable => Err(throttled()),
    }
}

fn throttled() -> Error {
    Error::unavailable("batch_execute_statement on conflicts: throttled")
}
