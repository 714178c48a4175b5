//! What a stream batch adds to a channel's log. The head is a watermark: the log is complete up to
//! there. Records above it are appended in stream order; records at or below it are repeats or came
//! late.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Duration, Utc};

use super::{
    position::{Position, Sequence},
    segment::{Entry, Segment, cut},
};
use crate::{
    json::Json,
    limits::CLOCK_SKEW_SECONDS_MAX,
    principal::Author,
    protocol::{Action, pull::ResolvedConflict},
    resource::ResourceKey,
};

/// The head of a channel's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The log is complete up to here.
    pub position: Position,
    /// Label of the stream the epoch of `position` stands for.
    pub stream: String,
    /// The log was cut here; positions below start over.
    pub floor: Option<Position>,
    /// When it moved last.
    pub moved_at: DateTime<Utc>,
    /// When a repair moved it last: changes made before may stand behind newer ones in the log, so
    /// their records are doubted.
    pub repaired_at: Option<DateTime<Utc>>,
}

/// A step of a channel's log: what it appends, and the head behind it.
#[derive(Debug, Clone)]
pub struct LogStep {
    /// It follows the head that was read, or the step before.
    pub segment: Segment,
    /// Its position is the segment's last.
    pub head: Head,
}

impl Head {
    /// The head that takes the place of this one at `now`, but for where it stands.
    pub(super) fn moved(head: Option<&Self>, now: DateTime<Utc>) -> Self {
        Self {
            position: end_of(head),
            stream: head.map(|head| head.stream.clone()).unwrap_or_default(),
            floor: head.and_then(|head| head.floor),
            moved_at: now,
            repaired_at: head.and_then(|head| head.repaired_at),
        }
    }

    /// Whether a repair may have brought a newer version of its resource into the log than the one
    /// that was made `at` this moment.
    fn is_unverified(&self, at: DateTime<Utc>) -> bool {
        self.repaired_at.is_some_and(|repaired_at| {
            at <= repaired_at + Duration::seconds(CLOCK_SKEW_SECONDS_MAX)
        })
    }
}

/// The position of the head; of a log without one, the start.
pub fn end_of(head: Option<&Head>) -> Position {
    head.map_or(Position::START, |head| head.position)
}

/// A change of a resource, as a stream record tells it.
#[derive(Debug, Clone)]
pub struct Record {
    /// Label of the stream it came from; newer labels are greater.
    pub stream: String,
    /// Its number in that stream.
    pub sequence: Sequence,
    /// Which resource.
    pub key: ResourceKey,
    /// What happened to it.
    pub action: Action,
    /// Its version then.
    pub server_version: u64,
    /// When.
    pub changed_at: DateTime<Utc>,
    /// By which device.
    pub author: Author,
    /// Whether it is delivered to its author too.
    pub is_echoed: bool,
    /// The conflicts that it decided.
    pub decided: Vec<ResolvedConflict>,
    /// Its payload then; none for a delete.
    pub payload: Option<Json>,
}

impl Record {
    fn is_same_change(&self, other: &Self) -> bool {
        self.key == other.key && self.server_version == other.server_version
    }

    fn is_told_by(&self, entry: &Entry) -> bool {
        let change = (&entry.resource_type, &entry.id, entry.server_version);
        change == (&self.key.resource_type, &self.key.id, self.server_version)
    }
}

/// A record above the head.
#[derive(Debug)]
struct Above {
    position: Position,
    record: Record,
    /// It was made before a repair, which may have appended a newer version of its resource.
    is_unverified: bool,
}

/// A channel's records, told apart by where they stand against the head.
#[derive(Debug, Default)]
pub struct ClassifiedRecords {
    /// Above the head, in log order, each with its position.
    above: Vec<Above>,
    /// At or below it: repeats, if a segment holds their position, else late. `None`: of an older
    /// stream, whose epoch is not known.
    behind: Vec<(Option<Position>, Record)>,
    /// Which stream each epoch stands for.
    streams: HashMap<u32, String>,
}

/// Tells a channel's records apart. Records that stand twice in the batch count once.
pub fn classify(head: Option<&Head>, mut records: Vec<Record>) -> ClassifiedRecords {
    records.sort_by(|one, other| (&one.stream, one.sequence).cmp(&(&other.stream, other.sequence)));
    records.dedup_by(|one, other| {
        one.stream == other.stream && one.sequence == other.sequence && one.is_same_change(other)
    });
    let start = end_of(head);
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
            classified.behind.push((None, record));
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
            classified.above.push(Above {
                position,
                record,
                is_unverified,
            });
        } else {
            classified.behind.push((Some(position), record));
        }
    }
    classified
}

impl ClassifiedRecords {
    /// Positions to look for in the log: a record whose position a segment holds is a repeat.
    pub fn positions_to_find(&self) -> Vec<Position> {
        self.behind
            .iter()
            .filter_map(|(position, _)| *position)
            .collect()
    }

    /// Drops the repeats: the records that stand in `held`, entries of the log. Position and change
    /// are compared, because two shards may give one number to two changes.
    pub fn without_repeats(mut self, held: &[Entry]) -> Self {
        self.behind.retain(|(position, record)| {
            let stands =
                |entry: &Entry| Some(entry.position) == *position && record.is_told_by(entry);
            !held.iter().any(stands)
        });
        self
    }

    /// The resources of late and of doubtful records, whose rows decide whether they still matter.
    pub fn resources_to_look_at(&self) -> HashSet<ResourceKey> {
        let unverified = self
            .above
            .iter()
            .filter(|above| above.is_unverified)
            .map(|above| &above.record);
        self.behind
            .iter()
            .map(|(_, record)| record)
            .chain(unverified)
            .map(|record| record.key.clone())
            .collect()
    }

    /// The steps by which this batch leads on from `head`. A late record is appended after the head
    /// if its row still has the record's version in `versions`; where the row is newer, a newer
    /// record speaks for it. The same holds of a doubtful one, which keeps its place. So versions
    /// never go backwards in the log.
    pub fn steps(
        self,
        head: Option<&Head>,
        versions: &HashMap<ResourceKey, u64>,
        now: DateTime<Utc>,
    ) -> Vec<LogStep> {
        let start = end_of(head);
        let mut last = start;
        let mut entries = Vec::with_capacity(self.behind.len() + self.above.len());
        let mut appended = HashSet::new();
        let is_newest = |record: &Record| versions.get(&record.key) == Some(&record.server_version);
        for (_, record) in self.behind {
            if is_newest(&record) && appended.insert(record.key.clone()) {
                last.late += 1;
                entries.push(entry(last, record));
            }
        }
        let above = self
            .above
            .into_iter()
            .filter(|above| !above.is_unverified || is_newest(&above.record));
        entries.extend(above.map(|above| entry(above.position, above.record)));
        let stream_of = |segment: &Segment| {
            self.streams
                .get(&segment.last.epoch)
                .cloned()
                .unwrap_or_default()
        };
        let step = |segment: Segment| {
            let head = Head {
                position: segment.last,
                stream: stream_of(&segment),
                ..Head::moved(head, now)
            };
            LogStep { segment, head }
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
        is_echoed: record.is_echoed,
        decided: record.decided,
        payload: record.payload,
    }
}
