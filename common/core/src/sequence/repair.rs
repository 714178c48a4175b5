//! Repair: what a channel's log misses of its resources, because the stream forgot it before it was
//! sequenced. The rows are the truth; a row whose version is newer than what the log holds of it is
//! appended, as a record that came late is: after the head, at the head's numbers. Nobody knows
//! which number the stream gave it, and nobody needs to.
//!
//! What was made before the log reaches back and is not in it is not missing: it stood there and
//! has expired, and a device that old starts over with a snapshot.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};

use super::{
    plan::{Head, LogStep, end_of},
    position::Position,
    segment::{Entry, Segment, cut},
};
use crate::{
    conflict::ConflictResolution,
    limits::{CLOCK_SKEW_SECONDS_MAX, REPAIR_AGE_SECONDS_MIN},
    protocol::Action,
    resource::{Resource, ResourceKey},
};

/// A resource as far as the log is compared with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceVersion {
    /// Which.
    pub key: ResourceKey,
    /// The version of its row.
    pub server_version: u64,
    /// When that was made.
    pub changed_at: DateTime<Utc>,
}

/// The changes that are compared: not so old that the log has let go of them, nor so young that
/// they are on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Made then or later.
    pub from: DateTime<Utc>,
    /// Made then or before.
    pub until: DateTime<Utc>,
}

impl Period {
    /// Of a log that keeps changes for `retention`: all it must hold. `since` takes the place of
    /// its beginning. Where that is before the retention, changes that have expired cannot be told
    /// from those that were missed, and count as missing: delivered again, they do no harm.
    pub fn of_log(since: Option<DateTime<Utc>>, retention: Duration, now: DateTime<Utc>) -> Self {
        let from = since.unwrap_or_else(|| now - retention);
        Self {
            from,
            until: now - Duration::seconds(REPAIR_AGE_SECONDS_MIN),
        }
    }
}

impl Period {
    /// Every change.
    pub const EVER: Self = Self {
        from: DateTime::<Utc>::MIN_UTC,
        until: DateTime::<Utc>::MAX_UTC,
    };
}

#[derive(Debug)]
struct LogComparison {
    standing: ResourceVersion,
    held: Option<u64>,
}

/// Resources of one channel, compared with as much of its log as was read.
#[derive(Debug)]
pub struct Comparison {
    /// By sort key.
    resources: HashMap<String, LogComparison>,
}

impl Comparison {
    /// A comparison of these resources with nothing yet.
    pub fn new(standings: impl IntoIterator<Item = ResourceVersion>) -> Self {
        let resources = standings.into_iter().map(|standing| {
            (
                standing.key.sort_key(),
                LogComparison {
                    standing,
                    held: None,
                },
            )
        });
        Self {
            resources: resources.collect(),
        }
    }

    /// Takes in a segment of the log, wherever it stands: the newest version counts, and versions
    /// never go backwards in the log.
    pub fn note(&mut self, segment: &Segment) {
        for entry in &segment.entries {
            if let Some(compared) = self
                .resources
                .get_mut(&crate::key::join([&entry.resource_type, &entry.id]))
            {
                compared.held = compared.held.max(Some(entry.server_version));
            }
        }
    }

    /// Whether segments that were sequenced at `sequenced_at` or before may hold a resource that no
    /// segment has shown yet. A version enters the log after it was made.
    pub fn goes_on(&self, sequenced_at: DateTime<Utc>) -> bool {
        let unseen = self
            .resources
            .values()
            .filter(|compared| compared.held.is_none());
        let oldest = unseen.map(|compared| compared.standing.changed_at).min();
        oldest.is_some_and(|oldest| {
            sequenced_at >= oldest - Duration::seconds(CLOCK_SKEW_SECONDS_MAX)
        })
    }

    /// The resources whose version the log has not reached, in the order in which they changed.
    pub fn missing(&self) -> Vec<&ResourceVersion> {
        let missing = self
            .resources
            .values()
            .filter(|compared| compared.held < Some(compared.standing.server_version));
        let mut missing: Vec<&ResourceVersion> =
            missing.map(|compared| &compared.standing).collect();
        missing
            .sort_by(|one, other| (one.changed_at, &one.key).cmp(&(other.changed_at, &other.key)));
        missing
    }

    /// The same where the log was read back no further than to what was sequenced at `read_until`:
    /// those of which that says it.
    pub fn missing_behind(&self, read_until: DateTime<Utc>) -> Vec<&ResourceVersion> {
        let is_told = |standing: &&ResourceVersion| {
            let would_stand_behind =
                standing.changed_at - Duration::seconds(CLOCK_SKEW_SECONDS_MAX) > read_until;
            would_stand_behind || self.held(&standing.key).is_some()
        };
        self.missing().into_iter().filter(is_told).collect()
    }

    /// The newest version that the log was seen to hold of a resource.
    fn held(&self, key: &ResourceKey) -> Option<u64> {
        self.resources.get(&key.sort_key())?.held
    }

    /// The steps that bring these rows into the log behind `head`, up to which the comparison has
    /// seen it; without those that stand in it by now. A channel that was never sequenced stands
    /// for no stream yet: the first record begins the first epoch.
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
        let start = end_of(head);
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
                is_echoed: row.run.is_optimistic,
                decided: ConflictResolution::decided_since(held, row.resolutions),
                payload: Some(row.payload).filter(|_| !row.deleted),
                resource_type: key.resource_type,
                id: key.id,
            }
        });
        let step = |segment: Segment| {
            let head = Head {
                position: segment.last,
                repaired_at: Some(now),
                ..Head::moved(head, now)
            };
            LogStep { segment, head }
        };
        cut(start, entries.collect())
            .into_iter()
            .map(step)
            .collect()
    }
}

/// The step by which a log starts over: it appends nothing, and leads behind every position that
/// was ever given out, those of a time that was undone by a restore included.
pub fn reset_channel(head: Option<&Head>, now: DateTime<Utc>) -> LogStep {
    let prev = end_of(head);
    let last = Position {
        epoch: prev.epoch + 1,
        ..Position::START
    };
    let head = Head {
        position: last,
        floor: Some(last),
        repaired_at: Some(now),
        ..Head::moved(head, now)
    };
    LogStep {
        segment: Segment {
            prev,
            last,
            entries: Vec::new(),
        },
        head,
    }
}

/// Whether nothing entered a log since it started over.
pub fn is_started_over(head: Option<&Head>) -> bool {
    head.is_some_and(|head| head.floor == Some(head.position))
}

/// What happened to a resource since the version that the log held. Where it held none, devices
/// that have it take a create as an update.
fn action(row: &Resource, held: Option<u64>) -> Action {
    match (row.deleted, held) {
        (true, _) => Action::Delete,
        (false, None) => Action::Create,
        (false, Some(_)) => Action::Update,
    }
}
