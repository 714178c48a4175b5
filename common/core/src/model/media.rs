//! Media (§6.1): the upload that a device announces, and the reasons to reject it.

/// An upload for which a device requests a URL.
#[derive(Debug, Clone, Copy)]
pub struct UploadRequest<'a> {
    /// The content type, exactly as the client will send it.
    pub content_type: &'a str,
    /// The exact size in bytes.
    pub content_length: u64,
    /// SHA-256 of the content, as 64 hexadecimal digits or in base64.
    pub sha256: Option<&'a str>,
    /// The resource type for which the upload is made.
    pub resource_type: Option<&'a str>,
}

/// The reason why an upload is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UploadRejection {
    /// The content type is not a media type, or not in a spelling that every proxy preserves.
    #[error("must be a media type such as image/jpeg")]
    MalformedType,
    /// The deployment does not permit uploads of the content type.
    #[error("uploads of type {content_type} are not allowed, only {}", allowed_types.join(", "))]
    TypeNotAllowed {
        /// The content type of the upload, in lower case and without parameters.
        content_type: String,
        /// The content types that are permitted.
        allowed_types: Vec<String>,
    },
    /// The upload has no content.
    #[error("must be at least 1")]
    Empty,
    /// The deployment does not permit uploads of the size.
    #[error(
        "the upload has {content_length} bytes, at most {bytes_max} are allowed: make it smaller"
    )]
    TooLarge {
        /// The size of the upload in bytes.
        content_length: u64,
        /// The maximum size in bytes.
        bytes_max: u64,
    },
    /// The catalog does not contain the resource type.
    #[error("the catalog has no such resource type")]
    UnknownResourceType,
    /// Resources of the type have no media fields.
    #[error("resources of this type have no media fields")]
    NoMediaFields,
    /// The checksum is not a SHA-256.
    #[error("must be a SHA-256, as 64 hexadecimal digits or as base64")]
    MalformedChecksum,
}
