//! The stored results of a batch, without payloads.

use serde::{Deserialize, Serialize};
use tidemark_core::{
    model::{
        resolution::Resolution,
        result::{ItemCode, ItemResult, Status},
    },
    wire::text,
};

/// The result of one item. The members have the names of a response; `null` is stored for the
/// first three, and the others are omitted if they are empty.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredResult {
    index: usize,
    client_temp_id: Option<String>,
    #[serde(with = "text")]
    status: Status,
    server_id: Option<String>,
    server_version: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    merged: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conflict_id: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    server_payload_omitted: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    server_deleted: bool,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "text::option"
    )]
    resolution: Option<Resolution>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    superseded_conflicts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holder_id: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "text::option"
    )]
    code: Option<ItemCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
    /// Digest of the correction that an admin made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correction: Option<u64>,
}

impl From<ItemResult> for StoredResult {
    /// Omits the payload, see [`without_payload`](tidemark_core::rules::batch::without_payload).
    fn from(result: ItemResult) -> Self {
        let ItemResult {
            index,
            client_temp_id,
            status,
            server_id,
            server_version,
            merged,
            conflict_id,
            server_payload_omitted,
            server_deleted,
            resolution,
            superseded_conflicts,
            holder_id,
            code,
            error,
            retryable,
            correction,
            server_payload: _,
        } = result;
        Self {
            index,
            client_temp_id,
            status,
            server_id,
            server_version,
            merged,
            conflict_id,
            server_payload_omitted,
            server_deleted,
            resolution,
            superseded_conflicts,
            holder_id,
            code,
            error,
            retryable,
            correction,
        }
    }
}

impl From<StoredResult> for ItemResult {
    fn from(stored: StoredResult) -> Self {
        let StoredResult {
            index,
            client_temp_id,
            status,
            server_id,
            server_version,
            merged,
            conflict_id,
            server_payload_omitted,
            server_deleted,
            resolution,
            superseded_conflicts,
            holder_id,
            code,
            error,
            retryable,
            correction,
        } = stored;
        Self {
            index,
            client_temp_id,
            status,
            server_id,
            server_version,
            merged,
            conflict_id,
            server_payload_omitted,
            server_deleted,
            resolution,
            superseded_conflicts,
            holder_id,
            code,
            error,
            retryable,
            correction,
            server_payload: None,
        }
    }
}
