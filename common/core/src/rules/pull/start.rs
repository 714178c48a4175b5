//! Where a pull continues in a channel (§4.4, §4.5): in the log, in its snapshot, or again from the
//! start.

use chrono::{DateTime, Duration, Utc};

use crate::{
    model::{position::Position, token::Progress},
    rules::sequence::plan::{Head, log_end},
};

/// The point at which a pull continues in one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The progress from which the pull continues.
    pub progress: Progress,
    /// Whether the device must replace the channel's rows: a snapshot begins, because the device is
    /// new to the channel or the log is not contiguous with its position. A snapshot does not
    /// contain deletions, and a new device may have rows from the responses to its pushes.
    pub is_reset: bool,
}

/// Returns where a pull at `now` continues from the `progress` in its token, in a log with this
/// `head` that keeps changes for `retention`.
///
/// # Example
///
/// ```
/// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
/// use chrono::{DateTime, Duration};
/// use tidemark_core::{model::token::Progress, rules::pull::start::start};
///
/// let now = DateTime::UNIX_EPOCH + Duration::days(100);
/// let head = log::head("9");
/// let start_after = |days| {
///     let progress = Progress::log(log::at("5"), now - Duration::days(days));
///     start(Some(&progress), Some(&head), now, Duration::days(30))
/// };
/// // A recent position is continued. An expired one, like none, begins with a snapshot.
/// assert_eq!(start_after(1).progress, Progress::log(log::at("5"), now - Duration::days(1)));
/// assert!(start_after(31).is_reset);
/// assert!(start(None, Some(&head), now, Duration::days(30)).is_reset);
/// ```
pub fn start(
    progress: Option<&Progress>,
    head: Option<&Head>,
    now: DateTime<Utc>,
    retention: Duration,
) -> Start {
    match progress {
        Some(progress) if is_position_valid(progress, head, now, retention) => Start {
            progress: progress.clone(),
            is_reset: false,
        },
        _ => reset(head, now),
    }
}

/// Returns the start of a full resync: a snapshot, with the instruction to replace the channel's
/// rows.
///
/// # Example
///
/// ```
/// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
/// use chrono::DateTime;
/// use tidemark_core::{model::token::Progress, rules::pull::start::reset};
///
/// // The log continues at its present head after the snapshot.
/// let now = DateTime::UNIX_EPOCH;
/// let start = reset(Some(&log::head("9")), now);
/// let snapshot = Progress::Snapshot { head: log::at("9"), head_read_at: now, after: None };
/// assert_eq!(start.progress, snapshot);
/// assert!(start.is_reset);
/// ```
pub fn reset(head: Option<&Head>, now: DateTime<Utc>) -> Start {
    Start {
        progress: Progress::Snapshot {
            head: log_end(head),
            head_read_at: now,
            after: None,
        },
        is_reset: true,
    }
}

fn is_position_valid(
    progress: &Progress,
    head: Option<&Head>,
    now: DateTime<Utc>,
    retention: Duration,
) -> bool {
    let (position, at) = match progress {
        Progress::Log { position, at, .. } => (*position, *at),
        Progress::Snapshot {
            head, head_read_at, ..
        } => (*head, *head_read_at),
    };

    let end = log_end(head);
    if position == end {
        return true; // no change was missed, regardless of the age of the position
    }

    let floor = head.and_then(|head| head.floor).unwrap_or(Position::START);
    position < end && position >= floor && now - at <= retention
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::position::Sequence;

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
    fn position_older_than_retention_is_reset() {
        assert!(!is_reset("5", 30, &head("9", None)));
        assert!(is_reset("5", 31, &head("9", None)));
    }

    #[test]
    fn position_at_head_never_expires() {
        assert!(!is_reset("9", 900, &head("9", None)));
    }

    #[test]
    fn position_ahead_of_log_is_reset() {
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
    fn position_below_truncation_point_is_reset() {
        assert!(is_reset("5", 0, &head("9", Some("6"))));
        assert!(!is_reset("6", 0, &head("9", Some("6"))));
    }

    #[test]
    fn new_channel_starts_with_snapshot() {
        let start = start(
            None,
            Some(&head("9", None)),
            DateTime::UNIX_EPOCH,
            Duration::days(30),
        );

        assert_eq!(
            start.progress,
            Progress::Snapshot {
                head: at("9"),
                head_read_at: DateTime::UNIX_EPOCH,
                after: None
            }
        );
        assert!(
            start.is_reset,
            "rows from push responses may have been deleted since"
        );
    }
}
