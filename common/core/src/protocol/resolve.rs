//! Resolve (§5): an admin decides a conflict, over the API or by invoking the function directly.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};

use super::{deserialize_name, number::deserialize_whole_option, serialize_timestamp};
use crate::{
    conflict::{ConflictStatus, Resolution},
    json::Json,
    limits::NOTE_LETTERS_MAX,
};

/// A decision, as the API gets it.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResolveRequest {
    /// How the conflict is decided.
    pub resolution: Resolution,
    /// Of a manual merge, and of nothing else: what the resource is from now on. `id` in it is
    /// ignored.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub payload: Option<Json>,
    /// The version of the resource that the admin looked at; 0 for none. Left out, whatever stands
    /// now is decided on.
    #[serde(
        default,
        deserialize_with = "deserialize_whole_option::<_, 0, { u64::MAX }>"
    )]
    pub expected_server_version: Option<u64>,
    /// Why, for the audit log: at most 2,000 letters.
    #[serde(default, deserialize_with = "deserialize_note")]
    pub note: Option<String>,
}

/// A decision, as the function gets it that is invoked directly: the event. Whoever may invoke it
/// is believed.
#[derive(Debug, Clone, Deserialize)]
pub struct DirectResolveRequest {
    /// Which conflict.
    pub conflict_id: String,
    /// Whose; 1 to 256 bytes.
    #[serde(deserialize_with = "deserialize_name")]
    pub tenant: String,
    /// Who decides; 1 to 256 bytes.
    #[serde(deserialize_with = "deserialize_name")]
    pub resolved_by: String,
    /// As [`ResolveRequest::resolution`].
    pub resolution: Resolution,
    /// As [`ResolveRequest::payload`].
    #[serde(default)]
    pub payload: Option<Json>,
    /// As [`ResolveRequest::expected_server_version`].
    #[serde(
        default,
        deserialize_with = "deserialize_whole_option::<_, 0, { u64::MAX }>"
    )]
    pub expected_server_version: Option<u64>,
    /// As [`ResolveRequest::note`].
    #[serde(default, deserialize_with = "deserialize_note")]
    pub note: Option<String>,
}

impl DirectResolveRequest {
    /// The decision alone.
    pub fn into_request(self) -> ResolveRequest {
        let Self {
            resolution,
            payload,
            expected_server_version,
            note,
            ..
        } = self;
        ResolveRequest {
            resolution,
            payload,
            expected_server_version,
            note,
        }
    }
}

fn deserialize_note<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let note = Option::<String>::deserialize(deserializer)?;
    if note
        .as_ref()
        .is_some_and(|note| note.chars().nth(NOTE_LETTERS_MAX).is_some())
    {
        return Err(serde::de::Error::custom(format!(
            "must not have more than {NOTE_LETTERS_MAX} letters"
        )));
    }
    Ok(note)
}

/// The answer to a decision; to one that is repeated, the same again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResolveResponse {
    /// The conflict.
    pub id: String,
    /// `resolved`.
    pub status: ConflictStatus,
    /// How it was decided.
    pub resolution: Resolution,
    /// Who decided.
    pub resolved_by: String,
    /// When.
    #[serde(serialize_with = "serialize_timestamp")]
    pub resolved_at: DateTime<Utc>,
    /// What the decider had to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What it is about.
    pub resource_type: String,
    /// What it is about.
    pub resource_id: String,
    /// Where that lives.
    pub channel: String,
    /// The version that the decision made; 0 where there is no resource.
    pub server_version: u64,
    /// The resource is deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub server_deleted: bool,
    /// What that version holds; of a deleted resource the last payload; none where there is no
    /// resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub server_payload: Option<Json>,
    /// The payload was left out: this is a repeated decision, and the resource has changed since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub server_payload_omitted: bool,
}
