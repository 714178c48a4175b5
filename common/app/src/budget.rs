//! The bounds of a bulk request, which processes several items one after the other (§5.2, §7): the
//! items that it does not reach are deferred, and the caller sends them again.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tidemark_aws::{Context, Deadline, Error};
use tidemark_core::{
    model::limits::{BULK_BYTES_MAX, BULK_ITEM_SECONDS_MAX, BULK_SECONDS_MAX},
    wire::problem::Problem,
};

/// What remains of the bounds of a bulk request, and how it has gone so far.
pub(crate) struct Budget {
    /// The time from which no item is begun.
    ends_at: DateTime<Utc>,
    /// The deadline of each item.
    pub(crate) deadline: Deadline,
    /// The payload bytes that were loaded.
    pub(crate) loaded_bytes: usize,
    /// Whether an item was processed.
    has_result: bool,
    /// Whether a dependency is unavailable.
    is_out: bool,
}

/// The outcome of one item of a bulk request.
pub(crate) enum BulkOutcome<T> {
    /// The item was processed.
    Done(T),
    /// The item cannot be processed for this reason.
    Rejected(Problem),
    /// The item was not processed, or it is not known whether it was.
    Deferred,
}

impl Budget {
    /// Returns the budget of a request that begins now.
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        Self {
            ends_at: now + TimeDelta::seconds(BULK_SECONDS_MAX),
            deadline: Deadline::after(Duration::from_secs(BULK_ITEM_SECONDS_MAX)),
            loaded_bytes: 0,
            has_result: false,
            is_out: false,
        }
    }

    /// Returns whether no further item is processed.
    pub(crate) fn is_used(&self, now: DateTime<Utc>) -> bool {
        self.is_out || self.loaded_bytes >= BULK_BYTES_MAX || now >= self.ends_at
    }

    /// Returns the outcome of an item. If a dependency is unavailable or the deadline has passed,
    /// the item and all later ones are deferred.
    ///
    /// # Errors
    /// Returns the `Error::Unavailable` of the item if no item was processed before.
    pub(crate) fn outcome<T>(
        &mut self,
        context: &Context,
        result: Result<T, Error>,
    ) -> Result<BulkOutcome<T>, Error> {
        let failure = match result {
            Ok(done) => {
                self.has_result = true;
                return Ok(BulkOutcome::Done(done));
            }
            Err(failure @ Error::Unavailable { .. }) if !self.has_result => return Err(failure),
            Err(failure) => failure,
        };

        context.meter.count_failure(&failure);
        self.is_out |= matches!(failure, Error::Unavailable { .. });
        // Logs an outage and a corrupt row.
        let problem = failure.problem();
        Ok(match self.is_out {
            true => BulkOutcome::Deferred,
            false => BulkOutcome::Rejected(problem),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_ends_by_time_bytes_or_outage() {
        let now = DateTime::UNIX_EPOCH;
        let budget = || Budget::new(now);
        let last = now + TimeDelta::seconds(BULK_SECONDS_MAX) - TimeDelta::milliseconds(1);
        assert!(!budget().is_used(now) && !budget().is_used(last));
        assert!(budget().is_used(now + TimeDelta::seconds(BULK_SECONDS_MAX)));

        let loaded = |loaded_bytes| Budget {
            loaded_bytes,
            ..budget()
        };
        assert!(!loaded(BULK_BYTES_MAX - 1).is_used(now));
        assert!(loaded(BULK_BYTES_MAX).is_used(now));
        let out = Budget {
            is_out: true,
            ..budget()
        };
        assert!(out.is_used(now));
    }
}
