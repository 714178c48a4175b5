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
mod tests {
    use super::*;

    /// Returns the code, path and detail of the problem for `rejection`, and its further members.
    fn problem(rejection: UploadRejection) -> (ProblemCode, String, String, Vec<String>) {
        let Problem {
            code,
            detail,
            path,
            members,
        } = rejection.into();
        let members = members
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        (code, path.unwrap_or_default(), detail, members)
    }

    #[test]
    fn malformed_field_is_an_invalid_request() {
        let cases = [
            (
                UploadRejection::MalformedType,
                "content_type",
                "must be a media type such as image/jpeg",
            ),
            (
                UploadRejection::Empty,
                "content_length",
                "must be at least 1",
            ),
            (
                UploadRejection::MalformedChecksum,
                "sha256",
                "must be a SHA-256, as 64 hexadecimal digits or as base64",
            ),
        ];
        for (rejection, path, detail) in cases {
            let expected = (
                ProblemCode::InvalidRequest,
                path.into(),
                detail.into(),
                vec![],
            );
            assert_eq!(problem(rejection), expected);
        }
    }

    #[test]
    fn unknown_resource_type_cannot_be_processed() {
        let cases = [
            (
                UploadRejection::UnknownResourceType,
                "the catalog has no such resource type",
            ),
            (
                UploadRejection::NoMediaFields,
                "resources of this type have no media fields",
            ),
        ];
        for (rejection, detail) in cases {
            let path = "resource_type".to_owned();
            let expected = (ProblemCode::Unprocessable, path, detail.into(), vec![]);
            assert_eq!(problem(rejection), expected);
        }
    }

    #[test]
    fn disallowed_upload_has_its_bound() {
        let rejection = UploadRejection::TypeNotAllowed {
            content_type: "image/png".into(),
            allowed_types: vec!["image/jpeg".into(), "video/mp4".into()],
        };
        let expected = (
            ProblemCode::MediaTypeNotAllowed,
            "content_type".into(),
            "uploads of type image/png are not allowed, only image/jpeg, video/mp4".into(),
            vec![r#"allowed_types: ["image/jpeg","video/mp4"]"#.into()],
        );
        assert_eq!(problem(rejection), expected);

        let rejection = UploadRejection::TooLarge {
            content_length: 4097,
            bytes_max: 4096,
        };
        let expected = (
            ProblemCode::MediaTooLarge,
            "content_length".into(),
            "the upload has 4097 bytes, at most 4096 are allowed: make it smaller".into(),
            vec!["bytes_max: 4096".into()],
        );
        assert_eq!(problem(rejection), expected);
    }
}
