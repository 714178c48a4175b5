//! Resolve (§5): an admin resolves a conflict, by the API or by invoking the function directly.

mod command;
mod rejection;
mod response;

use serde::{Deserialize, Deserializer};

use crate::{
    model::{json::Json, limits::NOTE_CHARS_MAX, resolution::Resolution},
    wire::{deserialize_name, number::deserialize_whole_option, text},
};

pub use response::ResolveResponse;

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
