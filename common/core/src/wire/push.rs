//! Push (§3): a device sends its queued edits in a batch.

mod item;
mod result;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    model::{json::Json, limits::BATCH_ITEMS_MAX},
    wire::{deserialize_name, deserialize_name_option, serialize_timestamp},
};

pub use item::{PushItem, read_item};
pub use result::ItemResultBody;

/// A batch of edits from a device.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushRequest {
    /// The id of the caller's device, 1 to 256 bytes.
    #[serde(deserialize_with = "deserialize_name")]
    pub device_id: String,
    /// The last `next_token` that the device pulled, or the last `server_sync_token` that it
    /// received.
    #[serde(default)]
    pub client_sync_token: Option<String>,
    /// The client's id of this batch, 1 to 256 bytes. A batch that is sent again with the same id
    /// and items is idempotent: it gets its first response, and only items with a retryable error
    /// are processed again (§3.6).
    #[serde(default, deserialize_with = "deserialize_name_option")]
    pub batch_id: Option<String>,
    /// The edits, 1 to 50, oldest first. Each item is validated by itself: an invalid item gets an
    /// error result at its index.
    #[serde(deserialize_with = "deserialize_items")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<PushItem>))]
    pub items: Vec<Json>,
}

fn deserialize_items<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Json>, D::Error> {
    let items = Vec::<Json>::deserialize(deserializer)?;
    match items.len() {
        1..=BATCH_ITEMS_MAX => Ok(items),
        0 => Err(serde::de::Error::custom("a batch holds at least one item")),
        count => Err(serde::de::Error::custom(format!(
            "a batch holds at most {BATCH_ITEMS_MAX} items, but this one has {count}: send the rest in another batch"
        ))),
    }
}

/// The results of a batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushResponse {
    /// The server's id of the batch.
    pub batch_id: String,
    /// The time at which the batch was processed.
    #[serde(serialize_with = "serialize_timestamp")]
    pub processed_at: DateTime<Utc>,
    /// A token from which the device can pull without missing a change (§3.13).
    pub server_sync_token: String,
    /// One result for each item, in their order.
    pub results: Vec<ItemResultBody>,
}
