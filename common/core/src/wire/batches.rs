//! Batches (§7): the stored items and results of a push, lists of them, their replay, and the
//! correction of an item.

mod bulk;
mod correct;
mod list;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    model::{audit::RunsAs, json::Json},
    wire::{push::ItemResultBody, serialize_timestamp, serialize_timestamp_option},
};

pub use bulk::{BatchReplayResult, ReplayBatchesRequest, ReplayBatchesResponse};
pub use correct::CorrectRequest;
pub use list::{BatchList, ListedBatchBody};

/// A stored batch with its items and results.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchResponse {
    /// The server's id of the batch.
    pub batch_id: String,
    /// The user who pushed the batch.
    pub user: String,
    /// The device that pushed the batch.
    pub device_id: String,
    /// The time at which the items were first stored.
    #[serde(serialize_with = "serialize_timestamp")]
    pub received_at: DateTime<Utc>,
    /// The time at which the batch was processed or last replayed; `null` if the push ended before
    /// it had a response.
    #[serde(serialize_with = "serialize_timestamp_option")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub processed_at: Option<DateTime<Utc>>,
    /// The items exactly as received, in their order. An item that is named in `items_omitted` is
    /// `null`.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Value>))]
    pub items: Vec<Option<Json>>,
    /// The index at which the next page continues, for the query parameter `from`. Absent on the
    /// last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_item: Option<usize>,
    /// The indexes of items that are too large for any response.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items_omitted: Vec<usize>,
    /// The results of all items, without payloads; `null` if the batch was not processed.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub results: Option<Vec<ItemResultBody>>,
    /// Whether the device has acknowledged, in every channel it pulls, a position that it reached
    /// after `processed_at`.
    pub delivered: bool,
}

/// The options of a batch replay.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayRequest {
    /// Returns what would happen without writing anything. Default: false.
    #[serde(default)]
    pub dry_run: Option<bool>,
    /// Runs the batch with the role `admin` if its user had the role when the batch was pushed. By
    /// default the role is removed, because the user may have lost it since.
    #[serde(default)]
    pub with_stored_roles: Option<bool>,
}

/// The response to a replay, or to the correction of an item.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayResponse {
    /// The server's id of the batch.
    pub batch_id: String,
    /// Whether the replay was a dry run, which writes nothing.
    pub dry_run: bool,
    /// The claims with which the replay runs.
    pub runs_as: RunsAsBody,
    /// The time at which the replay was processed.
    #[serde(serialize_with = "serialize_timestamp")]
    pub processed_at: DateTime<Utc>,
    /// One result for each item, in their order. Items that were `ok` before keep their original
    /// result. For a correction, only the result of the corrected item.
    pub results: Vec<ItemResultBody>,
}

/// The claims with which a replay runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = RunsAs))]
pub struct RunsAsBody {
    /// The user who pushed the batch.
    pub user: String,
    /// The roles stored with the batch, without `admin` unless the request asked for it.
    pub roles: Vec<String>,
    /// The groups stored with the batch.
    pub groups: Vec<String>,
}

impl From<RunsAs> for RunsAsBody {
    fn from(
        RunsAs {
            user,
            roles,
            groups,
        }: RunsAs,
    ) -> Self {
        Self {
            user,
            roles,
            groups,
        }
    }
}
