//! Resolve (§5): an admin resolves a conflict, by the API or by invoking the function directly.

mod command;
mod rejection;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    model::{
        conflict::{Conflict, ConflictOutcome, ConflictStatus},
        json::Json,
        limits::NOTE_CHARS_MAX,
        resolution::Resolution,
        resource::Resource,
    },
    wire::{deserialize_name, number::deserialize_whole_option, serialize_timestamp, text},
};

/// A request to resolve a conflict.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResolveRequest {
    /// The way to resolve the conflict.
    #[serde(with = "text")]
    pub resolution: Resolution,
    /// The new payload of the resource. Required for `manual_merge` and not allowed otherwise. Its
    /// `id` is ignored.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub payload: Option<Json>,
    /// The version of the resource that the admin reviewed; 0 if there was no resource. Without it,
    /// the conflict is resolved against the current version.
    #[serde(
        default,
        deserialize_with = "deserialize_whole_option::<_, 0, { u64::MAX }>"
    )]
    pub expected_server_version: Option<u64>,
    /// The reason, for the audit log; at most 2,000 characters.
    #[serde(default, deserialize_with = "deserialize_note")]
    pub note: Option<String>,
}

/// A request to resolve a conflict, as the event of a direct invocation. IAM controls who may
/// invoke the function; the caller's statements are trusted.
#[derive(Debug, Clone, Deserialize)]
pub struct DirectResolveRequest {
    /// The id of the conflict.
    pub conflict_id: String,
    /// The tenant of the conflict, 1 to 256 bytes.
    #[serde(deserialize_with = "deserialize_name")]
    pub tenant: String,
    /// The actor who resolves the conflict, 1 to 256 bytes.
    #[serde(deserialize_with = "deserialize_name")]
    pub resolved_by: String,
    /// The way to resolve the conflict, as in [`ResolveRequest::resolution`].
    #[serde(with = "text")]
    pub resolution: Resolution,
    /// The payload of a manual merge, as in [`ResolveRequest::payload`].
    #[serde(default)]
    pub payload: Option<Json>,
    /// The reviewed version, as in [`ResolveRequest::expected_server_version`].
    #[serde(
        default,
        deserialize_with = "deserialize_whole_option::<_, 0, { u64::MAX }>"
    )]
    pub expected_server_version: Option<u64>,
    /// The reason for the audit log, as in [`ResolveRequest::note`].
    #[serde(default, deserialize_with = "deserialize_note")]
    pub note: Option<String>,
}

fn deserialize_note<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let note = Option::<String>::deserialize(deserializer)?;
    if note
        .as_ref()
        .is_some_and(|note| note.chars().nth(NOTE_CHARS_MAX).is_some())
    {
        return Err(serde::de::Error::custom(format!(
            "must not have more than {NOTE_CHARS_MAX} characters"
        )));
    }
    Ok(note)
}

/// The outcome of a resolved conflict. A repeated request gets the same outcome.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResolveResponse {
    /// The id of the conflict.
    pub id: String,
    /// Always `resolved` in this response.
    #[serde(with = "text")]
    pub status: ConflictStatus,
    /// The way in which the conflict was resolved.
    #[serde(with = "text")]
    pub resolution: Resolution,
    /// The actor who resolved the conflict.
    pub resolved_by: String,
    /// The time of the resolution.
    #[serde(serialize_with = "serialize_timestamp")]
    pub resolved_at: DateTime<Utc>,
    /// The note of the actor who resolved the conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The type of the resource.
    pub resource_type: String,
    /// The id of the resource.
    pub resource_id: String,
    /// The channel of the resource.
    pub channel: String,
    /// The version that the resolution wrote; 0 if there is no resource.
    pub server_version: u64,
    /// Whether the resource is deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub server_deleted: bool,
    /// The payload of that version; for a deleted resource, its last payload. Absent if there is no
    /// resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub server_payload: Option<Json>,
    /// Whether `server_payload` is omitted, because this is a repeated request and the resource has
    /// changed since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub server_payload_omitted: bool,
}

impl ResolveResponse {
    /// Returns the response with the `outcome` of `conflict`, whose resource is now `current`. The
    /// resource's content is included only if its version is still that of the outcome.
    pub fn new(conflict: Conflict, outcome: ConflictOutcome, current: Option<Resource>) -> Self {
        let version = current
            .as_ref()
            .map_or(0, |resource| resource.server_version);
        let unchanged = current.filter(|_| version == outcome.server_version);

        Self {
            id: conflict.id,
            status: ConflictStatus::Resolved,
            resolution: outcome.resolution,
            resolved_by: outcome.resolved_by,
            resolved_at: outcome.resolved_at,
            note: outcome.note,
            resource_type: conflict.resource.resource_type,
            resource_id: conflict.resource.id,
            channel: conflict.resource.channel.to_string(),
            server_version: outcome.server_version,
            server_deleted: unchanged.as_ref().is_some_and(|resource| resource.deleted),
            server_payload_omitted: unchanged.is_none() && outcome.server_version > 0,
            server_payload: unchanged.map(|resource| resource.payload),
        }
    }
}
