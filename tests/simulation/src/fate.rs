//! The record of each edit: its author, the state that the author had seen, and the result that the
//! device received.

mod unseen;

use std::collections::BTreeSet;

use tidemark_client::{Edit, ItemCode, ItemResult, Status};

pub(crate) use unseen::unseen;

/// A device of a user, the author of edits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The name of the tenant.
    pub tenant: String,
    /// The name of the user.
    pub user: String,
    /// The id of the device.
    pub device_id: String,
}

impl Owner {
    /// Returns the author in the form that stored items use.
    pub fn author(&self) -> String {
        tidemark_core::model::principal::Author::device(&self.user, &self.device_id)
            .as_str()
            .to_owned()
    }
}

/// An edit with the last result that its device received.
#[derive(Debug, Clone)]
pub struct Fate {
    /// The edit as the client queued it.
    pub edit: Edit,
    /// The device that made the edit.
    pub owner: Owner,
    /// The last result that the device received, if any.
    pub told: Option<ReportedResult>,
    /// Whether the server was restored from a copy that may be older than the edit.
    pub is_forgotten: bool,
    /// Whether the edit was made on a state that a restore has undone: its base version may denote
    /// another change now.
    pub is_of_undone: bool,
    /// The state of the resource that the author had seen.
    pub screen: Screen,
    /// Whether the device was restored from a backup without the edit before it received a result.
    pub is_lost: bool,
}

/// The state of a resource that a user had seen when making an edit of it.
#[derive(Debug, Clone)]
pub struct Screen {
    /// The newest version that the user had seen. Versions that a pull delivers below pending edits
    /// do not count, because the screen shows the pending edits.
    pub seen: u64,
    /// The version of the copy below the pending edits.
    pub copy: u64,
    /// The fields that the pending edits hide, or `None` if they hide all fields.
    pub covered: Option<BTreeSet<String>>,
}

impl Screen {
    /// Returns the newest version of a field that the user had seen.
    fn seen_of(&self, field: &str) -> u64 {
        let is_hidden = self
            .covered
            .as_ref()
            .is_none_or(|covered| covered.contains(field));
        if is_hidden { self.seen } else { self.copy }
    }
}

/// The result of an edit as its device received it.
#[derive(Debug, Clone)]
pub struct ReportedResult {
    /// The status of the result.
    pub status: Status,
    /// The server version that the result contains.
    pub server_version: Option<u64>,
    /// The conflict that contains the edit.
    pub conflict_id: Option<String>,
    /// Whether that conflict is resolved.
    pub is_decided: bool,
    /// Whether the edit was rejected because of a unique value.
    pub is_for_value: bool,
    /// The batch that contained the edit.
    pub batch_id: String,
}

impl ReportedResult {
    /// Returns the reported part of a result in the response to this batch.
    pub fn new(result: &ItemResult, batch_id: &str) -> Self {
        Self {
            status: result.status,
            server_version: result.server_version,
            conflict_id: result.conflict_id.clone(),
            is_decided: result.resolution.is_some(),
            is_for_value: result.code == Some(ItemCode::UniqueViolation),
            batch_id: batch_id.to_owned(),
        }
    }
}

/// Returns whether the device received a result other than `ok`.
pub(crate) fn is_rejected(fate: &Fate) -> bool {
    fate.told
        .as_ref()
        .is_some_and(|told| told.status != Status::Ok)
}
