//! Media (§6): requests for upload URLs.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{deserialize_name, number::deserialize_whole, serialize_timestamp};

/// A request for an upload URL.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PresignRequest {
    /// The name of the file, 1 to 256 bytes.
    #[serde(deserialize_with = "deserialize_name")]
    pub filename: String,
    /// The content type of the upload, 1 to 256 bytes. The upload must be sent with exactly this
    /// value.
    #[serde(deserialize_with = "deserialize_name")]
    pub content_type: String,
    /// The exact size of the upload in bytes.
    #[serde(deserialize_with = "deserialize_whole::<_, 0, { u64::MAX }>")]
    pub content_length: u64,
    /// SHA-256 of the content, as 64 hexadecimal digits or in base64.
    #[serde(default)]
    pub sha256: Option<String>,
    /// The resource type for which the upload is made. It must have media fields.
    #[serde(default)]
    pub resource_type: Option<String>,
}

/// The upload URL, and how to use it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PresignResponse {
    /// The URL to which the content is sent. It is valid for this upload only.
    pub upload_url: String,
    /// The media key to put into a media field of a payload.
    pub key: String,
    /// The HTTP method of the upload request.
    pub method: String,
    /// The headers of the upload request. They are signed and must be sent unchanged.
    pub headers: BTreeMap<String, String>,
    /// The time at which the URL expires.
    #[serde(serialize_with = "serialize_timestamp")]
    pub expires_at: DateTime<Utc>,
}
