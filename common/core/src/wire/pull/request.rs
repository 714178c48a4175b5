//! The request for a page of changes (§4).

use serde::Deserialize;

use crate::{
    model::limits,
    wire::{deserialize_name_option, number::deserialize_whole_option},
};

/// A request for the changes since a token.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PullRequest {
    /// The `next_token` of the previous page; `null` starts with snapshots of all channels.
    #[serde(default)]
    pub since_token: Option<String>,
    /// The id of the caller's device, 1 to 256 bytes. The device's own changes are not sent back
    /// (§4.6).
    #[serde(default, deserialize_with = "deserialize_name_option")]
    pub device_id: Option<String>,
    /// Maximum number of changes in the page, 1 to 500. Default: 100.
    #[serde(default = "default_limit", deserialize_with = "deserialize_limit")]
    #[cfg_attr(feature = "openapi", schema(value_type = usize))]
    pub limit: usize,
    /// The selection of the device's own changes that the page contains in addition to the changes
    /// of §4.6. Default: `omit`.
    #[serde(default)]
    pub own_changes: Option<OwnChanges>,
}

/// The own changes that a device receives (§4.6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", try_from = "String")]
pub enum OwnChanges {
    /// No own changes. Exception: if the token precedes the position that the device has
    /// acknowledged, the device was restored, and its own changes are delivered again.
    #[default]
    Omit,
    /// The own changes for which the token has no receipt. Responses to pushes add receipts to
    /// `server_sync_token`.
    // Existing clients send this text, so it does not follow the name of the variant.
    #[serde(rename = "unanswered")]
    WithoutReceipt,
}

impl TryFrom<String> for OwnChanges {
    type Error = String;

    /// Parses text only. The enum derived by serde would also accept `{"omit": null}`.
    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "omit" => Ok(Self::Omit),
            "unanswered" => Ok(Self::WithoutReceipt),
            _ => Err(format!(
                "unknown own_changes {text:?}, expected omit or unanswered"
            )),
        }
    }
}

fn default_limit() -> usize {
    limits::PAGE_CHANGES_DEFAULT
}

fn deserialize_limit<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    const LIMIT_MAX: u64 = limits::PAGE_CHANGES_MAX as u64;
    let limit = deserialize_whole_option::<_, 1, LIMIT_MAX>(deserializer)?;
    Ok(limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or_else(default_limit))
}
