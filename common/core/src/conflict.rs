//! Conflicts (§5, §3.5): what a device meant, kept beside what the server holds, until it is decided.

use chrono::{DateTime, Utc};

use crate::{
    json::Json,
    limits::CONFLICT_EDITS_MAX,
    principal::Author,
    protocol::{Action, push::ItemCode},
    resource::{EditId, Resource, ResourceKey},
};

/// Whether a conflict still waits for its decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictStatus {
    /// It waits; edits may join it.
    Open,
    /// It was decided; nothing joins it and nothing reopens it.
    Resolved,
}

impl ConflictStatus {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
        }
    }
}

/// An edit that stands in a conflict.
#[derive(Debug, Clone)]
pub struct ConflictEdit {
    /// Tells it from every other edit of the resource.
    pub id: EditId,
    /// What it would do.
    pub action: Action,
    /// Content or patch.
    pub payload: Json,
    /// As sent.
    pub client_version: u64,
    /// As sent.
    pub base_version: Option<u64>,
}

/// A conflict between one device and the server about one resource.
#[derive(Debug, Clone)]
pub struct Conflict {
    /// Follows from the resource, the device and the edit that opened it, so that a retried push finds it again.
    pub id: String,
    /// What it is about.
    pub resource: ResourceKey,
    /// Whose edits.
    pub author: Author,
    /// The user of that device.
    pub user: String,
    /// The device.
    pub device_id: String,
    /// Why the edit that opened it was not applied.
    pub code: ItemCode,
    /// What the server held when an edit was last refused; of a deleted resource the last payload.
    pub server_payload: Json,
    /// Its version then.
    pub server_version: u64,
    /// Whether it was deleted then.
    pub server_deleted: bool,
    /// The edits, to be applied in turn; never empty.
    pub edits: Vec<ConflictEdit>,
    /// When the first was refused.
    pub detected_at: DateTime<Utc>,
    /// Whether it is decided.
    pub status: ConflictStatus,
}

impl Conflict {
    /// Whether this very edit stands in it.
    pub fn holds(&self, edit: EditId) -> bool {
        self.edits.iter().any(|held| held.id == edit)
    }

    /// Whether an edit made on `base` joins it: it is open, has room, and its first refusal came after `base` (§3.5).
    pub fn admits(&self, base: u64) -> bool {
        self.status == ConflictStatus::Open && base < self.server_version && self.edits.len() < CONFLICT_EDITS_MAX
    }

    /// Adds an edit that was refused by `resource` as it is now.
    pub fn join(&mut self, edit: ConflictEdit, resource: &Resource) {
        self.edits.push(edit);
        self.server_payload = resource.payload.clone();
        self.server_version = resource.server_version;
        self.server_deleted = resource.deleted;
    }
}
