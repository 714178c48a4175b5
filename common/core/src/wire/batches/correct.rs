//! The request to correct a rejected item (§7).

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    model::{json::Json, limits::VERSION_MAX},
    wire::{number::deserialize_whole_option, resolve::deserialize_note},
};

/// A request to run a rejected item of a batch with another payload.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CorrectRequest {
    /// The payload that replaces that of the item, with the `id` of its resource if the item has
    /// one.
    #[serde(deserialize_with = "deserialize_object")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub payload: Json,
    /// The version that replaces the `base_version` of the item. Without it, the item keeps its
    /// own.
    #[serde(
        default,
        deserialize_with = "deserialize_whole_option::<_, 0, VERSION_MAX>"
    )]
    pub base_version: Option<u64>,
    /// The reason, for the audit log; at most 2,000 characters.
    #[serde(default, deserialize_with = "deserialize_note")]
    pub note: Option<String>,
    /// Returns what would happen without writing anything. Default: false.
    #[serde(default)]
    pub dry_run: Option<bool>,
}

fn deserialize_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
    let value = Json::deserialize(deserializer)?;
    match value.get().starts_with('{') {
        true => Ok(value),
        false => Err(D::Error::custom("must be a JSON object")),
    }
}
