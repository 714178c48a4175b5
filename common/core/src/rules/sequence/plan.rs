//! The entries that a stream batch appends to a channel's log. The head is a high-water mark:
//! nothing is inserted at or before it. Records above it are appended in stream order; records at
//! or below it are duplicates, or late and appended after the head.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Duration, Utc};

use crate::{
    model::{
        edit::Action,
        json::Json,
        limits::CLOCK_SKEW_SECONDS_MAX,
        position::{Position, Sequence},
        principal::Author,
        resolution::ChangeResolution,
        resource::ResourceKey,
    },
    rules::sequence::segment::{Entry, Segment, cut},
};

/// The head of a channel's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The end of the log: nothing is inserted at or before this position any more.
    pub position: Position,
    /// The label of the stream that the epoch of `position` identifies.
    pub stream: String,
    /// The truncation point of the log; devices at positions below it are reset.
    pub floor: Option<Position>,
    /// The time at which the head last moved. In the head that is stored with a segment, it is the
    /// time at which the segment was sequenced.
    pub moved_at: DateTime<Utc>,
    /// The time at which a repair last moved the head. Changes that were made earlier may follow
    /// newer ones in the log, so their records are unverified.
    pub repaired_at: Option<DateTime<Utc>>,
}

/// A step of a channel's log: the segment that it appends, and the head after it.
#[derive(Debug, Clone)]
pub struct LogStep {
    /// The segment, which follows the current head or the previous step.
    pub segment: Segment,
    /// The head after the step, at the segment's last position.
    pub next_head: Head,
}

impl Head {
    /// Returns the template of the head that follows `head`: its stream, truncation point and
    /// repair time, moved at `now`. The caller sets the new position.
    pub(super) fn successor(head: Option<&Self>, now: DateTime<Utc>) -> Self {
        Self {
            position: log_end(head),
            stream: head.map(|head| head.stream.clone()).unwrap_or_default(),
            floor: head.and_then(|head| head.floor),
            moved_at: now,
            repaired_at: head.and_then(|head| head.repaired_at),
        }
    }

    /// Returns whether the record of a change made at `at` is unverified: a repair has moved the
    /// head since, and may have appended a newer version of the same resource.
    fn is_unverified(&self, at: DateTime<Utc>) -> bool {
        self.repaired_at.is_some_and(|repaired_at| {
            at <= repaired_at + Duration::seconds(CLOCK_SKEW_SECONDS_MAX)
        })
    }
}

/// Returns the position of the head; the start for a log without a head.
///
/// # Example
///
/// ```
/// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
/// use tidemark_core::{model::position::Position, rules::sequence::plan::log_end};
///
/// assert_eq!(log_end(Some(&log::head("5"))), log::at("5"));
/// assert_eq!(log_end(None), Position::START);
/// ```
pub fn log_end(head: Option<&Head>) -> Position {
    head.map_or(Position::START, |head| head.position)
}

/// A change of a resource, decoded from a stream record.
#[derive(Debug, Clone)]
pub struct Record {
    /// The label of the stream that contained the record; newer labels are greater.
    pub stream: String,
    /// The sequence number of the record in that stream.
    pub sequence: Sequence,
    /// The id, type and channel of the resource after the change.
    pub key: ResourceKey,
    /// The action that changed the resource.
    pub action: Action,
    /// The version of the resource after the change.
    pub server_version: u64,
    /// The time of the change.
    pub changed_at: DateTime<Utc>,
    /// The device that made the change.
    pub author: Author,
    /// Whether the change is also delivered to its author.
    pub echo_to_author: bool,
    /// The conflicts that the change resolved.
    pub resolved_conflicts: Vec<ChangeResolution>,
    /// The payload after the change; `None` for a delete.
    pub payload: Option<Json>,
}

impl Record {
    /// Returns the order of the record: by stream and number, then by the change. Copies of a
    /// record are equal.
    fn order(&self) -> (&str, Sequence, &ResourceKey, u64) {
        (&self.stream, self.sequence, &self.key, self.server_version)
    }

