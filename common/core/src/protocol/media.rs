//! Media (§6): a device asks for an upload URL.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{deserialize_name, number::deserialize_whole, serialize_timestamp};

/// A request for an upload URL.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PresignRequest {
    /// The file's name, 1 to 256 bytes. Only its extension is kept.
    #[serde(deserialize_with = "deserialize_name")]
    pub filename: String,
    /// The type the upload will be sent with, word for word.
    #[serde(deserialize_with = "deserialize_name")]
    pub content_type: String,
    /// The exact size of the upload in bytes.
    #[serde(deserialize_with = "deserialize_whole::<_, 0, { u64::MAX }>")]
    pub content_length: u64,
    /// SHA-256 of the content: 64 hexadecimal digits, or base64.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Which type of resource the upload is for.
    #[serde(default)]
    pub resource_type: Option<String>,
}

/// Where and how to upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PresignResponse {
    /// Where to send the content. It is good for this upload only.
    pub upload_url: String,
    /// What to name in a payload's media field.
    pub key: String,
    /// The HTTP method.
    pub method: String,
    /// The headers to send, word for word: they are signed.
    pub headers: BTreeMap<String, String>,
    /// When the URL ceases to be good.
    #[serde(serialize_with = "serialize_timestamp")]
    pub expires_at: DateTime<Utc>,
}
