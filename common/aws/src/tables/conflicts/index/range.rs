//! The sort keys between which a query reads a shard of the index.

use chrono::{DateTime, Duration, Utc};
use tidemark_core::model::{
    conflict::{ConflictStatus, ListOrder},
    time::timestamp,
};

use super::{IndexQuery, Shard, detection_time, start_key};
use crate::tables::Row;

/// A text that sorts before every time of detection.
const EARLIEST: &str = " ";
/// A text that sorts after every time of detection.
const LATEST: &str = "~";

/// The place of a conflict in the index, after which a list continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictCursor {
    /// The time of detection in the index. It is unique, except among legacy conflicts.
    pub detected_at: String,
    /// The sort key of the row.
    pub sk: String,
    /// The status of the shard that contains the conflict.
    pub status: ConflictStatus,
}

impl ConflictCursor {
    /// Returns whether the place is that of a legacy conflict.
    fn is_legacy(&self) -> bool {
        !self.detected_at.contains('#')
    }
}

/// The first and the last sort key of the conflicts that were detected within a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tables::conflicts) struct TimeBounds {
    from: String,
    until: String,
}

impl Default for TimeBounds {
    fn default() -> Self {
        Self::between(None, None)
    }
}

impl TimeBounds {
    /// Returns the bounds of the conflicts from a time, inclusive, until another, exclusive. Stored
    /// times have milliseconds.
    pub(in crate::tables::conflicts) fn between(
        from: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
    ) -> Self {
        Self {
            from: from.map_or_else(|| EARLIEST.to_owned(), timestamp),
            until: until.map_or_else(|| LATEST.to_owned(), before),
        }
    }
}

/// Returns a text that sorts after every conflict that was detected before `time`, and before all
/// others.
fn before(time: DateTime<Utc>) -> String {
    // `$` follows the `#` of the suffix.
    format!("{}$", timestamp(time - Duration::milliseconds(1)))
}

/// The part of a shard that a query reads.
#[derive(Debug, PartialEq)]
pub(super) struct KeyRange {
    /// The lowest sort key, inclusive.
    pub(super) from: String,
    /// The highest sort key, inclusive.
    pub(super) until: String,
    /// The key after which the query begins. Several legacy conflicts may have one sort key, so
    /// that only the whole key identifies where to continue.
    pub(super) start: Option<Row>,
    /// A sort key between the bounds that is not part of the range.
    pub(super) excluded: Option<String>,
}

impl KeyRange {
    /// Returns the part of the shard that the query reads; `None` if it is empty. The order of a
    /// list is that of the times of detection. Among legacy conflicts with the same time, the open
    /// ones come before the resolved ones.
    pub(super) fn of(shard: &Shard, query: &IndexQuery<'_>) -> Option<Self> {
        let mut range = Self {
            from: query.times.from.clone(),
            until: query.times.until.clone(),
            start: None,
            excluded: None,
        };
        if let Some(after) = query.after {
            range.begin_after(after, shard, query.order);
        }
        (range.from <= range.until).then_some(range)
    }

    fn begin_after(&mut self, after: &ConflictCursor, shard: &Shard, order: ListOrder) {
        let time = after.detected_at.clone();
        // Legacy conflicts in the shard may have the time of the cursor.
        let may_share_time = shard.is_legacy() && after.is_legacy();
        let is_same = may_share_time && shard.status == after.status;
        let is_later = may_share_time && after.status == ConflictStatus::Open && !is_same;

        if is_same && self.from <= time && time <= self.until {
            let partition = shard.legacy_partition.as_deref().unwrap_or_default();
            self.start = Some(start_key(shard, partition, after));
        }
        match order {
            ListOrder::Oldest => {
                // A space precedes the `#` of the suffix.
                let begin = if is_same || is_later {
                    time
                } else {
                    format!("{time} ")
                };
                self.from = begin.max(std::mem::take(&mut self.from));
            }
            ListOrder::Newest => {
                let end = match detection_time(&time) {
                    Some(moment) if may_share_time && !is_same && !is_later => before(moment),
                    _ => time.clone(),
                };
                self.excluded = Some(time).filter(|_| !shard.is_legacy());
                self.until = end.min(std::mem::take(&mut self.until));
            }
        }
    }
}
