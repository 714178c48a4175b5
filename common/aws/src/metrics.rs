//! The metrics of the functions in CloudWatch's embedded metric format (EMF): CloudWatch extracts
//! them from a JSON line on standard output. No call is made, so metrics cost no round trip and
//! cannot fail.

mod emf;
mod metric;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::TimeDelta;
use tidemark_core::{
    model::result::{ItemResult, Status},
    wire::problem::ProblemCode,
};

use crate::error::Error;

pub use emf::line;
pub use metric::Metric;

/// The CloudWatch namespace of the metrics.
pub const NAMESPACE: &str = "Tidemark";
/// The only dimension, which separates two deployments in one account. A second one would multiply
/// the cost, because CloudWatch charges for each combination of values.
const DIMENSION: &str = "Stack";

/// The metrics of one invocation. Clones share their values.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Mutex<BTreeMap<Metric, u64>>>);

impl Meter {
    /// Increments a counter by `more`. Zero is not emitted: CloudWatch bills a metric from its
    /// first data point.
    pub fn count(&self, metric: Metric, more: usize) {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        if more > 0 {
            self.change(metric, |value| value.saturating_add(more));
        }
    }

    /// Records a duration or an age. The metric is the maximum of the recorded values. A negative
    /// duration, after the clock was set back, counts as 0.
    pub fn note_age(&self, metric: Metric, age: TimeDelta) {
        let milliseconds = u64::try_from(age.num_milliseconds()).unwrap_or_default();
        self.change(metric, |value| value.max(milliseconds));
    }

    /// Counts the failure of an invocation, or of a part of it, by its cause. The caller's errors
    /// are not failures.
    pub fn count_failure(&self, failure: &Error) {
        match failure {
            Error::Corrupt { .. } => self.count(Metric::CorruptItems, 1),
            Error::Rejected(problem) if problem.code != ProblemCode::Unavailable => {}
            Error::Unavailable { .. } | Error::Rejected(_) => self.count_outage(),
        }
    }

    /// Counts that a dependency was unavailable, at most once per invocation.
    pub fn count_outage(&self) {
        self.change(Metric::Outages, |_| 1);
    }

    /// Returns the value of `metric`, or `None` if it was not recorded.
    pub fn value(&self, metric: Metric) -> Option<u64> {
        self.values().get(&metric).copied()
    }

    /// Returns the values of all recorded metrics.
    pub fn values(&self) -> BTreeMap<Metric, u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn change(&self, metric: Metric, change: impl FnOnce(u64) -> u64) {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let value = values.entry(metric).or_default();
        *value = change(*value);
    }

    /// Counts a push with its `results`.
    pub fn count_push(&self, results: &[ItemResult]) {
        let with_status = |status| {
            results
                .iter()
                .filter(|result| result.status == status)
                .count()
        };

        self.count(Metric::Pushes, 1);
        self.count(Metric::PushedItems, results.len());
        self.count(Metric::ItemsOk, with_status(Status::Ok));
        self.count(Metric::ItemsConflict, with_status(Status::Conflict));
        self.count(Metric::ItemsError, with_status(Status::Error));
        self.count(
            Metric::ItemsRetryable,
            results
                .iter()
                .filter(|result| result.is_retryable())
                .count(),
        );
    }
}
