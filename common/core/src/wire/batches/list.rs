//! A page of a list of batches.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{model::batch::ListedBatch, wire::serialize_timestamp_option};

/// A page of a list of batches.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchList {
    /// The batches, in the requested order. A page may have fewer than `limit`, or none, and still
    /// not be the last one.
    pub batches: Vec<ListedBatchBody>,
    /// The `cursor` of the next page; `null` on the last page.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub next_cursor: Option<String>,
}

/// A batch in a list, without its items and results.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ListedBatch))]
pub struct ListedBatchBody {
    /// The server's id of the batch.
    pub batch_id: String,
    /// The user who pushed the batch.
    pub user: String,
    /// The device that pushed the batch.
    pub device_id: String,
    /// For a batch without results, the time at which its items were stored.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_timestamp_option"
    )]
    pub received_at: Option<DateTime<Utc>>,
    /// The time at which the batch was processed or last replayed; `null` without results.
    #[serde(serialize_with = "serialize_timestamp_option")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub processed_at: Option<DateTime<Utc>>,
    /// The number of items with an error.
    pub errors: usize,
    /// The number of items with a conflict, resolved or not.
    pub conflicts: usize,
}

impl From<ListedBatch> for ListedBatchBody {
    fn from(batch: ListedBatch) -> Self {
        let ListedBatch {
            id,
            received_at,
            processed_at,
            failures,
        } = batch;
        Self {
            batch_id: id.to_string(),
            user: id.user,
            device_id: id.device_id,
            received_at,
            processed_at,
            errors: failures.errors,
            conflicts: failures.conflicts,
        }
    }
}
