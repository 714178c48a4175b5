//! Pull (§4): what changed since a token, a page at a time.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Action, deserialize_name_option, number::deserialize_whole_option, serialize_timestamp,
};
use crate::{conflict::Resolution, json::Json, limits};

/// A pull.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PullRequest {
    /// The `next_token` of the page before; `null` starts from nothing.
    #[serde(default)]
    pub since_token: Option<String>,
    /// Which device of the caller asks: its own changes are not sent back (§4.6).
    #[serde(default, deserialize_with = "deserialize_name_option")]
    pub device_id: Option<String>,
    /// Changes in the page at most, 1 to 500; 100 if it is left out.
    #[serde(default = "default_limit", deserialize_with = "deserialize_limit")]
    #[cfg_attr(feature = "openapi", schema(value_type = usize))]
    pub limit: usize,
    /// Which of its own changes the device is sent, besides those of §4.6; left out, `omit`.
    #[serde(default)]
    pub own_changes: Option<OwnChanges>,
}

/// Which of its own changes a device is sent (§4.6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", try_from = "String")]
pub enum OwnChanges {
    /// None, except those that it has acknowledged and its token does not know any more.
    #[default]
    Omit,
    /// Those that its token has no receipt for: the responses to its pushes put receipts into
    /// `server_sync_token`.
    Unacknowledged,
}

impl TryFrom<String> for OwnChanges {
    type Error = String;

    /// Text only: an enum of serde's would take `{"omit": null}` too.
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

/// The answer to a pull.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PullResponse {
    /// Where the next pull goes on.
    pub next_token: String,
    /// What changed; a resource stands here once, in its newest state.
    pub changes: Vec<Change>,
    /// Whether to pull again at once.
    pub has_more: bool,
    /// When this was answered.
    #[serde(serialize_with = "serialize_timestamp")]
    pub server_time: DateTime<Utc>,
    /// Channels of which a snapshot begins here: replace their rows, keep unsent edits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reset: Vec<String>,
    /// Channels the caller may no longer read: drop their rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<String>,
}

/// A change to apply.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Change {
    /// The resource's id.
    pub id: String,
    /// Its type.
    pub resource_type: String,
    /// Where it lives.
    pub channel: String,
    /// What happened to it.
    pub action: Action,
    /// Its whole payload; none for a delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub payload: Option<Json>,
    /// Keep the higher one when a resource comes twice.
    pub server_version: u64,
    /// When it changed.
    #[serde(serialize_with = "serialize_timestamp")]
    pub changed_at: DateTime<Utc>,
    /// The conflict about it that was decided last since the token; of a snapshot, the last that
    /// the resource remembers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<ResolvedConflict>,
    /// Where several were decided since: all of them, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<ResolvedConflict>,
}

/// A conflict that was decided, as a change tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResolvedConflict {
    /// The conflict.
    pub id: String,
    /// How it was decided.
    pub resolution: Resolution,
}
