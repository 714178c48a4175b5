//! Limits (§8): the bounds that a client meets, so that it need not guess them. Each is named as in
//! [`crate::limits`], and inclusive.

use serde::{Deserialize, Serialize};

use crate::limits;

/// The answer to a request for the bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LimitsResponse {
    /// Bytes of a request body, unpacked. Over it: 413 `body_too_large`.
    pub body_bytes_max: usize,
    /// Bytes of a name: device id, temp id, batch id or resource id.
    pub name_bytes_max: usize,
    /// Largest version a client may name.
    pub version_max: u64,
    /// Items of one push.
    pub batch_items_max: usize,
    /// Bytes of one payload, as sent and as stored after merging. Over it: `payload_too_large`.
    pub payload_bytes_max: usize,
    /// Top-level fields of one payload. Over it: `too_many_fields`.
    pub payload_fields_max: usize,
    /// Objects and arrays inside each other in one payload, the payload itself included. Over it:
    /// `payload_too_deep`.
    pub payload_nesting_max: usize,
    /// Media keys of one payload. Over it: `too_many_media`.
    pub payload_media_keys_max: usize,
    /// Changes in a page when a pull names no `limit`.
    pub page_changes_default: usize,
    /// Changes in a page at most.
    pub page_changes_max: usize,
    /// Bytes of a pull token.
    pub token_bytes_max: usize,
    /// Entries of a list (conflicts, audit) when the query names no `limit`.
    pub list_default: usize,
    /// Entries of a list at most.
    pub list_max: usize,
    /// Letters of the note of a resolution.
    pub note_letters_max: usize,
    /// Bytes of an answer, as Lambda hands it on: payloads are left out and pages are cut to stay
    /// below it.
    pub answer_bytes_max: usize,
    /// What may be uploaded.
    pub media: MediaLimits,
    /// How long things are remembered.
    pub retention: Retention,
}

/// What may be uploaded; the deployment decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MediaLimits {
    /// Content types.
    pub types: Vec<String>,
    /// Bytes of one upload at most.
    pub bytes_max: u64,
    /// Seconds an upload URL is good for.
    pub url_seconds: u64,
}

/// How long things are remembered; the deployment decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Retention {
    /// Days the change log reaches back: a device that was away longer starts over.
    pub log_days: u64,
    /// Days a batch is remembered: until then it is answered as the first time.
    pub batch_days: u64,
}

impl LimitsResponse {
    /// The bounds of the protocol and of this deployment.
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
            note_letters_max: limits::NOTE_LETTERS_MAX,
            answer_bytes_max: limits::RESPONSE_BYTES_MAX,
            media,
            retention,
        }
    }
}
