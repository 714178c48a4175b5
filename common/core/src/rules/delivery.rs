//! Whether a device has applied a resolution (§4.8). This is derived on request and never stored:
//! it holds if the device has acknowledged a position of the channel and the log contains the
//! resolution, or a newer version of the resource, at or before that position. The log is read
//! backwards from there, segment by segment.
//!
//! A position noted before a snapshot counts for the content of the log at that time; changes that
//! only the snapshot delivered are reported once the device has acknowledged a later position of
//! the log. The result therefore errs towards "not yet".

use chrono::{DateTime, Duration, Utc};

use crate::{
    model::{
        limits::{CLOCK_SKEW_SECONDS_MAX, STREAM_HOURS},
        position::Position,
        resource::ResourceKey,
    },
    rules::{ack::AckPosition, sequence::segment::Segment},
};

/// A version of a resource that a device is expected to receive.
#[derive(Debug, Clone, Copy)]
pub struct AwaitedVersion<'a> {
    /// The resource that the version belongs to.
    pub resource: &'a ResourceKey,
    /// The awaited version; a newer one also counts.
    pub server_version: u64,
    /// The time at which the version was made. It entered the log later.
    pub made_at: DateTime<Utc>,
}

/// The result of scanning one segment in a backward read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentScan {
    /// The version is in the log at or before the acknowledged position.
    Delivered,
    /// The version is not in the log up to the acknowledged position.
    NotYet,
    /// The segment does not decide it: scan the previous segment, stored under this position.
    Continue(Position),
}

impl AwaitedVersion<'_> {
    /// Scans a segment for a device with this `acknowledged` position. The caller passes segments
    /// in backward order without gaps, beginning with the segment that contains the position.
    ///
    /// # Example
    ///
    /// ```
    /// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
    /// use chrono::DateTime;
    /// use log::{at, entry, meter};
    /// use tidemark_core::rules::{
    ///     ack::AckPosition,
    ///     delivery::{AwaitedVersion, SegmentScan},
    ///     sequence::segment::cut,
    /// };
    ///
    /// let (resource, made_at) = (&meter("m-1"), DateTime::UNIX_EPOCH);
    /// let awaited = AwaitedVersion { resource, server_version: 2, made_at };
    /// let segment = cut(at("5"), vec![entry("6", "m-2", 1), entry("7", "m-1", 2)]).remove(0);
    /// let scan = |acked: &str| {
    ///     let acknowledged = AckPosition { position: at(acked), at: made_at };
    ///     awaited.scan(&acknowledged, &segment, made_at)
    /// };
    /// assert_eq!(scan("7"), SegmentScan::Delivered);
    /// // A newer version may be in an earlier segment.
    /// assert_eq!(scan("6"), SegmentScan::Continue(at("5")));
    /// ```
    pub fn scan(
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
            // Versions of a resource never decrease in the log, so anything earlier is older still.
            return if entry.server_version >= self.server_version {
                SegmentScan::Delivered
            } else {
                SegmentScan::NotYet
            };
        }

        let is_older = sequenced_at < self.made_at - Duration::seconds(CLOCK_SKEW_SECONDS_MAX);
        let is_first = segment.follows == Position::START;
        if is_older || is_first {
            SegmentScan::NotYet
        } else {
            SegmentScan::Continue(segment.follows)
        }
    }

    /// Decides delivery by the age of the acknowledged position alone: a position that was current
    /// before the version was made precedes the version, and a position that was current more than
    /// a day later follows it. Returns `None` in between.
    ///
    /// # Example
    ///
    /// ```
    /// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
    /// use chrono::{DateTime, Duration};
    /// use tidemark_core::rules::{ack::AckPosition, delivery::AwaitedVersion};
    ///
    /// let made_at = DateTime::UNIX_EPOCH + Duration::days(10);
    /// let awaited = AwaitedVersion { resource: &log::meter("m-1"), server_version: 2, made_at };
    /// let decide = |hours| {
    ///     let at = made_at + Duration::hours(hours);
    ///     awaited.is_delivered_by_age(&AckPosition { position: log::at("7"), at })
    /// };
    /// assert_eq!(decide(-1), Some(false));
    /// assert_eq!(decide(1), None, "only the log shows it");
    /// assert_eq!(decide(25), Some(true));
    /// ```
    pub fn is_delivered_by_age(&self, acknowledged: &AckPosition) -> Option<bool> {
        if self.is_long_delivered(acknowledged) {
            return Some(true);
        }
        (acknowledged.at < self.made_at - Duration::seconds(CLOCK_SKEW_SECONDS_MAX))
            .then_some(false)
    }

    /// Decides delivery without the log, if it was read back to its bound or has expired: the
    /// stream keeps a change for a day, so a change that was made more than a day before the
    /// acknowledged position was current had entered the log by that time.
    ///
    /// See the example of [`is_delivered_by_age`](Self::is_delivered_by_age).
    pub fn is_long_delivered(&self, acknowledged: &AckPosition) -> bool {
        acknowledged.at - self.made_at > Duration::hours(STREAM_HOURS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{channel::Channel, edit::Action, position::Sequence, principal::Author},
        rules::sequence::segment::Entry,
    };

    fn position(number: u32) -> Position {
        Position {
            epoch: 1,
            sequence: Sequence::parse(&number.to_string()).expect("digits"),
            late: 0,
        }
    }

    fn moment(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).expect("in range")
    }

    fn acknowledged(number: u32, seconds: i64) -> AckPosition {
        AckPosition {
            position: position(number),
            at: moment(seconds),
        }
    }

    /// Returns a segment after `follows` with these positions, ids and versions.
    fn segment(follows: u32, entries: &[(u32, &str, u64)]) -> Segment {
        let entry = |(number, id, server_version): &(u32, &str, u64)| Entry {
            position: position(*number),
            resource_type: "meter".into(),
            id: (*id).into(),
            action: Action::Update,
            server_version: *server_version,
            changed_at: moment(0),
            author: Author::device("ana", "phone"),
            echo_to_author: false,
            resolved_conflicts: Vec::new(),
            payload: None,
        };

        let entries: Vec<Entry> = entries.iter().map(entry).collect();
        Segment {
            follows: position(follows),
            last: entries[entries.len() - 1].position,
            entries,
        }
    }

    /// Scans a segment sequenced at second 100 for version 3 of `m`, made at second `made`.
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
        awaited.scan(&acknowledged(acked, 200), segment, moment(100))
    }

    #[test]
    fn version_or_newer_before_position_is_delivered() {
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
    fn version_after_position_is_not_delivered() {
        assert_eq!(
            look(5, 100, &segment(4, &[(5, "n", 1), (9, "m", 3)])),
            SegmentScan::Continue(position(4))
        );
    }

    #[test]
    fn scan_stops_at_older_segment_or_start() {
        assert_eq!(
            look(9, 160, &segment(4, &[(9, "n", 1)])),
            SegmentScan::Continue(position(4))
        );
        assert_eq!(
            look(9, 161, &segment(4, &[(9, "n", 1)])),
            SegmentScan::NotYet
        );

        let first = Segment {
            follows: Position::START,
            ..segment(4, &[(9, "n", 1)])
        };
        assert_eq!(look(9, 100, &first), SegmentScan::NotYet);
    }

    #[test]
    fn position_age_can_decide_without_log() {
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
    fn without_log_one_day_decides() {
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
