//! The stable codes of problems (§8), with their HTTP statuses and titles.

use serde::{Deserialize, Serialize};

/// The reasons for which a request is rejected as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// 400: the body is not JSON or does not match the schema of the operation.
    InvalidRequest,
    /// 400: the pull token is corrupt or was not issued by this service.
    InvalidToken,
    /// 400: the cursor is corrupt or belongs to another list.
    InvalidCursor,
    /// 401: the bearer token is missing or invalid.
    Unauthenticated,
    /// 403: the caller lacks the permission.
    Forbidden,
    /// 404: the object does not exist, or it belongs to another tenant.
    NotFound,
    /// 409: the `batch_id` was sent before with other items.
    BatchIdReused,
    /// 409: the conflict was already resolved in another way.
    AlreadyResolved,
    /// 409: the resource does not have the version `expected_server_version`.
    VersionChanged,
    /// 409: another resource holds the value of a unique field.
    UniqueViolation,
    /// 409: concurrent updates of the same object repeatedly prevented the write.
    Contended,
    /// 413: the body is larger than 3 MB, as sent or decompressed.
    BodyTooLarge,
    /// 415: the body is declared as something other than JSON, plain or compressed with gzip.
    UnsupportedMediaType,
    /// 422: the request is valid JSON, but what it would store breaks a rule.
    Unprocessable,
    /// 422: uploads of this content type are not allowed.
    MediaTypeNotAllowed,
    /// 422: uploads of this size are not allowed.
    MediaTooLarge,
    /// 503: a dependency is throttled or unavailable. Retry after the number of seconds in
    /// `Retry-After`.
    Unavailable,
}

impl ProblemCode {
    /// Returns the HTTP status of the code.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::InvalidToken | Self::InvalidCursor => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::BatchIdReused
            | Self::AlreadyResolved
            | Self::VersionChanged
            | Self::UniqueViolation
            | Self::Contended => 409,
            Self::BodyTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Unprocessable | Self::MediaTypeNotAllowed | Self::MediaTooLarge => 422,
            Self::Unavailable => 503,
        }
    }

    /// Returns a short title, which is the same for every occurrence.
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is malformed",
            Self::InvalidToken => "The pull token is not valid",
            Self::InvalidCursor => "The cursor is not valid",
            Self::Unauthenticated => "The bearer token is missing or not valid",
            Self::Forbidden => "The caller lacks the permission",
            Self::NotFound => "The object does not exist",
            Self::BatchIdReused => "The batch id was used before",
            Self::AlreadyResolved => "The conflict is already resolved",
            Self::VersionChanged => "The resource has changed",
            Self::UniqueViolation => "Another resource holds the value",
            Self::Contended => "Concurrent updates prevented the write",
            Self::BodyTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body is not JSON, plain or as gzip",
            Self::Unprocessable => "The request cannot be carried out",
            Self::MediaTypeNotAllowed => "Uploads of this type are not allowed",
            Self::MediaTooLarge => "The upload would be too large",
            Self::Unavailable => "The service is temporarily unavailable",
        }
    }
}