    fn matches_entry(&self, entry: &Entry) -> bool {
        let change = (&entry.resource_type, &entry.id, entry.server_version);
        change == (&self.key.resource_type, &self.key.id, self.server_version)
    }
}

/// A record above the head, with the position at which it is appended.
#[derive(Debug)]
struct PositionedRecord {
    position: Position,
    record: Record,
    /// Whether the change was made before a repair that may have appended a newer version of the
    /// resource.
    is_unverified: bool,
}

/// A channel's records, classified by their position relative to the head.
#[derive(Debug, Default)]
pub struct ClassifiedRecords {
    /// Records above the head in log order, each with its position.
    above_head: Vec<PositionedRecord>,
    /// Records at or below the head: duplicates if a segment contains their position, otherwise
    /// late. The position is `None` for a record of an older stream, whose epoch is unknown.
    at_or_below_head: Vec<(Option<Position>, Record)>,
    /// The stream that each epoch identifies.
    streams: HashMap<u32, String>,
}

/// Classifies a channel's records. Copies of a record are counted once.
///
/// # Example
///
/// ```
/// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
/// use std::collections::HashMap;
/// use log::{at, entry, head, meter, record};
/// use tidemark_core::rules::sequence::plan::classify;
///
/// // The log ends at 5 and contains m-1 there. Records of m-2 (late) and m-3 (new, with a copy)
/// // arrive with it.
/// let head = head("5");
/// let records = [("5", "m-1"), ("4", "m-2"), ("6", "m-3"), ("6", "m-3")];
/// let records = records.map(|(sequence, id)| record(sequence, id, 1)).into();
/// let classified = classify(Some(&head), records);
/// assert_eq!(classified.positions_to_look_up(), [at("4"), at("5")]);
///
/// let classified = classified.without_duplicates(&[entry("5", "m-1", 1)]);
/// assert!(classified.resources_to_load().contains(&meter("m-2")));
/// let versions = HashMap::from([(meter("m-2"), 1)]);
/// let steps = classified.steps(Some(&head), &versions, Default::default());
/// let segment = &steps[0].segment;
/// assert!(segment.entries.iter().map(|entry| &entry.id).eq(["m-2", "m-3"]));
/// assert_eq!((segment.follows, segment.last), (at("5"), at("6")));
/// ```
pub fn classify(head: Option<&Head>, mut records: Vec<Record>) -> ClassifiedRecords {
    // Two shards may assign one number to two changes, so the order by number alone does not make
    // the copies of a record adjacent.
    records.sort_by(|one, other| one.order().cmp(&other.order()));
    records.dedup_by(|one, other| one.order() == other.order());

    let start = log_end(head);
    let mut epoch = start.epoch;
    let mut stream = head.map(|head| head.stream.clone());
    let mut classified = ClassifiedRecords::default();
    classified
        .streams
        .extend(stream.clone().map(|stream| (epoch, stream)));

    for record in records {
        if stream
            .as_ref()
            .is_some_and(|stream| record.stream < *stream)
        {
            classified.at_or_below_head.push((None, record));
            continue;
        }

        if stream.as_ref() != Some(&record.stream) {
            epoch += 1;
            stream = Some(record.stream.clone());
            classified.streams.insert(epoch, record.stream.clone());
        }

        let position = Position {
            epoch,
            sequence: record.sequence,
            late: 0,
        };
        if position > start {
            let is_unverified = head.is_some_and(|head| head.is_unverified(record.changed_at));
            classified.above_head.push(PositionedRecord {
                position,
                record,
                is_unverified,
            });
        } else {
            classified.at_or_below_head.push((Some(position), record));
        }
    }

    classified
}

impl ClassifiedRecords {
    /// Returns the positions to look up in the log: a record whose position a segment contains is a
    /// duplicate.
    pub fn positions_to_look_up(&self) -> Vec<Position> {
        self.at_or_below_head
            .iter()
            .filter_map(|(position, _)| *position)
            .collect()
    }

