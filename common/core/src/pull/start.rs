//! Where a pull goes on in a channel (§4.4, §4.5): in the log, in its snapshot, or over from the
//! start.

use chrono::{DateTime, Duration, Utc};

use crate::{
    sequence::{
        plan::{Head, end_of},
        position::Position,
    },
    token::Progress,
};

/// Where a pull goes on in one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// From here.
    pub progress: Progress,
    /// Whether the device has to replace the channel's rows: a snapshot begins, because the device
    /// is new to the channel, or the log cannot lead it on from where it stood. A snapshot does not
    /// tell what was deleted, and a device that is new may hold rows from what its pushes were
    /// answered.
    pub is_reset: bool,
}

/// Where a pull at `now` goes on, from the `progress` its token holds, in a log with this `head`
/// that keeps changes for `retention`.
pub fn start(
    progress: Option<&Progress>,
    head: Option<&Head>,
    now: DateTime<Utc>,
    retention: Duration,
) -> Start {
    match progress {
        Some(progress) if is_contiguous(progress, head, now, retention) => Start {
            progress: progress.clone(),
            is_reset: false,
        },
        _ => reset(head, now),
    }
}

/// Starting over: a snapshot, and the device told to replace its rows.
pub fn reset(head: Option<&Head>, now: DateTime<Utc>) -> Start {
    Start {
        progress: Progress::Snapshot {
            noted: end_of(head),
            noted_at: now,
            after: None,
        },
        is_reset: true,
    }
}

fn is_contiguous(
    progress: &Progress,
    head: Option<&Head>,
    now: DateTime<Utc>,
    retention: Duration,
) -> bool {
    let (position, at) = match progress {
        Progress::Log { position, at, .. } => (*position, *at),
        Progress::Snapshot {
            noted, noted_at, ..
        } => (*noted, *noted_at),
    };
    let end = end_of(head);
    if position == end {
        return true; // nothing was missed, however long ago that was
    }
    let floor = head.and_then(|head| head.floor).unwrap_or(Position::START);
    position < end && position >= floor && now - at <= retention
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::position::Sequence;

    fn at(sequence: &str) -> Position {
        Position {
            epoch: 1,
            sequence: Sequence::parse(sequence).expect("digits"),
            late: 0,
        }
    }

    fn head(position: &str, floor: Option<&str>) -> Head {
        Head {
            position: at(position),
            stream: "s".into(),
            floor: floor.map(at),
            moved_at: DateTime::UNIX_EPOCH,
            repaired_at: None,
        }
    }

    fn is_reset(position: &str, age_days: i64, head: &Head) -> bool {
        let now = DateTime::UNIX_EPOCH + Duration::days(1000);
        let progress = Progress::log(at(position), now - Duration::days(age_days));
        start(Some(&progress), Some(head), now, Duration::days(30)).is_reset
    }

    #[test]
    fn a_position_older_than_the_retention_starts_over() {
        assert!(!is_reset("5", 30, &head("9", None)));
        assert!(is_reset("5", 31, &head("9", None)));
    }

    #[test]
    fn a_quiet_channel_never_expires_anyone() {
        assert!(!is_reset("9", 900, &head("9", None)));
    }

    #[test]
    fn a_position_ahead_of_the_log_starts_over() {
        assert!(is_reset("10", 0, &head("9", None)));
        let progress = Progress::log(at("1"), DateTime::UNIX_EPOCH);
        assert!(
            start(
                Some(&progress),
                None,
                DateTime::UNIX_EPOCH,
                Duration::days(30)
            )
            .is_reset
        );
    }

    #[test]
    fn a_position_below_the_floor_starts_over() {
        assert!(is_reset("5", 0, &head("9", Some("6"))));
        assert!(!is_reset("6", 0, &head("9", Some("6"))));
    }

    #[test]
    fn a_channel_the_token_lacks_starts_with_a_snapshot() {
        let start = start(
            None,
            Some(&head("9", None)),
            DateTime::UNIX_EPOCH,
            Duration::days(30),
        );
        assert_eq!(
            start.progress,
            Progress::Snapshot {
                noted: at("9"),
                noted_at: DateTime::UNIX_EPOCH,
                after: None
            }
        );
        assert!(
            start.is_reset,
            "rows that it has from its pushes may be deleted"
        );
    }
}
