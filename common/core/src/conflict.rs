//! Conflicts (§5, §3.5): what a device meant, kept beside what the server holds, until it is decided.

use chrono::{DateTime, Utc};

use crate::{
    json::Json,
    limits::CONFLICT_EDITS_MAX,
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

/// A stored conflict of one device about one resource, as far as deciding needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Follows from the resource, the device and the edit that opened it, so that a retried push finds it again.
    pub id: String,
    /// Whether it is decided.
    pub status: ConflictStatus,
    /// The server's version when an edit was last refused.
    pub server_version: u64,
    /// Which edits stand in it.
    pub edits: Vec<EditId>,
}

impl Standing {
    /// Whether this very edit stands in it.
    pub fn holds(&self, edit: EditId) -> bool {
        self.edits.contains(&edit)
    }

    /// Whether an edit made on `base` joins it: it is open, has room, and its refusal came after `base` (§3.5).
    pub fn admits(&self, base: u64) -> bool {
        self.status == ConflictStatus::Open && base < self.server_version && self.edits.len() < CONFLICT_EDITS_MAX
    }
}

/// An edit that goes into a conflict.
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

/// Edits to put into a conflict, in turn.
#[derive(Debug, Clone)]
pub struct ConflictWrite {
    /// The conflict.
    pub id: String,
    /// How many edits stood in it when it was loaded, 0 if this opens it: the condition of the write.
    pub expected_edits: usize,
    /// Never empty.
    pub edits: Vec<ConflictEdit>,
    /// What it is about.
    pub resource: ResourceKey,
    /// What the server held when the last of them was refused; of a deleted resource the last payload.
    pub server: Resource,
    /// Why the first of them was not applied.
    pub code: ItemCode,
    /// When.
    pub detected_at: DateTime<Utc>,
}
