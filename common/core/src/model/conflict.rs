//! Conflicts (§5, §3.5): edits of a device that were not applied, stored together with the server's
//! state until the conflict is resolved.

mod counts;
mod filter;
mod summary;
mod write;

use chrono::{DateTime, Utc};

use crate::model::{
    edit::Action,
    json::Json,
    keyword::keywords,
    resolution::Resolution,
    resource::{EditId, ResourceKey},
    result::ItemCode,
};

pub use counts::{ConflictCount, CountedConflict, OpenConflictCounts};
pub use filter::{ConflictFilter, ListOrder, ListedStatus};
pub use summary::{ConflictSummary, Neighbor};
pub use write::{ConflictWrite, SupersededConflict};

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
    /// For a resolution by field: digest of the picks and of the expected version, because the
    /// payload that the same picks compose depends on the version.
    pub picked_digest: Option<[u8; 16]>,
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
    /// For an update: the values that the fields of the patch had in the device's base. `None` if
    /// the device did not send them.
    pub was: Option<Json>,
}

/// The content that a device had when it made the first edits of a conflict (§5.1).
#[derive(Debug, Clone)]
pub struct ConflictBase {
    /// The fields of the content that are known.
    pub payload: Json,
    /// The origin of the fields.
    pub source: BaseSource,
}

/// The origin of the base of a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseSource {
    /// The device sent them with its edits. Only fields that the edits change are known.
    Device,
    /// The server stores the version, in the change log or with the conflict. All fields are known.
    Log,
}

keywords!(BaseSource, "base_source", Device => "device", Log => "log");
