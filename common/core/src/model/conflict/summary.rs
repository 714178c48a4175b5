//! A conflict reduced to what the push rules need (§3.5).

use crate::model::{
    limits::CONFLICT_EDITS_MAX, resolution::Resolution, resource::EditId, result::ItemCode,
};

use super::{ConflictSlot, ConflictStatus};

/// A stored conflict of one device about one resource, reduced to what the push rules need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictSummary {
    /// The id, derived from the resource, the device and the edit that opened the conflict, so that
    /// a retried push finds it again.
    pub id: String,
    /// The row in which it is stored.
    pub slot: ConflictSlot,
    /// Whether it is open or resolved.
    pub status: ConflictStatus,
    /// How it was resolved, if it is.
    pub resolution: Option<Resolution>,
    /// The server's version when an edit was last rejected.
    pub server_version: u64,
    /// The ids of the edits that are part of it.
    pub edits: Vec<EditId>,
    /// Whether the edit that opened it is a create.
    pub opened_by_create: bool,
    /// The reason why the edit that opened it was rejected.
    pub code: ItemCode,
}

impl ConflictSummary {
    /// Returns whether this exact edit is part of the conflict, and must not be stored again. The
    /// module `tidemark_app::push` lists all levels of deduplication.
    pub fn contains(&self, edit: EditId) -> bool {
        self.edits.contains(&edit)
    }

    /// Returns what a conflict that is opened beside this one must know about it.
    pub fn neighbor(&self) -> Neighbor {
        Neighbor {
            id: self.id.clone(),
            slot: self.slot,
            status: self.status,
        }
    }

    /// Returns whether an edit made on `base` joins the conflict: it is open, has room, and its
    /// last rejection was about a version after `base` (§3.5).
    pub fn admits(&self, base: u64) -> bool {
        base < self.server_version && self.is_open_with_room()
    }

    /// Returns whether the conflict is open and concerns a rejected create.
    pub fn is_open_create(&self) -> bool {
        self.status == ConflictStatus::Open && self.opened_by_create
    }

    /// Returns whether more edits may join the conflict.
    pub fn is_open_with_room(&self) -> bool {
        self.status == ConflictStatus::Open && self.edits.len() < CONFLICT_EDITS_MAX
    }
}

/// Another conflict of the same device about the same resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbor {
    /// The id of the conflict.
    pub id: String,
    /// The row in which it is stored.
    pub slot: ConflictSlot,
    /// Whether it is open or resolved.
    pub status: ConflictStatus,
}
