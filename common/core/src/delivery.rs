//! Whether a device has what was decided (§4.8), derived when somebody looks and never written: it
//! has acknowledged a position of the channel, and the log holds the decision, or something newer
//! of the resource, at or before that position. The log is read backwards from there, segment by
//! segment.
//!
//! A position noted before a snapshot counts for what stood in the log then; what the snapshot
//! itself brought in addition is told once the device has acknowledged the log behind it. So the
//! answer errs towards "not yet".

use chrono::{DateTime, Duration, Utc};

use crate::{
    ack::AckPosition,
    limits::{CLOCK_SKEW_SECONDS_MAX, STREAM_HOURS},
    resource::ResourceKey,
    sequence::{position::Position, segment::Segment},
};

/// A version of a resource that a device is to get.
#[derive(Debug, Clone, Copy)]
pub struct AwaitedVersion<'a> {
    /// Which resource.
    pub resource: &'a ResourceKey,
    /// This version of it, or a newer one.
    pub server_version: u64,
    /// When it was made. It entered the log after that.
    pub made_at: DateTime<Utc>,
}

/// What a segment, read backwards, says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentScan {
    /// The version stands in the log before the acknowledged position.
    Delivered,
    /// It does not.
    NotYet,
    /// Nothing: read the segment before.
    GoOn(Position),
}

impl AwaitedVersion<'_> {
    /// Looks through a segment for a device that has `acknowledged` so far; segments come backwards
    /// from the one that holds that position, none left out.
    pub fn look(
        &self,
        acknowledged: &AckPosition,
        segment: &Segment,
        sequenced_at: DateTime<Utc>,
    ) -> SegmentScan {
        let is_about = |resource_type: &str, id: &str| {
            resource_type == self.resource.resource_type && id == self.resource.id
        };
        let mut applied = segment
            .entries
            .iter()
            .rev()
            .filter(|entry| entry.position <= acknowledged.position);
        if let Some(entry) = applied.find(|entry| is_about(&entry.resource_type, &entry.id)) {
            // Versions never go backwards in the log: what is before an older one is older still.
            return if entry.server_version >= self.server_version {
                SegmentScan::Delivered
            } else {
                SegmentScan::NotYet
            };
        }
        let is_older = sequenced_at < self.made_at - Duration::seconds(CLOCK_SKEW_SECONDS_MAX);
        let is_first = segment.prev == Position::START;
        if is_older || is_first {
            SegmentScan::NotYet
        } else {
            SegmentScan::GoOn(segment.prev)
        }
    }

    /// What can be told without reading the log: a position that was known before the version was
    /// made is before it, and one that was known more than a day later behind it. `None` in
    /// between.
    pub fn is_delivered_by_age(&self, acknowledged: &AckPosition) -> Option<bool> {
        if self.is_long_delivered(acknowledged) {
            return Some(true);
        }
        (acknowledged.at < self.made_at - Duration::seconds(CLOCK_SKEW_SECONDS_MAX))
            .then_some(false)
    }

    /// What holds when the log was read as far back as is sensible, or has expired there: the
    /// stream keeps a change for a day, so one that was made more than a day before the age of the
    /// acknowledged position was in the log by then.
    pub fn is_long_delivered(&self, acknowledged: &AckPosition) -> bool {
        acknowledged.at - self.made_at > Duration::hours(STREAM_HOURS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        channel::Channel,
        principal::Author,
        protocol::Action,
        sequence::{position::Sequence, segment::Entry},
    };

    fn position(number: u32) -> Position {
        Position {
            epoch: 1,
            sequence: Sequence::parse(&number.to_string()).expect("digits"),
            late: 0,
        }
    }

    fn moment(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).expect("a moment")
    }

    fn acknowledged(number: u32, seconds: i64) -> AckPosition {
        AckPosition {
            position: position(number),
            at: moment(seconds),
        }
    }

    /// A segment behind `prev` with these positions, ids and versions.
    fn segment(prev: u32, entries: &[(u32, &str, u64)]) -> Segment {
        let entry = |(number, id, server_version): &(u32, &str, u64)| Entry {
            position: position(*number),
            resource_type: "meter".into(),
            id: (*id).into(),
            action: Action::Update,
            server_version: *server_version,
            changed_at: moment(0),
            author: Author::device("ana", "phone"),
            is_echoed: false,
            decided: Vec::new(),
            payload: None,
        };
        let entries: Vec<Entry> = entries.iter().map(entry).collect();
        Segment {
            prev: position(prev),
            last: entries[entries.len() - 1].position,
            entries,
        }
    }

    /// What a segment sequenced at second 100 says of version 3 of `m`, made at second `made`.
    fn look(acked: u32, made: i64, segment: &Segment) -> SegmentScan {
        let resource = ResourceKey {
            channel: Channel::Tenant,
            resource_type: "meter".into(),
            id: "m".into(),
        };
        let awaited = AwaitedVersion {
            resource: &resource,
            server_version: 3,
            made_at: moment(made),
        };
        awaited.look(&acknowledged(acked, 200), segment, moment(100))
    }

    #[test]
    fn the_version_or_a_newer_one_before_the_position_is_delivered() {
        assert_eq!(
            look(9, 100, &segment(4, &[(5, "m", 3), (9, "n", 1)])),
            SegmentScan::Delivered
        );
        assert_eq!(
            look(9, 100, &segment(4, &[(5, "m", 2), (9, "m", 7)])),
            SegmentScan::Delivered
        );
        assert_eq!(
            look(9, 100, &segment(4, &[(5, "m", 2)])),
            SegmentScan::NotYet
        );
    }

    #[test]
    fn what_stands_behind_the_position_is_not_delivered() {
        assert_eq!(
            look(5, 100, &segment(4, &[(5, "n", 1), (9, "m", 3)])),
            SegmentScan::GoOn(position(4))
        );
    }

    #[test]
    fn reading_back_ends_where_the_log_is_older_than_the_version_or_begins() {
        assert_eq!(
            look(9, 160, &segment(4, &[(9, "n", 1)])),
            SegmentScan::GoOn(position(4))
        );
        assert_eq!(
            look(9, 161, &segment(4, &[(9, "n", 1)])),
            SegmentScan::NotYet
        );
        let first = Segment {
            prev: Position::START,
            ..segment(4, &[(9, "n", 1)])
        };
        assert_eq!(look(9, 100, &first), SegmentScan::NotYet);
    }

    #[test]
    fn the_age_of_a_position_may_tell_without_the_log() {
        let resource = ResourceKey {
            channel: Channel::Tenant,
            resource_type: "meter".into(),
            id: "m".into(),
        };
        let awaited = AwaitedVersion {
            resource: &resource,
            server_version: 3,
            made_at: moment(1000),
        };
        for (seconds, expected) in [
            (939, Some(false)),
            (940, None),
            (1000 + 24 * 3600, None),
            (1001 + 24 * 3600, Some(true)),
        ] {
            assert_eq!(
                awaited.is_delivered_by_age(&acknowledged(9, seconds)),
                expected,
                "{seconds}"
            );
        }
    }

    #[test]
    fn without_a_log_a_day_decides() {
        let resource = ResourceKey {
            channel: Channel::Tenant,
            resource_type: "meter".into(),
            id: "m".into(),
        };
        let awaited = AwaitedVersion {
            resource: &resource,
            server_version: 3,
            made_at: moment(0),
        };
        assert!(!awaited.is_long_delivered(&acknowledged(9, 24 * 3600)));
        assert!(awaited.is_long_delivered(&acknowledged(9, 24 * 3600 + 1)));
    }
}
