//! What a push writes to conflicts (§3.5, §3.9).

use chrono::{DateTime, Utc};

use crate::model::{
    resource::{Resource, ResourceKey},
    result::ItemCode,
};

use super::{ConflictEdit, ConflictOutcome, ConflictSlot, Neighbor};

/// Edits to store in a conflict, in order.
#[derive(Debug, Clone)]
pub struct ConflictWrite {
    /// The id of the conflict.
    pub id: String,
    /// For edits that join: the row in which the conflict is stored.
    pub slot: ConflictSlot,
    /// The number of edits in the conflict when it was loaded, 0 if this write opens it: the
    /// condition of the write.
    pub expected_edits: usize,
    /// For a conflict that this write opens: the device's other conflicts about the resource that
    /// were loaded, and the ones that the same push opens earlier, oldest first. If the last of
    /// them is not the last stored one, a concurrent request opened another conflict.
    pub neighbors: Vec<Neighbor>,
    /// The edits to store; never empty.
    pub edits: Vec<ConflictEdit>,
    /// The resource that the conflict concerns.
    pub resource: ResourceKey,
    /// The server's state when the last of the edits was rejected; for a deleted resource with its
    /// last payload; `None` if there is no resource.
    pub server: Option<Resource>,
    /// The reason why the first of the edits was not applied.
    pub code: ItemCode,
    /// The time at which the edits were rejected.
    pub detected_at: DateTime<Utc>,
    /// For a conflict that a policy resolved immediately: its outcome.
    pub outcome: Option<ConflictOutcome>,
}

/// A conflict that a later create of the same device supersedes (§3.9): it is resolved in the
/// transaction of that create.
#[derive(Debug, Clone)]
pub struct SupersededConflict {
    /// The id of the conflict.
    pub id: String,
    /// The row in which it is stored.
    pub slot: ConflictSlot,
    /// The number of edits that are part of it: a condition of the write, so that no edit joins
    /// unnoticed.
    pub expected_edits: usize,
    /// The outcome that the conflict gets.
    pub outcome: ConflictOutcome,
}
