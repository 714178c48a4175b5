//! Repair: appends the changes of a channel's resources that its log lacks because the stream
//! expired before they were sequenced. The rows are authoritative: a row whose version is newer
//! than the last one in the log is appended like a late record, after the head with the head's
//! sequence number. The number that the stream assigned is unknown and not needed.
//!
//! A change that was made before the oldest entry of the log and is not in it is not missing: it
//! has expired, and a device at so old a position is reset to a snapshot.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};

use crate::{
    model::{
        edit::Action,
        limits::CLOCK_SKEW_SECONDS_MAX,
        position::Position,
        repair::ResourceVersion,
        resolution::ConflictResolution,
        resource::{Resource, ResourceKey},
    },
    rules::sequence::{
        plan::{Head, LogStep, log_end},
        segment::{Entry, Segment, cut},
    },
};

#[derive(Debug)]
struct ChannelComparison {
    current: ResourceVersion,
    held: Option<u64>,
}

/// Resources of one channel, compared with the part of its log that was read so far.
#[derive(Debug)]
pub struct Comparison {
    /// The comparisons, by sort key.
    resources: HashMap<String, ChannelComparison>,
}

impl Comparison {
    /// Returns a comparison of these resources with an empty log.
    pub fn new(versions: impl IntoIterator<Item = ResourceVersion>) -> Self {
        let resources = versions.into_iter().map(|current| {
            (
                current.key.sort_key(),
                ChannelComparison {
                    current,
                    held: None,
                },
            )
        });

        Self {
            resources: resources.collect(),
        }
    }

    /// Adds a segment from anywhere in the log: the newest version counts, because versions of a
    /// resource never decrease in the log.
    ///
    /// See the example of [`missing`](Self::missing).
    pub fn add_segment(&mut self, segment: &Segment) {
        for entry in &segment.entries {
            if let Some(compared) = self
                .resources
                .get_mut(&crate::model::key::join([&entry.resource_type, &entry.id]))
            {
                compared.held = compared.held.max(Some(entry.server_version));
            }
        }
    }

    /// Returns whether segments that were sequenced at `sequenced_at` or earlier may contain a
    /// resource that no segment contained so far. A version enters the log after it was made.
    pub fn may_find_more(&self, sequenced_at: DateTime<Utc>) -> bool {
        let unseen = self
            .resources
            .values()
            .filter(|compared| compared.held.is_none());
        let oldest = unseen.map(|compared| compared.current.changed_at).min();
        oldest.is_some_and(|oldest| {
            sequenced_at >= oldest - Duration::seconds(CLOCK_SKEW_SECONDS_MAX)
        })
    }

    /// Returns the resources whose version the log does not contain, in the order in which they
    /// changed.
    ///
    /// # Example
    ///
    /// ```
    /// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
    /// use log::{at, entry, meter};
    /// use tidemark_core::{
    ///     model::repair::ResourceVersion,
    ///     rules::sequence::{repair::Comparison, segment::cut},
    /// };
    ///
    /// let row = |id, server_version| ResourceVersion {
    ///     key: meter(id),
    ///     server_version,
    ///     changed_at: Default::default(),
    /// };
    /// // The log contains the current version of m-1 but an older version of m-2.
    /// let mut comparison = Comparison::new([row("m-1", 1), row("m-2", 2)]);
    /// let entries = vec![entry("1", "m-1", 1), entry("2", "m-2", 1)];
    /// comparison.add_segment(&cut(at("0"), entries)[0]);
    /// assert_eq!(comparison.missing(), [&row("m-2", 2)]);
    /// ```
    pub fn missing(&self) -> Vec<&ResourceVersion> {
        let missing = self
            .resources
            .values()
            .filter(|compared| compared.held < Some(compared.current.server_version));
        let mut missing: Vec<&ResourceVersion> =
            missing.map(|compared| &compared.current).collect();
        missing
            .sort_by(|one, other| (one.changed_at, &one.key).cmp(&(other.changed_at, &other.key)));
        missing
    }

