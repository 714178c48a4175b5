//! The record of each edit: its author, the state that the author had seen, and the result that the
//! device received.

use std::collections::BTreeSet;

use tidemark_client::{Action, Edit, ItemCode, ItemResult, Status};

use crate::{
    edits::item,
    version::{Version, is_slot},
};

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

/// Describes why an edit should have become a conflict: another author wrote a version that the
/// author of the edit had not seen (§3.4). Returns `None` if the edit was rightly applied.
pub(crate) fn unseen(fate: &Fate, earlier: &[Version], version: &Version) -> Option<String> {
    // An edit without a base version may overwrite the versions of other authors (docs/protocol.md,
    // *Known quirks*).
    let item = item(&fate.edit);
    item.get("base_version")?;

    let screen = &fate.screen;
    let resource_type = fate.edit.name().resource_type.as_str();
    if version.is_decision
        || fate.is_of_undone
        || resource_type == "note"
        || fate.edit.action() == Action::Create
    {
        return None;
    }

    let author = fate.owner.author();
    let patch = item["payload"].as_object().unwrap();
    let last = earlier.last();
    // Removing a field that does not exist changes nothing.
    let changed: Vec<&String> = patch
        .iter()
        .filter(|(field, value)| {
            is_slot(field)
                && (!value.is_null() || last.is_some_and(|last| last.fields.contains_key(*field)))
        })
        .map(|(field, _)| field)
        .collect();

    let mut before: Option<&Version> = None;
    for other in earlier {
        let changes = |field: &&&String| {
            before.and_then(|before| before.fields.get(**field)) != other.fields.get(**field)
        };
        let is_unseen = match resource_type {
            "task" => changed
                .iter()
                .filter(changes)
                .any(|field| other.number > screen.seen_of(field)),
            _ => other.number > screen.seen,
        };
        if is_unseen && other.author != author {
            let (number, seen, made) = (fate.edit.number(), screen.seen, version.number);
            return Some(format!(
                "edit {number} was applied as {made} over {}, but its author had seen only {seen}",
                other.number
            ));
        }
        before = Some(other);
    }
    None
}

/// Returns whether the device received a result other than `ok`.
pub(crate) fn is_rejected(fate: &Fate) -> bool {
    fate.told
        .as_ref()
        .is_some_and(|told| told.status != Status::Ok)
}
