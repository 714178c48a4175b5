//! The metrics of the functions in CloudWatch's embedded metric format (EMF): CloudWatch extracts
//! them from a JSON line on standard output. No call is made, so metrics cost no round trip and
//! cannot fail.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use tidemark_core::{
    model::result::{ItemResult, Status},
    wire::problem::ProblemCode,
};

use crate::error::Error;

/// The CloudWatch namespace of the metrics.
pub const NAMESPACE: &str = "Tidemark";
/// The only dimension, which separates two deployments in one account. A second one would multiply
/// the cost, because CloudWatch charges for each combination of values.
const DIMENSION: &str = "Stack";

/// A metric. Its normal values are documented in `docs/operations.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Pushes that got a result, including repeated ones.
    Pushes,
    /// Items of the pushes that got a result.
    PushedItems,
    /// Items with the status `ok`.
    ItemsOk,
    /// Items with the status `conflict`.
    ItemsConflict,
    /// Items with the status `error`, retryable or not.
    ItemsError,
    /// Items with a retryable `error`.
    ItemsRetryable,
    /// Conflicts that were opened and await a resolution. Conflicts that a policy resolves
    /// immediately are not counted.
    ConflictsOpened,
    /// Conflicts that were resolved by an admin's decision.
    ConflictsResolved,
    /// Pulls that returned a page.
    Pulls,
    /// Changes that pulls delivered, including the rows of snapshots.
    PulledChanges,
    /// Channel snapshots that a device began because it had not pulled the channel before.
    Snapshots,
    /// Channels for which a pull requested a full resync.
    Resets,
    /// Changes of resources that pushes and resolutions wrote. The same number enters the change
    /// log.
    AcceptedChanges,
    /// Milliseconds from the write of the oldest log entry on a page until its delivery. Includes
    /// the time for which the device was offline.
    PullLag,
    /// Milliseconds from the write of a change until the head of its log passes it. The maximum of
    /// a stream batch.
    LogHeadAge,
    /// Changes that were appended to a change log.
    SequencedChanges,
    /// Stream records that cannot be decoded and were dead-lettered.
    DeadLetteredRecords,
    /// Notifications that were published to the topic.
    Notifications,
    /// First invocations of a process.
    ColdStarts,
    /// Requests with a 4xx response other than 429.
    Rejections,
    /// Invocations that failed because a dependency was unavailable: a 503 response, items with the
    /// code `unavailable`, or stream records reported in `batchItemFailures`. Excludes failures
    /// whose only cause is a corrupt item.
    Outages,
    /// Stored items that cannot be decoded, each time that one was skipped, made the items of a
    /// push `unavailable`, or made an invocation fail. Excludes dead-lettered stream records.
    CorruptItems,
}

impl Metric {
    /// All metrics in the order of their declaration.
    pub const ALL: [Self; 22] = [
        Self::Pushes,
        Self::PushedItems,
        Self::ItemsOk,
        Self::ItemsConflict,
        Self::ItemsError,
        Self::ItemsRetryable,
        Self::ConflictsOpened,
        Self::ConflictsResolved,
        Self::Pulls,
        Self::PulledChanges,
        Self::Snapshots,
        Self::Resets,
        Self::AcceptedChanges,
        Self::PullLag,
        Self::LogHeadAge,
        Self::SequencedChanges,
        Self::DeadLetteredRecords,
        Self::Notifications,
        Self::ColdStarts,
        Self::Rejections,
        Self::Outages,
        Self::CorruptItems,
    ];

    /// Returns the name of the metric in CloudWatch.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// Returns the unit of the metric in CloudWatch's terms.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::PullLag | Self::LogHeadAge => "Milliseconds",
            _ => "Count",
        }
    }
}

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

/// Returns the EMF line with these values, without a newline. `properties` are searchable in the
/// logs; CloudWatch extracts no metrics from them.
pub fn line(
    values: &BTreeMap<Metric, u64>,
    stack: &str,
    at: DateTime<Utc>,
    properties: &[(&str, &str)],
) -> String {
    let metrics: Vec<_> = values
        .keys()
        .map(|metric| json!({"Name": metric.name(), "Unit": metric.unit()}))
        .collect();
    let directive =
        json!({"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics});

    let mut line = Map::new();
    line.insert(
        "_aws".into(),
        json!({"Timestamp": at.timestamp_millis(), "CloudWatchMetrics": [directive]}),
    );

    line.insert(DIMENSION.into(), json!(stack));
    line.extend(
        properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value))),
    );
    line.extend(
        values
            .iter()
            .map(|(metric, value)| (metric.name(), json!(value))),
    );

    Value::Object(line).to_string()
}
