//! Conflicts (§5, §3.5): what a device meant, kept beside what the server holds, until it is
//! decided.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    json::Json,
    limits::CONFLICT_EDITS_MAX,
    protocol::{Action, pull::ResolvedConflict, push::ItemCode},
    resource::{EditId, Resource, ResourceKey},
};

/// Whether a conflict still waits for its decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
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

/// How a conflict was decided (§5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", try_from = "String")]
pub enum Resolution {
    /// What the server holds stays.
    AcceptServer,
    /// The device's edits are applied to what the server holds now.
    AcceptClient,
    /// A payload of the admin's own takes the place of both.
    ManualMerge,
}

impl TryFrom<String> for Resolution {
    type Error = String;

    /// Text only: an enum of serde's would take `{"accept_client": null}` too.
    fn try_from(text: String) -> Result<Self, String> {
        let all = [Self::AcceptServer, Self::AcceptClient, Self::ManualMerge];
        let resolution = all
            .into_iter()
            .find(|resolution| resolution.as_str() == text);
        resolution.ok_or_else(|| {
            format!(
                "unknown resolution {text:?}, expected accept_server, accept_client or manual_merge"
            )
        })
    }
}

impl Resolution {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AcceptServer => "accept_server",
            Self::AcceptClient => "accept_client",
            Self::ManualMerge => "manual_merge",
        }
    }
}

/// A resolution as the resource remembers it, and as pulled changes carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictResolution {
    /// The conflict.
    pub id: String,
    /// How it was decided.
    pub resolution: Resolution,
    /// The version of the resource that the decision made.
    pub server_version: u64,
}

impl ConflictResolution {
    /// As a change tells it.
    pub fn into_decided(self) -> ResolvedConflict {
        ResolvedConflict {
            id: self.id,
            resolution: self.resolution,
        }
    }

    /// Of the decisions that a resource remembers, those that made the versions behind
    /// `old_version`, as a change tells them.
    pub fn decided_since(
        old_version: Option<u64>,
        resolutions: Vec<Self>,
    ) -> Vec<ResolvedConflict> {
        let since = |resolved: &Self| resolved.server_version > old_version.unwrap_or_default();
        resolutions
            .into_iter()
            .filter(since)
            .map(Self::into_decided)
            .collect()
    }
}

/// How a conflict ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictOutcome {
    /// The decision.
    pub resolution: Resolution,
    /// Who decided: a user, an operator, or a policy as `policy:<name>`.
    pub resolved_by: String,
    /// When.
    pub resolved_at: DateTime<Utc>,
    /// What the decider had to say.
    pub note: Option<String>,
    /// The version of the resource behind the decision; 0 where there is no resource.
    pub server_version: u64,
    /// Of a manual merge: digest of the canonical payload, to tell the same answer from another
    /// one.
    pub merged_digest: Option<[u8; 16]>,
}

/// Which row a conflict stands in. The rules carry it from the lookup to the write; they do not
/// look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConflictSlot {
    /// The row of the first conflict of its device about its resource, which also names the later
    /// ones.
    #[default]
    First,
    /// A row of its own, beside the first.
    Own,
    /// A row as earlier builds wrote it.
    Legacy,
}

/// A stored conflict, whole.
#[derive(Debug, Clone)]
pub struct Conflict {
    /// Its id.
    pub id: String,
    /// Which row it stands in.
    pub slot: ConflictSlot,
    /// What it is about.
    pub resource: ResourceKey,
    /// Whose device.
    pub user: String,
    /// Which device.
    pub device_id: String,
    /// When its first edit was refused.
    pub detected_at: DateTime<Utc>,
    /// Why its first edit was refused.
    pub code: ItemCode,
    /// What the server held when an edit was last refused; `None` where it held nothing.
    pub server_payload: Option<Json>,
    /// Its version then; 0 where there was no resource.
    pub server_version: u64,
    /// Whether it was deleted then.
    pub server_deleted: bool,
    /// What the device meant, in turn; never empty.
    pub edits: Vec<ConflictEdit>,
    /// How it ended; `None` while it is open.
    pub outcome: Option<ConflictOutcome>,
}

/// A stored conflict of one device about one resource, as far as deciding needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictSummary {
    /// Follows from the resource, the device and the edit that opened it, so that a retried push
    /// finds it again.
    pub id: String,
    /// Which row it stands in.
    pub slot: ConflictSlot,
    /// Whether it is decided.
    pub status: ConflictStatus,
    /// How, if it is.
    pub resolution: Option<Resolution>,
    /// The server's version when an edit was last refused.
    pub server_version: u64,
    /// Which edits stand in it.
    pub edits: Vec<EditId>,
    /// Whether the edit that opened it is a create.
    pub opened_by_create: bool,
    /// Why the edit that opened it was refused.
    pub code: ItemCode,
}

impl ConflictSummary {
    /// Whether this very edit stands in it.
    pub fn holds(&self, edit: EditId) -> bool {
        self.edits.contains(&edit)
    }

    /// What a conflict that is opened beside this one has to know of it.
    pub fn neighbor(&self) -> Neighbor {
        Neighbor {
            id: self.id.clone(),
            slot: self.slot,
            status: self.status,
        }
    }

    /// Whether an edit made on `base` joins it: it is open, has room, and its refusal came after
    /// `base` (§3.5).
    pub fn admits(&self, base: u64) -> bool {
        base < self.server_version && self.is_open_with_room()
    }

    /// Whether it waits for a decision about a create that was rejected.
    pub fn is_open_create(&self) -> bool {
        self.status == ConflictStatus::Open && self.opened_by_create
    }

    /// Whether more edits may join it.
    pub fn is_open_with_room(&self) -> bool {
        self.status == ConflictStatus::Open && self.edits.len() < CONFLICT_EDITS_MAX
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

/// Another conflict of the same device about the same resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbor {
    /// Its id.
    pub id: String,
    /// Which row it stands in.
    pub slot: ConflictSlot,
    /// Whether it is decided.
    pub status: ConflictStatus,
}

/// Edits to put into a conflict, in turn.
#[derive(Debug, Clone)]
pub struct ConflictWrite {
    /// The conflict.
    pub id: String,
    /// Of edits that join: which row it stands in.
    pub slot: ConflictSlot,
    /// How many edits stood in it when it was loaded, 0 if this opens it: the condition of the
    /// write.
    pub expected_edits: usize,
    /// Of a conflict that this opens: the device's other conflicts about the resource that were
    /// known then, with those that are opened before it, oldest first. If the last of them is not
    /// the last that is stored, another request was faster.
    pub beside: Vec<Neighbor>,
    /// Never empty.
    pub edits: Vec<ConflictEdit>,
    /// What it is about.
    pub resource: ResourceKey,
    /// What the server held when the last of them was refused; of a deleted resource the last
    /// payload; `None` where there is none.
    pub server: Option<Resource>,
    /// Why the first of them was not applied.
    pub code: ItemCode,
    /// When.
    pub detected_at: DateTime<Utc>,
    /// Of a conflict that a policy decided at once: how.
    pub outcome: Option<ConflictOutcome>,
}

/// A conflict that a later create of the same device takes the place of (§3.9): it is resolved in
/// the transaction of that create.
#[derive(Debug, Clone)]
pub struct SupersededConflict {
    /// The conflict.
    pub id: String,
    /// Which row it stands in.
    pub slot: ConflictSlot,
    /// How many edits are part of it: a condition, so that no edit joins it unseen.
    pub expected_edits: usize,
    /// How it ends.
    pub outcome: ConflictOutcome,
}
