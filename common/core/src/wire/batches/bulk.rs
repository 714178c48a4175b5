//! The request to replay several batches (§7), and its response.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    model::{
        batch::BatchReplayStatus,
        limits::{BATCH_ID_BYTES_MAX, REPLAYED_BATCHES_MAX},
    },
    wire::{
        problem::{Problem, RejectedBody},
        push::ItemResultBody,
        serialize_timestamp_option, text,
    },
};

use super::{ReplayRequest, ReplayResponse};

/// A request to replay several batches, one after the other.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayBatchesRequest {
    /// The server's ids of the batches, 1 to 10, each another one. They are replayed in this order.
    pub batch_ids: Vec<String>,
    /// Returns what would happen without writing anything. Default: false.
    #[serde(default)]
    pub dry_run: Option<bool>,
    /// Runs each batch with the role `admin` if its user had the role when the batch was pushed, as
    /// in a replay of one batch.
    #[serde(default)]
    pub with_stored_roles: Option<bool>,
}

/// The response to a replay of several batches.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayBatchesResponse {
    /// The id of the request, which the audit log entries of its replays contain.
    pub bulk_id: String,
    /// Whether the request was a dry run, which writes nothing.
    pub dry_run: bool,
    /// One result for each batch, in the order of the request.
    pub results: Vec<BatchReplayResult>,
}

/// The result of a bulk request for one batch.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchReplayResult {
    /// The server's id of the batch, as in the request.
    pub batch_id: String,
    /// Whether the batch was replayed.
    #[serde(with = "text")]
    pub status: BatchReplayStatus,
    /// The time at which the replay was processed.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_timestamp_option"
    )]
    pub processed_at: Option<DateTime<Utc>>,
    /// One result for each item, in their order, without payloads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<ItemResultBody>>,
    /// The reason why the batch could not be replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<RejectedBody>,
}

impl ReplayBatchesRequest {
    /// Returns the ids of the batches and the options of each replay.
    ///
    /// # Errors
    /// Returns a [`Problem`] at `batch_ids` if their number is not allowed, at an id that is too
    /// long, and at the second of two equal ids.
    pub fn replays(self) -> Result<(Vec<String>, ReplayRequest), Problem> {
        let Self {
            batch_ids,
            dry_run,
            with_stored_roles,
        } = self;

        if !(1..=REPLAYED_BATCHES_MAX).contains(&batch_ids.len()) {
            let detail = format!("must contain 1 to {REPLAYED_BATCHES_MAX} ids");
            return Err(Problem::malformed("batch_ids", detail));
        }
        let too_long = batch_ids
            .iter()
            .position(|id| id.len() > BATCH_ID_BYTES_MAX);
        if let Some(index) = too_long {
            let detail = format!("must not be longer than {BATCH_ID_BYTES_MAX} bytes");
            return Err(Problem::malformed(format!("batch_ids[{index}]"), detail));
        }
        let mut ids = HashSet::new();
        if let Some(index) = batch_ids.iter().position(|id| !ids.insert(id)) {
            let path = format!("batch_ids[{index}]");
            return Err(Problem::malformed(path, "must not be in the list twice"));
        }

        let options = ReplayRequest {
            dry_run,
            with_stored_roles,
        };
        Ok((batch_ids, options))
    }
}

impl BatchReplayResult {
    /// Returns the result of a batch that was replayed. The results of its items have no payloads,
    /// so that the size of a response is bounded.
    pub fn replayed(response: ReplayResponse) -> Self {
        let without_payload = |mut result: ItemResultBody| {
            result.server_payload_omitted |= result.server_payload.take().is_some();
            result
        };
        let items = response.results.into_iter().map(without_payload);
        Self {
            processed_at: Some(response.processed_at),
            items: Some(items.collect()),
            ..Self::of(response.batch_id, BatchReplayStatus::Replayed)
        }
    }

    /// Returns the result of a batch that could not be replayed.
    pub fn rejected(batch_id: String, problem: Problem) -> Self {
        Self {
            problem: Some(problem.into()),
            ..Self::of(batch_id, BatchReplayStatus::Rejected)
        }
    }

    /// Returns the result of a batch that was not processed.
    pub const fn deferred(batch_id: String) -> Self {
        Self::of(batch_id, BatchReplayStatus::Deferred)
    }

    const fn of(batch_id: String, status: BatchReplayStatus) -> Self {
        Self {
            batch_id,
            status,
            processed_at: None,
            items: None,
            problem: None,
        }
    }
}
