//! Conflicts (§5, §3.5): edits of a device that were not applied, stored together with the server's
//! state until the conflict is resolved.

use chrono::{DateTime, Utc};

use crate::model::{
    edit::Action,
    json::Json,
    keyword::keywords,
    limits::CONFLICT_EDITS_MAX,
    resolution::Resolution,
    resource::{EditId, Resource, ResourceKey},
    result::ItemCode,
};

/// Whether a conflict is open or resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictStatus {
    /// The conflict is unresolved; edits may join it.
    Open,
    /// The conflict is resolved; no edit joins it and it is never reopened.
    Resolved,
}

keywords!(ConflictStatus, "status", Open => "open", Resolved => "resolved");

/// The outcome of a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictOutcome {
    /// How the conflict was resolved.
    pub resolution: Resolution,
    /// The author of the resolution: a user, an operator, or a policy as `policy:<name>`.
    pub resolved_by: String,
    /// The time of the resolution.
    pub resolved_at: DateTime<Utc>,
    /// The note that accompanies the resolution.
    pub note: Option<String>,
    /// The version of the resource after the resolution; 0 if there is no resource.
    pub server_version: u64,
    /// For a manual merge: digest of the canonical payload, which distinguishes a repeated request
    /// from a different one.
    pub merged_digest: Option<[u8; 16]>,
}

/// The row in which a conflict is stored. The rules pass it from the lookup to the write and do not
/// interpret it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConflictSlot {
    /// The row of the first conflict of a device about a resource, which also lists the later ones.
    #[default]
    First,
    /// A separate row for a later conflict.
    Own,
    /// A row in the format of earlier builds.
    Legacy,
}

/// A complete stored conflict.
#[derive(Debug, Clone)]
pub struct Conflict {
    /// The id of the conflict.
    pub id: String,
    /// The row in which it is stored.
    pub slot: ConflictSlot,
    /// The resource that it concerns.
    pub resource: ResourceKey,
    /// The user whose device made the edits.
    pub user: String,
    /// The device that made the edits.
    pub device_id: String,
    /// The time at which its first edit was rejected.
    pub detected_at: DateTime<Utc>,
    /// The reason why its first edit was rejected.
    pub code: ItemCode,
    /// The server's payload when an edit was last rejected; `None` if there was none.
    pub server_payload: Option<Json>,
    /// The server's version at that time; 0 if there was no resource.
    pub server_version: u64,
    /// Whether the resource was deleted at that time.
    pub server_deleted: bool,
    /// The edits of the device, in order; never empty.
    pub edits: Vec<ConflictEdit>,
    /// The outcome of the conflict; `None` while it is open.
    pub outcome: Option<ConflictOutcome>,
}

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

/// An edit that is stored in a conflict.
#[derive(Debug, Clone)]
pub struct ConflictEdit {
    /// Identifies the edit among all edits of the resource.
    pub id: EditId,
    /// The action of the edit.
    pub action: Action,
    /// The content of a create or the patch of an update.
    pub payload: Json,
    /// The client version, as the device sent it.
    pub client_version: u64,
    /// The base version, as the device sent it.
    pub base_version: Option<u64>,
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

/// Edits to store in a conflict, in order.
#[derive(Debug, Clone)]
pub struct ConflictWrite {
    /// The id of the conflict.
    pub id: String,
    /// For edits that join: the row in which the conflict is stored.
    pub slot: ConflictSlot,
    /// The number of edits in the conflict when it was loaded, 0 if this write opens it: the
    /// condition of the write.
    pub expected_edits: usize,
    /// For a conflict that this write opens: the device's other conflicts about the resource that
    /// were loaded, and the ones that the same push opens earlier, oldest first. If the last of
    /// them is not the last stored one, a concurrent request opened another conflict.
    pub beside: Vec<Neighbor>,
    /// The edits to store; never empty.
    pub edits: Vec<ConflictEdit>,
    /// The resource that the conflict concerns.
    pub resource: ResourceKey,
    /// The server's state when the last of the edits was rejected; for a deleted resource with its
    /// last payload; `None` if there is no resource.
    pub server: Option<Resource>,
    /// The reason why the first of the edits was not applied.
    pub code: ItemCode,
    /// The time at which the edits were rejected.
    pub detected_at: DateTime<Utc>,
    /// For a conflict that a policy resolved immediately: its outcome.
    pub outcome: Option<ConflictOutcome>,
}

/// A conflict that a later create of the same device supersedes (§3.9): it is resolved in the
/// transaction of that create.
#[derive(Debug, Clone)]
pub struct SupersededConflict {
    /// The id of the conflict.
    pub id: String,
    /// The row in which it is stored.
    pub slot: ConflictSlot,
    /// The number of edits that are part of it: a condition of the write, so that no edit joins
    /// unnoticed.
    pub expected_edits: usize,
    /// The outcome that the conflict gets.
    pub outcome: ConflictOutcome,
}
