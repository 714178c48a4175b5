//! The response with the number of open conflicts (§5.1).

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    model::{
        conflict::{ConflictCount, OpenConflictCounts},
        result::ItemCode,
    },
    wire::{serialize_timestamp, serialize_timestamp_option, text},
};

/// The number of the tenant's open conflicts.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConflictSummaryResponse {
    /// The time of the response.
    #[serde(serialize_with = "serialize_timestamp")]
    pub as_of: DateTime<Utc>,
    /// The number of open conflicts.
    pub open: OpenConflictsEntry,
}

/// The number of open conflicts.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpenConflictsEntry {
    /// The number of open conflicts, counted up to 1,000.
    pub count: usize,
    /// Whether there are more open conflicts, which were not counted.
    pub has_more: bool,
    /// The time at which the oldest open conflict was detected; `null` if `count` is 0.
    #[serde(serialize_with = "serialize_timestamp_option")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub oldest_at: Option<DateTime<Utc>>,
    /// The counted conflicts by type and code, the most frequent first.
    pub by: Vec<ConflictCountEntry>,
}

/// The number of open conflicts with one type and code.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConflictCountEntry {
    /// The type of the resources.
    pub resource_type: String,
    /// The reason why the first edit of each conflict was rejected.
    #[serde(with = "text")]
    pub code: ItemCode,
    /// The number of conflicts.
    pub count: usize,
}

impl ConflictSummaryResponse {
    /// Returns the response without the values that change with the time of the request.
    #[must_use]
    pub fn without_ages(self) -> Self {
        Self {
            as_of: DateTime::UNIX_EPOCH,
            ..self
        }
    }
}

impl From<OpenConflictCounts> for OpenConflictsEntry {
    fn from(counts: OpenConflictCounts) -> Self {
        let entry = |group: ConflictCount| ConflictCountEntry {
            resource_type: group.resource_type,
            code: group.code,
            count: group.count,
        };
        Self {
            count: counts.count,
            has_more: counts.has_more,
            oldest_at: counts.oldest_at,
            by: counts.by.into_iter().map(entry).collect(),
        }
    }
}
