//! Pull (§4): the changes since a token, one page at a time.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    model::{
        change::PulledChange,
        edit::Action,
        json::Json,
        limits,
        resolution::{ChangeResolution, Resolution},
        resource::ResourceKey,
    },
    wire::{deserialize_name_option, number::deserialize_whole_option, serialize_timestamp, text},
};

/// A request for the changes since a token.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PullRequest {
    /// The `next_token` of the previous page; `null` starts with snapshots of all channels.
    #[serde(default)]
    pub since_token: Option<String>,
    /// The id of the caller's device, 1 to 256 bytes. The device's own changes are not sent back
    /// (§4.6).
    #[serde(default, deserialize_with = "deserialize_name_option")]
    pub device_id: Option<String>,
    /// Maximum number of changes in the page, 1 to 500. Default: 100.
    #[serde(default = "default_limit", deserialize_with = "deserialize_limit")]
    #[cfg_attr(feature = "openapi", schema(value_type = usize))]
    pub limit: usize,
    /// The selection of the device's own changes that the page contains in addition to the changes
    /// of §4.6. Default: `omit`.
    #[serde(default)]
    pub own_changes: Option<OwnChanges>,
}

/// The own changes that a device receives (§4.6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", try_from = "String")]
pub enum OwnChanges {
    /// No own changes. Exception: if the token precedes the position that the device has
    /// acknowledged, the device was restored, and its own changes are delivered again.
    #[default]
    Omit,
    /// The own changes for which the token has no receipt. Responses to pushes add receipts to
    /// `server_sync_token`.
    #[serde(rename = "unanswered")]
    Unacknowledged,
}

impl TryFrom<String> for OwnChanges {
    type Error = String;

    /// Parses text only. The enum derived by serde would also accept `{"omit": null}`.
    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "omit" => Ok(Self::Omit),
            "unanswered" => Ok(Self::Unacknowledged),
            _ => Err(format!(
                "unknown own_changes {text:?}, expected omit or unanswered"
            )),
        }
    }
}

fn default_limit() -> usize {
    limits::PAGE_CHANGES_DEFAULT
}

fn deserialize_limit<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    const LIMIT_MAX: u64 = limits::PAGE_CHANGES_MAX as u64;
    let limit = deserialize_whole_option::<_, 1, LIMIT_MAX>(deserializer)?;
    Ok(limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or_else(default_limit))
}

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
