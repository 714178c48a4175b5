//! What users typed, what they had been shown then, and what their devices were told became of it.

use std::collections::BTreeSet;

use tidemark_core::protocol::push::Status;

use crate::{
    client::Edit,
    version::{Version, is_slot},
};

/// Whose device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Its tenant.
    pub tenant: String,
    /// Its user.
    pub user: String,
    /// The device.
    pub device_id: String,
}

impl Owner {
    /// As rows name their author.
    pub fn author(&self) -> String {
        tidemark_core::principal::Author::device(&self.user, &self.device_id)
            .as_str()
            .to_owned()
    }
}

/// What became of an edit, as far as its device was told.
#[derive(Debug, Clone)]
pub struct Fate {
    /// The edit.
    pub edit: Edit,
    /// Who typed it.
    pub owner: Owner,
    /// The last answer.
    pub told: Option<ReportedResult>,
    /// Whether the server was restored from a copy that may be older.
    pub is_forgotten: bool,
    /// Whether it was made on what a restore has undone: its version may be another one's by now.
    pub is_of_undone: bool,
    /// What its author was shown.
    pub screen: Screen,
    /// Whether its device went back to a backup that does not have it, before it heard what became
    /// of it.
    pub is_lost: bool,
}

/// What a user was shown of a resource while typing an edit of it.
#[derive(Debug, Clone)]
pub struct Screen {
    /// The newest version that the user had seen. What comes under edits that wait is not seen: the
    /// screen shows those on top.
    pub seen: u64,
    /// The version of the copy below those edits.
    pub copy: u64,
    /// The fields that those edits hide; `None` for all of them.
    pub covered: Option<BTreeSet<String>>,
}

impl Screen {
    /// The newest version of a field that the user had seen.
    fn seen_of(&self, field: &str) -> u64 {
        let is_hidden = self
            .covered
            .as_ref()
            .is_none_or(|covered| covered.contains(field));
        if is_hidden { self.seen } else { self.copy }
    }
}

/// What a device was told of an edit.
#[derive(Debug, Clone)]
pub struct ReportedResult {
    /// What became of it.
    pub status: Status,
    /// The version that the answer names.
    pub server_version: Option<u64>,
    /// The conflict it stands in.
    pub conflict_id: Option<String>,
    /// Whether that conflict is decided.
    pub is_decided: bool,
    /// Whether it was refused for a unique value.
    pub is_for_value: bool,
    /// The batch it was sent in.
    pub batch_id: String,
}

/// Why an edit should have been a conflict: others wrote what its device had not seen (§3.4).
pub(crate) fn unseen(fate: &Fate, earlier: &[Version], version: &Version) -> Option<String> {
    fate.edit.item.get("base_version")?; // without it, others' versions may be overwritten (docs/protocol.md, *Known quirks*)
    let screen = &fate.screen;
    let resource_type = fate.edit.name.resource_type.as_str();
    if version.is_decision
        || fate.is_of_undone
        || resource_type == "note"
        || fate.edit.action() == "create"
    {
        return None;
    }
    let author = fate.owner.author();
    let patch = fate.edit.item["payload"].as_object().unwrap();
    let last = earlier.last();
    // To remove what is not there changes nothing.
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
            let (number, seen, made) = (fate.edit.number, screen.seen, version.number);
            return Some(format!(
                "edit {number}, whose author had seen version {seen}, was applied as {made}, over {} that its author had not seen",
                other.number
            ));
        }
        before = Some(other);
    }
    None
}

/// Whether its device was told that an edit was not applied.
pub(crate) fn is_rejected(fate: &Fate) -> bool {
    fate.told
        .as_ref()
        .is_some_and(|told| told.status != Status::Ok)
}
