//! The results of a push (§3.4).

use serde::{Deserialize, Serialize};

use crate::{
    model::{
        json::Json,
        resolution::Resolution,
        result::{ItemCode, ItemResult, Status},
    },
    wire::text,
};

/// The result of one item.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ItemResult))]
pub struct ItemResultBody {
    /// The index of the item in the batch, starting at 0.
    pub index: usize,
    /// The `client_temp_id` of the item, as sent.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub client_temp_id: Option<String>,
    /// Whether the item was applied, conflicts or failed.
    #[serde(with = "text")]
    pub status: Status,
    /// The id of the resource, if it is known.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub server_id: Option<String>,
    /// The version that the edit created; for a conflict, the version that it conflicts with.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub server_version: Option<u64>,
    /// Whether the edit was merged with the changes of others (§5, `field_merge`). `server_payload`
    /// is the stored result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merged: bool,
    /// The id of the conflict that contains the edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict_id: Option<String>,
    /// The server's current payload, if the device may not have it: for a conflict, and for an edit
    /// with an older base that changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub server_payload: Option<Json>,
    /// Whether `server_payload` is omitted, because the response would be too large (§3.12), or
    /// because this is a repeated response and the resource has changed or was deleted since
    /// (§3.6). The device must pull before it uses `server_version` as a base.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub server_payload_omitted: bool,
    /// For a conflict, whether the server's resource is deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub server_deleted: bool,
    /// For a conflict that is already resolved, by a policy or before the item was sent again, how
    /// it was resolved.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "text::option"
    )]
    pub resolution: Option<Resolution>,
    /// For an applied create, the ids of this device's open conflicts about earlier creates of the
    /// resource, at most 10. They are resolved, because this create supersedes them (§3.9).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub superseded_conflicts: Vec<String>,
    /// For a `unique_violation`, the id of the resource that holds the value, if the caller may
    /// read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_id: Option<String>,
    /// The stable code of a conflict or error, for programs.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "text::option"
    )]
    pub code: Option<ItemCode>,
    /// The description of a conflict or error, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// For an error, whether the item may succeed when it is sent again unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// Whether an admin corrected the item (§7): what was applied is not the payload that the device
    /// sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub corrected: bool,
}

impl ItemResultBody {
    /// Returns whether the item is processed again when its batch is sent again (§3.6).
    pub fn is_retryable(&self) -> bool {
        self.retryable == Some(true)
    }
}

impl From<ItemResult> for ItemResultBody {
    fn from(result: ItemResult) -> Self {
        let ItemResult {
            index,
            client_temp_id,
            status,
            server_id,
            server_version,
            merged,
            conflict_id,
            server_payload,
            server_payload_omitted,
            server_deleted,
            resolution,
            superseded_conflicts,
            holder_id,
            code,
            error,
            retryable,
            correction,
        } = result;
        Self {
            index,
            client_temp_id,
            status,
            server_id,
            server_version,
            merged,
            conflict_id,
            server_payload,
            server_payload_omitted,
            server_deleted,
            resolution,
            superseded_conflicts,
            holder_id,
            code,
            error,
            retryable,
            corrected: correction.is_some(),
        }
    }
}
