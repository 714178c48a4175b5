//! Limits (§8): the bounds that apply to clients. Each has the same name as in [`crate::model::limits`]
//! and is inclusive.

use serde::{Deserialize, Serialize};

use crate::model::limits;

/// The bounds of the protocol and of this deployment. All are inclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LimitsResponse {
    /// Maximum size of a request body in bytes, decompressed. A larger body is rejected with 413
    /// `body_too_large`.
    pub body_bytes_max: usize,
    /// Maximum size of a name in bytes: device id, temp id, batch id or resource id.
    pub name_bytes_max: usize,
    /// Maximum version number that a client may send.
    pub version_max: u64,
    /// Maximum number of items of one push.
    pub batch_items_max: usize,
    /// Maximum size of one payload in bytes, as sent and as stored after merging. A larger payload
    /// is rejected with `payload_too_large`.
    pub payload_bytes_max: usize,
    /// Maximum number of top-level fields of one payload. More fields are rejected with
    /// `too_many_fields`.
    pub payload_fields_max: usize,
    /// Maximum depth of nested objects and arrays in one payload, including the payload itself. A
    /// deeper payload is rejected with `payload_too_deep`.
    pub payload_nesting_max: usize,
    /// Maximum number of media keys in one payload. More keys are rejected with `too_many_media`.
    pub payload_media_keys_max: usize,
    /// Number of changes in a page if a pull has no `limit`.
    pub page_changes_default: usize,
    /// Maximum number of changes in a page.
    pub page_changes_max: usize,
    /// Maximum size of a pull token in bytes.
    pub token_bytes_max: usize,
    /// Number of entries of a list (conflicts, audit log) if the query has no `limit`.
    pub list_default: usize,
    /// Maximum number of entries of a list.
    pub list_max: usize,
    /// Maximum number of characters of a resolution's note.
    pub note_letters_max: usize,
    /// Maximum size of a response in bytes, as Lambda returns it. Payloads are omitted and pages
    /// are shortened to stay below it.
    pub answer_bytes_max: usize,
    /// The limits of media uploads.
    pub media: MediaLimits,
    /// The retention periods of the deployment.
    pub retention: Retention,
}

/// The limits of media uploads, which the deployment configures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MediaLimits {
    /// The permitted content types.
    pub types: Vec<String>,
    /// Maximum size of one upload in bytes.
    pub bytes_max: u64,
    /// Validity of an upload URL in seconds.
    pub url_seconds: u64,
}

/// The retention periods, which the deployment configures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Retention {
    /// Retention of the change log in days. A device that has not pulled for longer gets a full
    /// resync.
    pub log_days: u64,
    /// Days for which a batch is stored. A batch that is sent again within this period gets its
    /// first response.
    pub batch_days: u64,
}

impl LimitsResponse {
    /// Returns the bounds of the protocol and of this deployment.
    pub const fn new(media: MediaLimits, retention: Retention) -> Self {
        Self {
            body_bytes_max: limits::BODY_BYTES_MAX,
            name_bytes_max: limits::NAME_BYTES_MAX,
            version_max: limits::VERSION_MAX,
            batch_items_max: limits::BATCH_ITEMS_MAX,
            payload_bytes_max: limits::PAYLOAD_BYTES_MAX,
            payload_fields_max: limits::PAYLOAD_FIELDS_MAX,
            payload_nesting_max: limits::NESTING_MAX,
            payload_media_keys_max: limits::MEDIA_KEYS_MAX,
            page_changes_default: limits::PAGE_CHANGES_DEFAULT,
            page_changes_max: limits::PAGE_CHANGES_MAX,
            token_bytes_max: limits::TOKEN_BYTES_MAX,
            list_default: limits::LIST_DEFAULT,
            list_max: limits::LIST_MAX,
            note_letters_max: limits::NOTE_CHARS_MAX,
            answer_bytes_max: limits::RESPONSE_BYTES_MAX,
            media,
            retention,
        }
    }
}
