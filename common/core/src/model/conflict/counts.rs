//! The number of open conflicts (§5.1).

use chrono::{DateTime, Utc};

use crate::model::result::ItemCode;

/// An open conflict, reduced to what is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedConflict {
    /// The type of the resource.
    pub resource_type: String,
    /// The reason why the first edit was rejected.
    pub code: ItemCode,
    /// The time at which the first edit was rejected.
    pub detected_at: DateTime<Utc>,
}

/// The number of open conflicts of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenConflictCounts {
    /// The number of conflicts that were counted, at most
    /// [`CONFLICTS_COUNTED_MAX`](crate::model::limits::CONFLICTS_COUNTED_MAX).
    pub count: usize,
    /// Whether there are more conflicts, which were not counted.
    pub has_more: bool,
    /// The time of detection of the oldest conflict; `None` without conflicts.
    pub oldest_at: Option<DateTime<Utc>>,
    /// The counted conflicts by type and code: the most frequent first, equally frequent ones by
    /// type and code.
    pub by: Vec<ConflictCount>,
}

/// The number of open conflicts with one type and code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictCount {
    /// The type of the resources.
    pub resource_type: String,
    /// The code of the conflicts.
    pub code: ItemCode,
    /// The number of conflicts, at least 1.
    pub count: usize,
}
