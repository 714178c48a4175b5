//! Resolve (§5): an admin resolves a conflict, by the API or by invoking the function directly.

mod bulk;
mod command;
mod content;
mod picks;
mod rejection;
mod response;

use serde::{Deserialize, Deserializer};

use crate::{
    model::{
        json::{Fields, Json},
        limits::NOTE_CHARS_MAX,
        resolve::RequestedResolution,
    },
    wire::{deserialize_name, number::deserialize_whole_option, text},
};

pub use bulk::{BulkResolveItem, BulkResolveRequest, BulkResolveResponse, BulkResolveResult};
pub use response::ResolveResponse;

/// A request to resolve a conflict.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResolveRequest {
    /// The way to resolve the conflict.
    #[serde(with = "text")]
    pub resolution: RequestedResolution,
    /// The new payload of the resource. Required for `manual_merge` and not allowed otherwise. Its
    /// `id` is ignored.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub payload: Option<Json>,
    /// The picks by field, at most 500. Required for `field_pick` and not allowed otherwise. Each
    /// is `"client"` (the field as `accept_client` would store it), `"server"`, `{"value": …}` or
    /// `{"remove": true}`. Fields that are not named keep the server's value. A pick of `id` is
    /// ignored.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub fields: Option<Fields>,
    /// The version of the resource that the admin reviewed; 0 if there was no resource. Required
    /// for `field_pick`. Without it, the conflict is resolved against the current version.
    #[serde(
        default,
        deserialize_with = "deserialize_whole_option::<_, 0, { u64::MAX }>"
    )]
    pub expected_server_version: Option<u64>,
    /// Returns what would be stored without writing anything. Default: false.
    #[serde(default)]
    pub dry_run: Option<bool>,
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
    pub resolution: RequestedResolution,
    /// The payload of a manual merge, as in [`ResolveRequest::payload`].
    #[serde(default)]
    pub payload: Option<Json>,
    /// The picks by field, as in [`ResolveRequest::fields`].
    #[serde(default)]
    pub fields: Option<Fields>,
    /// The reviewed version, as in [`ResolveRequest::expected_server_version`].
    #[serde(
        default,
        deserialize_with = "deserialize_whole_option::<_, 0, { u64::MAX }>"
    )]
    pub expected_server_version: Option<u64>,
    /// Whether nothing is written, as in [`ResolveRequest::dry_run`].
    #[serde(default)]
    pub dry_run: Option<bool>,
    /// The reason for the audit log, as in [`ResolveRequest::note`].
    #[serde(default, deserialize_with = "deserialize_note")]
    pub note: Option<String>,
}

/// Deserializes the note of an admin, of at most [`NOTE_CHARS_MAX`] characters.
pub(crate) fn deserialize_note<'de, D: Deserializer<'de>>(
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
