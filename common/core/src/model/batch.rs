//! Batches in lists (§7): which batches a list contains, and what it states about each.

use chrono::{DateTime, Utc};

use crate::model::{conflict::ListOrder, ids::BatchId, keyword::keywords};

/// The outcome of the batches in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedOutcome {
    /// At least one item has an error as its result.
    Error,
    /// At least one item has a conflict as its result.
    Conflict,
    /// The batch has no results: the push ended before it stored them.
    Unanswered,
}

keywords!(
    ListedOutcome, "outcome",
    Error => "error",
    Conflict => "conflict",
    Unanswered => "unanswered",
);

/// The result of a bulk request for one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchReplayStatus {
    /// The batch was or, in a dry run, would be replayed.
    Replayed,
    /// The batch could not be replayed.
    Rejected,
    /// The request ended before the batch was processed.
    Deferred,
}

keywords!(
    BatchReplayStatus, "status",
    Replayed => "replayed",
    Rejected => "rejected",
    Deferred => "deferred",
);

/// The batches of a tenant that a list contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchFilter {
    /// The outcome of the batches.
    pub outcome: ListedOutcome,
    /// The order of the batches.
    pub order: ListOrder,
    /// The user who pushed the batches; `None` for all users.
    pub user: Option<String>,
    /// The device of `user` that pushed the batches; `None` for all devices.
    pub device_id: Option<String>,
    /// The earliest time of the batches.
    pub from: Option<DateTime<Utc>>,
    /// The time before which the batches were processed or, without results, received.
    pub until: Option<DateTime<Utc>>,
}

/// A batch in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBatch {
    /// The server's id of the batch.
    pub id: BatchId,
    /// For a batch without results, the time at which its items were stored.
    pub received_at: Option<DateTime<Utc>>,
    /// The time at which the batch was processed or last replayed; `None` without results.
    pub processed_at: Option<DateTime<Utc>>,
    /// The number of items in each outcome.
    pub failures: Failures,
}

/// The number of items of a batch that were not applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    /// The number of items with an error.
    pub errors: usize,
    /// The number of items with a conflict.
    pub conflicts: usize,
}
