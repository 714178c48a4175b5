//! Media (§6): requests for upload URLs.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    model::media::{UploadRejection, UploadRequest},
    wire::{
        deserialize_name,
        number::deserialize_whole,
        problem::{Problem, ProblemCode},
        serialize_timestamp,
    },
};

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

impl<'a> From<&'a PresignRequest> for UploadRequest<'a> {
    fn from(request: &'a PresignRequest) -> Self {
        Self {
            content_type: &request.content_type,
            content_length: request.content_length,
            sha256: request.sha256.as_deref(),
            resource_type: request.resource_type.as_deref(),
        }
    }
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

impl From<UploadRejection> for Problem {
    /// Returns the problem with the field of the request: 400 if the field is malformed, 422 if
    /// the deployment does not permit the upload.
    fn from(rejection: UploadRejection) -> Self {
        let detail = rejection.to_string();

        match rejection {
            UploadRejection::MalformedType => Self::malformed("content_type", detail),
            UploadRejection::TypeNotAllowed { allowed_types, .. } => {
                Self::new(ProblemCode::MediaTypeNotAllowed, detail)
                    .at("content_type")
                    .with("allowed_types", &allowed_types)
            }
            UploadRejection::Empty => Self::malformed("content_length", detail),
            UploadRejection::TooLarge { bytes_max, .. } => {
                Self::new(ProblemCode::MediaTooLarge, detail)
                    .at("content_length")
                    .with("bytes_max", &bytes_max)
            }
            UploadRejection::UnknownResourceType | UploadRejection::NoMediaFields => {
                Self::new(ProblemCode::Unprocessable, detail).at("resource_type")
            }
            UploadRejection::MalformedChecksum => Self::malformed("sha256", detail),
        }
    }
}

#[cfg(test)]
mod tests;