    /// Returns the resources that are certainly missing if the log was read back only to what was
    /// sequenced at `read_until`.
    pub fn certainly_missing(&self, read_until: DateTime<Utc>) -> Vec<&ResourceVersion> {
        let is_certain = |current: &&ResourceVersion| {
            let is_after_read_part =
                current.changed_at - Duration::seconds(CLOCK_SKEW_SECONDS_MAX) > read_until;
            is_after_read_part || self.held(&current.key).is_some()
        };
        self.missing().into_iter().filter(is_certain).collect()
    }

    /// Returns the newest version of a resource in the segments read so far.
    fn held(&self, key: &ResourceKey) -> Option<u64> {
        self.resources.get(&key.sort_key())?.held
    }

    /// Returns the steps that append these rows to the log after `head`, up to which the comparison
    /// has read; rows that the log contains already are left out. In a channel that was never
    /// sequenced the head has no stream yet: the first record begins the first epoch.
    pub fn steps(
        &self,
        head: Option<&Head>,
        rows: impl IntoIterator<Item = (ResourceKey, Resource)>,
        now: DateTime<Utc>,
    ) -> Vec<LogStep> {
        let mut missing: Vec<_> = rows
            .into_iter()
            .filter(|(key, row)| self.held(key) < Some(row.server_version))
            .collect();
        missing.sort_by(|(key, row), (other_key, other)| {
            (row.changed_at, key).cmp(&(other.changed_at, other_key))
        });

        let start = log_end(head);
        let mut position = start;
        let entries = missing.into_iter().map(|(key, row)| {
            position.late += 1;
            let held = self.held(&key);
            Entry {
                position,
                action: action(&row, held),
                server_version: row.server_version,
                changed_at: row.changed_at,
                author: row.run.author,
                echo_to_author: row.run.echo_to_author,
                resolved_conflicts: ConflictResolution::resolved_since(held, row.resolutions),
                payload: Some(row.payload).filter(|_| !row.deleted),
                resource_type: key.resource_type,
                id: key.id,
            }
        });

        let step = |segment: Segment| {
            let next_head = Head {
                position: segment.last,
                repaired_at: Some(now),
                ..Head::successor(head, now)
            };
            LogStep { segment, next_head }
        };

        cut(start, entries.collect())
            .into_iter()
            .map(step)
            .collect()
    }
}

/// Returns the step that resets a log: it appends nothing and moves the head past every position
/// that was ever issued, including positions from a time that a restore has undone.
///
/// # Example
///
/// ```
/// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
/// use chrono::{DateTime, Duration};
/// use tidemark_core::{
///     model::token::Progress,
///     rules::{pull::start::start, sequence::repair::{reset_devices, was_reset}},
/// };
///
/// let now = DateTime::UNIX_EPOCH;
/// let step = reset_devices(Some(&log::head("5")), now);
/// assert!(step.segment.entries.is_empty() && step.next_head.position > log::at("9"));
/// assert!(was_reset(Some(&step.next_head)) && !was_reset(Some(&log::head("5"))));
///
/// // A device that was caught up gets a new snapshot.
/// let progress = Progress::log(log::at("5"), now);
/// assert!(start(Some(&progress), Some(&step.next_head), now, Duration::days(30)).is_reset);
/// ```
pub fn reset_devices(head: Option<&Head>, now: DateTime<Utc>) -> LogStep {
    let end = log_end(head);
    let last = Position {
        epoch: end.epoch + 1,
        ..Position::START
    };

    let next_head = Head {
        position: last,
        floor: Some(last),
        repaired_at: Some(now),
        ..Head::successor(head, now)
    };
    LogStep {
        segment: Segment {
            follows: end,
            last,
            entries: Vec::new(),
        },
        next_head,
    }
}

/// Returns whether no change entered the log since it was reset.
///
/// See the example of [`reset_devices`].
pub fn was_reset(head: Option<&Head>) -> bool {
    head.is_some_and(|head| head.floor == Some(head.position))
}

/// Returns the action that covers all changes since the version in the log. If the log contains
/// none, the action is a create, which devices that have the resource apply as an update.
fn action(row: &Resource, held: Option<u64>) -> Action {
    match (row.deleted, held) {
        (true, _) => Action::Delete,
        (false, None) => Action::Create,
        (false, Some(_)) => Action::Update,
    }
}