    /// Drops the duplicates: records that the log entries `logged` contain. Both position and change
    /// are compared, because two shards may assign one number to two changes.
    pub fn without_duplicates(mut self, logged: &[Entry]) -> Self {
        self.at_or_below_head.retain(|(position, record)| {
            let is_duplicate =
                |entry: &Entry| Some(entry.position) == *position && record.matches_entry(entry);
            !logged.iter().any(is_duplicate)
        });
        self
    }

    /// Returns the resources of late and of unverified records, whose current rows determine
    /// whether the records still matter.
    pub fn resources_to_load(&self) -> HashSet<ResourceKey> {
        let unverified = self
            .above_head
            .iter()
            .filter(|positioned| positioned.is_unverified)
            .map(|positioned| &positioned.record);
        self.at_or_below_head
            .iter()
            .map(|(_, record)| record)
            .chain(unverified)
            .map(|record| record.key.clone())
            .collect()
    }

    /// Returns the steps that append this batch to the log after `head`. A late record is appended
    /// after the head if its row still has the record's version in `versions`; if the row is newer,
    /// the record of a newer change covers it. The same applies to an unverified record, which
    /// keeps its position. Versions of a resource therefore never decrease in the log.
    ///
    /// See the example of [`classify`].
    pub fn steps(
        self,
        head: Option<&Head>,
        versions: &HashMap<ResourceKey, u64>,
        now: DateTime<Utc>,
    ) -> Vec<LogStep> {
        let start = log_end(head);
        let mut last = start;
        let mut entries = Vec::with_capacity(self.at_or_below_head.len() + self.above_head.len());
        let mut appended = HashSet::new();
        let is_current =
            |record: &Record| versions.get(&record.key) == Some(&record.server_version);

        for (_, record) in self.at_or_below_head {
            if is_current(&record) && appended.insert(record.key.clone()) {
                last.late += 1;
                entries.push(entry(last, record));
            }
        }

        let above_head = self
            .above_head
            .into_iter()
            .filter(|positioned| !positioned.is_unverified || is_current(&positioned.record));
        entries.extend(above_head.map(|positioned| entry(positioned.position, positioned.record)));

        let stream_of = |segment: &Segment| {
            self.streams
                .get(&segment.last.epoch)
                .cloned()
                .unwrap_or_default()
        };
        let step = |segment: Segment| {
            let next_head = Head {
                position: segment.last,
                stream: stream_of(&segment),
                ..Head::successor(head, now)
            };
            LogStep { segment, next_head }
        };

        cut(start, entries).into_iter().map(step).collect()
    }
}

fn entry(position: Position, record: Record) -> Entry {
    Entry {
        position,
        resource_type: record.key.resource_type,
        id: record.key.id,
        action: record.action,
        server_version: record.server_version,
        changed_at: record.changed_at,
        author: record.author,
        echo_to_author: record.echo_to_author,
        resolved_conflicts: record.resolved_conflicts,
        payload: record.payload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::channel::Channel;

    /// Returns a record of the resource `id`, all with the same sequence number.
    fn record(id: &str) -> Record {
        Record {
            stream: "2026-01-01".into(),
            sequence: Sequence::parse("7").expect("a sequence number"),
            key: ResourceKey {
                channel: Channel::Tenant,
                resource_type: "meter".into(),
                id: id.into(),
            },
            action: Action::Delete,
            server_version: 2,
            changed_at: DateTime::UNIX_EPOCH,
            author: Author::device("ana", "phone"),
            echo_to_author: false,
            resolved_conflicts: Vec::new(),
            payload: None,
        }
    }

    #[test]
    fn copies_with_a_shared_number_are_dropped() {
        let classified = classify(None, vec![record("a"), record("b"), record("a")]);

        let ids: Vec<&str> = classified
            .above_head
            .iter()
            .map(|positioned| positioned.record.key.id.as_str())
            .collect();
        assert_eq!(ids, ["a", "b"]);
    }
}
