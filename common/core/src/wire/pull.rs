//! Pull (§4): the changes since a token, one page at a time.

mod request;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    model::{
        change::PulledChange,
        edit::Action,
        json::Json,
        resolution::{ChangeResolution, Resolution},
        resource::ResourceKey,
    },
    wire::{serialize_timestamp, text},
};

pub use request::{OwnChanges, PullRequest};

/// A page of changes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PullResponse {
    /// The `since_token` of the next pull.
    pub next_token: String,
    /// The changes to apply. A resource occurs once, in its newest state.
    pub changes: Vec<Change>,
    /// Whether there may be more changes; the client should pull again immediately.
    pub has_more: bool,
    /// The time of the response.
    #[serde(serialize_with = "serialize_timestamp")]
    pub server_time: DateTime<Utc>,
    /// The channels whose snapshot begins with this page. The client replaces its rows of these
    /// channels and keeps unsent edits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reset: Vec<String>,
    /// The channels that the caller may no longer read. The client deletes their rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<String>,
}

/// A change for the client to apply.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Change {
    /// The id of the resource.
    pub id: String,
    /// The type of the resource.
    pub resource_type: String,
    /// The channel of the resource.
    pub channel: String,
    /// The kind of change.
    #[serde(with = "text")]
    pub action: Action,
    /// The complete payload of the resource; absent for a delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub payload: Option<Json>,
    /// The version of the resource. If a resource is received twice, the higher version is the
    /// newer one.
    pub server_version: u64,
    /// The time of the change.
    #[serde(serialize_with = "serialize_timestamp")]
    pub changed_at: DateTime<Utc>,
    /// The last conflict about the resource that was resolved since the token. In a snapshot, the
    /// last resolved conflict that the resource stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<ChangeResolutionBody>,
    /// All conflicts about the resource that were resolved since the token, oldest first. Present
    /// if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<ChangeResolutionBody>,
}

/// A resolved conflict, as reported with a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ChangeResolution))]
pub struct ChangeResolutionBody {
    /// The id of the conflict.
    pub id: String,
    /// The way in which the conflict was resolved.
    #[serde(with = "text")]
    pub resolution: Resolution,
}

impl From<ChangeResolution> for ChangeResolutionBody {
    fn from(ChangeResolution { id, resolution }: ChangeResolution) -> Self {
        Self { id, resolution }
    }
}

impl From<PulledChange> for Change {
    fn from(change: PulledChange) -> Self {
        let PulledChange {
            key,
            action,
            payload,
            server_version,
            changed_at,
            resolved_conflicts,
        } = change;

        let mut conflicts: Vec<ChangeResolutionBody> =
            resolved_conflicts.into_iter().map(Into::into).collect();
        let conflict = conflicts.last().cloned();
        if conflicts.len() == 1 {
            conflicts.clear();
        }

        let ResourceKey {
            channel,
            resource_type,
            id,
        } = key;
        Self {
            id,
            resource_type,
            channel: channel.to_string(),
            action,
            payload,
            server_version,
            changed_at,
            conflict,
            conflicts,
        }
    }
}
