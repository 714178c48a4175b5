//! The response to a resolved conflict (§5).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    model::{
        conflict::{Conflict, ConflictOutcome, ConflictStatus},
        json::Json,
        resolution::Resolution,
        resource::Resource,
    },
    wire::{serialize_timestamp, text},
};

/// The outcome of a resolved conflict. A repeated request gets the same outcome.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResolveResponse {
    /// The id of the conflict.
    pub id: String,
    /// `resolved`; `open` after a dry run of a conflict that is not resolved.
    #[serde(with = "text")]
    pub status: ConflictStatus,
    /// Whether the request was a dry run, which writes nothing. The other fields are those of the
    /// resolution that the request would make now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
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
            dry_run: false,
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
    /// Returns the response to a dry run that would resolve `conflict` with this `outcome` and
    /// `resource`.
    pub fn of_dry_run(
        conflict: Conflict,
        outcome: ConflictOutcome,
        resource: Option<Resource>,
    ) -> Self {
        Self {
            status: ConflictStatus::Open,
            dry_run: true,
            ..Self::new(conflict, outcome, resource)
        }
    }
}
