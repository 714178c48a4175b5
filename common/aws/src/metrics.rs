//! What the functions measure, as CloudWatch's embedded metric format (EMF): a JSON line on
//! standard output from which CloudWatch makes metrics. No call is made, so measuring costs no
//! round trip and cannot fail.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use tidemark_core::protocol::push::{ItemCode, ItemResult, Status};

/// Under which name CloudWatch shows the metrics.
pub const NAMESPACE: &str = "Tidemark";
/// The one dimension, so that two deployments in one account do not mix. A second one would
/// multiply the bill: CloudWatch charges for each combination.
const DIMENSION: &str = "Stack";

/// A metric; `docs/operations.md` says what is normal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Pushes that were answered, repeated ones too.
    Pushes,
    /// Items of these pushes.
    PushedItems,
    /// Items that were answered `ok`.
    ItemsOk,
    /// Items that were answered `conflict`.
    ItemsConflict,
    /// Items that were answered `error`, retryable or not.
    ItemsError,
    /// Of these, the retryable ones.
    ItemsRetryable,
    /// Conflicts that wait for a decision from now on. One that a policy decides at once does not.
    ConflictsOpened,
    /// Conflicts that somebody decided.
    ConflictsResolved,
    /// Pulls that were answered.
    Pulls,
    /// Changes they delivered, rows of snapshots included.
    PulledChanges,
    /// Channels whose snapshot a device began, because it did not know the channel.
    Snapshots,
    /// Channels that a device was told to start over.
    Resets,
    /// Changes of resources that were written, by pushes and by decisions: as many come into the
    /// log.
    AcceptedChanges,
    /// Age of the oldest change of the log on a page, when it was handed out; the time the device
    /// was away is part of it.
    PullLag,
    /// From a change's write until the head of its log passed it; of a stream batch the longest.
    LogHeadAge,
    /// Changes that came into the log.
    SequencedChanges,
    /// Stream records that do not read and were set aside.
    SetAsideRecords,
    /// Notifications that were published.
    Notifications,
    /// First invocations of a process.
    ColdStarts,
    /// Requests that were answered with a 4xx, other than 429.
    Rejections,
    /// Invocations that could not do their work: answered 503, items answered `unavailable`, or
    /// stream records given back.
    Outages,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 21] = [
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
        Self::SetAsideRecords,
        Self::Notifications,
        Self::ColdStarts,
        Self::Rejections,
        Self::Outages,
    ];

    /// The name, as CloudWatch shows it.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// The unit, as CloudWatch calls it.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::PullLag | Self::LogHeadAge => "Milliseconds",
            _ => "Count",
        }
    }
}

/// What one invocation measures. Clones measure together.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Mutex<BTreeMap<Metric, u64>>>);

impl Meter {
    /// Counts so many more. Of nothing nothing is told: a metric that there never was costs nothing
    /// either.
    pub fn count(&self, metric: Metric, more: usize) {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        if more > 0 {
            self.change(metric, |value| value.saturating_add(more));
        }
    }

    /// Notes how long something took, or how old it is; the longest counts. A clock that went back
    /// makes it 0.
    pub fn note_age(&self, metric: Metric, age: TimeDelta) {
        let milliseconds = u64::try_from(age.num_milliseconds()).unwrap_or_default();
        self.change(metric, |value| value.max(milliseconds));
    }

    /// What was measured of `metric`; `None` for nothing.
    pub fn value(&self, metric: Metric) -> Option<u64> {
        self.values().get(&metric).copied()
    }

    /// Everything that was measured.
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

    /// Counts a push that was answered with `results`.
    pub fn count_push(&self, results: &[ItemResult]) {
        let with = |status| {
            results
                .iter()
                .filter(|result| result.status == status)
                .count()
        };
        self.count(Metric::Pushes, 1);
        self.count(Metric::PushedItems, results.len());
        self.count(Metric::ItemsOk, with(Status::Ok));
        self.count(Metric::ItemsConflict, with(Status::Conflict));
        self.count(Metric::ItemsError, with(Status::Error));
        self.count(
            Metric::ItemsRetryable,
            results
                .iter()
                .filter(|result| result.is_retryable())
                .count(),
        );
        // The push is answered all the same, but somebody must look: a right may be missing.
        if results
            .iter()
            .any(|result| result.code == Some(ItemCode::Unavailable))
        {
            self.count(Metric::Outages, 1);
        }
    }
}

/// The line that tells CloudWatch these values, without its end. `properties` are for whoever
/// searches the logs: no metric is made of them, whatever they hold.
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
