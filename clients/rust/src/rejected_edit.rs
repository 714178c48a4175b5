//! Edits that the server did not apply.

use serde::{Deserialize, Serialize};

use crate::{Edit, ItemResult};

/// An edit that the server did not apply, for the user's attention.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RejectedEdit {
    /// The edit, whose content is not part of the copy.
    pub edit: Edit,
    /// The result: a conflict, whose `conflict_id` and `resolution` show what happens to the edit
    /// (§5), or an error that is not retryable.
    pub result: ItemResult,
}
