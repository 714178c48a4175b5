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
mod count;
mod encode;
mod find;
mod index;
mod keys;
mod legacy;
mod list;
mod nested;
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

use tidemark_core::model::resource::EditId;

pub use by_device::{DeviceConflict, NewestConflicts};
pub use find::DeviceConflicts;
pub use index::ConflictCursor;
pub(crate) use resolution::read_resolution;

use super::{Table, statements::WriteOutcome};
use crate::error::Error;

use nested::{EditRow, OutcomeRow};

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
