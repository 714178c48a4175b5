//! Acknowledgements (§4.8): the position up to which a device has applied each channel.
//! Acknowledged positions only move forward, independently for each channel, so the order in which
//! acknowledgements arrive does not matter: the stored rows of a device converge to the maximum of
//! each channel.

use std::{collections::BTreeMap, fmt, str::FromStr};

use chrono::{DateTime, Utc};

use crate::{
    model::{
        channel::Channel,
        position::Position,
        principal::Principal,
        token::{Progress, Token},
    },
    rules::sequence::plan::{Head, log_end},
};

/// The position up to which a device has applied a channel's log. Ordered by position, then by the
/// time at which the position was current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AckPosition {
    /// Every change up to and including this position is applied.
    pub position: Position,
    /// The time of the position, from the token (§4.5), at which the device was caught up, or
    /// at which the last change that it received entered the log. Never later than the
    /// acknowledgement itself.
    pub at: DateTime<Utc>,
}

/// The acknowledged position of each channel of a device.
pub type Positions = BTreeMap<Channel, AckPosition>;

impl fmt::Display for AckPosition {
    /// Writes the stored form, whose text order is the order of acknowledgements.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{:015}", self.position, self.at.timestamp_millis())
    }
}

/// The error for a text that is not a stored acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an acknowledged position")]
pub struct ParseAckPositionError;

impl FromStr for AckPosition {
    type Err = ParseAckPositionError;

    fn from_str(text: &str) -> Result<Self, ParseAckPositionError> {
        let read = || {
            let (position, at) = text.split_once('@')?;
            Some(Self {
                position: position.parse().ok()?,
                at: DateTime::from_timestamp_millis(at.parse().ok()?)?,
            })
        };
        read().ok_or(ParseAckPositionError)
    }
}

/// Returns the positions that an applied token acknowledges in the channels that the caller pulls.
/// Other channels are ignored, because a client can forge a token that names thousands of them. A
/// channel in the middle of its snapshot has no position yet: not all of its rows are applied.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
/// use chrono::DateTime;
/// use tidemark_core::{
///     model::{channel::Channel, token::{Progress, Token}},
///     rules::ack::{AckPosition, Positions, acknowledged},
/// };
///
/// // Ana is a member of the group `north` but not of `south`.
/// let now = DateTime::UNIX_EPOCH;
/// let [north, south] = ["north", "south"].map(|name| Channel::Group(name.into()));
/// let progress = Progress::log(log::at("5"), now);
/// let token = Token { channels: [(north.clone(), progress.clone()), (south, progress)].into() };
/// let acked = acknowledged(&token, &phone::Phone::new().principal, now);
/// let position = AckPosition { position: log::at("5"), at: now };
/// assert_eq!(acked, Positions::from([(north, position)]));
/// ```
pub fn acknowledged(token: &Token, principal: &Principal, now: DateTime<Utc>) -> Positions {
    let position = |channel: Channel| match token.channels.get(&channel)? {
        Progress::Log { position, at, .. } => {
            let at = (*at).clamp(DateTime::UNIX_EPOCH, now);
            Some((
                channel,
                AckPosition {
                    position: *position,
                    at,
                },
            ))
        }
        Progress::Snapshot { .. } => None,
    };

    principal
        .pulled_channels()
        .into_iter()
        .filter_map(position)
        .collect()
}

/// Returns the positions in `acked` that are ahead of `stored`: what remains to be written after a
/// concurrent acknowledgement. A position never moves back.
///
/// # Example
///
/// ```
/// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
/// use chrono::DateTime;
/// use tidemark_core::{
///     model::channel::Channel,
///     rules::ack::{AckPosition, Positions, ahead},
/// };
///
/// let acked = |sequence| {
///     let at = DateTime::UNIX_EPOCH;
///     Positions::from([(Channel::Tenant, AckPosition { position: log::at(sequence), at })])
/// };
/// assert_eq!(ahead(acked("5"), &acked("4")), acked("5"));
/// // A position never moves back.
/// assert!(ahead(acked("5"), &acked("6")).is_empty());
/// ```
pub fn ahead(mut acked: Positions, stored: &Positions) -> Positions {
    acked.retain(|channel, acked| stored.get(channel).is_none_or(|stored| *acked > *stored));
    acked
}

/// How far a device lags behind the log of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Whether the device has applied every sequenced change.
    pub is_caught_up: bool,
    /// 0 if the device is caught up; otherwise the age in seconds of the position that it has
    /// applied, an upper bound of how long its missing changes have waited. `None` if the device
    /// has acknowledged no position of this log.
    pub seconds: Option<i64>,
}

/// Derives the lag of a channel from the acknowledged position and the head of its log. A position
/// ahead of the log was issued before the server was restored from a backup and counts as none.
///
/// # Example
///
/// ```
/// mod log { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/log.rs")); }
/// use chrono::{DateTime, Duration};
/// use tidemark_core::rules::ack::{AckPosition, lag};
///
/// let at = DateTime::UNIX_EPOCH;
/// let head = log::head("9");
/// let lag_at = |sequence| {
///     let acked = AckPosition { position: log::at(sequence), at };
///     lag(Some(&acked), Some(&head), at + Duration::seconds(60))
/// };
/// assert!(lag_at("9").is_caught_up && lag_at("9").seconds == Some(0));
/// assert!(!lag_at("8").is_caught_up && lag_at("8").seconds == Some(60));
/// // The position was issued before the server was restored from a backup.
/// assert_eq!(lag_at("10").seconds, None);
/// ```
pub fn lag(acknowledged: Option<&AckPosition>, head: Option<&Head>, now: DateTime<Utc>) -> Lag {
    let end = log_end(head);

    match acknowledged {
        Some(acknowledged) if acknowledged.position == end => Lag {
            is_caught_up: true,
            seconds: Some(0),
        },
        Some(acknowledged) if acknowledged.position < end => Lag {
            is_caught_up: false,
            seconds: Some((now - acknowledged.at).num_seconds().max(0)),
        },
        _ => Lag {
            is_caught_up: false,
            seconds: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::position::Sequence;

    fn moment(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).expect("in range")
    }

    fn position(sequence: &str) -> Position {
        Position {
            epoch: 1,
            sequence: Sequence::parse(sequence).expect("digits"),
            late: 0,
        }
    }

    fn at(sequence: &str, seconds: i64) -> AckPosition {
        AckPosition {
            position: position(sequence),
            at: moment(seconds),
        }
    }

    fn log(sequence: &str, seconds: i64) -> Progress {
        Progress::log(position(sequence), moment(seconds))
    }

    fn head(sequence: &str) -> Head {
        Head {
            position: position(sequence),
            stream: "s".into(),
            floor: None,
            moved_at: moment(0),
            repaired_at: None,
        }
    }

    fn ana() -> Principal {
        Principal {
            tenant: "acme".into(),
            user: "ana".into(),
            roles: vec!["admin".into()],
            groups: vec!["north".into()],
        }
    }

    #[test]
    fn text_order_is_acknowledgement_order() {
        let ordered = [at("9", 50), at("10", 0), at("10", 1), at("11", -5)];
        let texts: Vec<String> = ordered.iter().map(ToString::to_string).collect();

        assert!(ordered.is_sorted() && texts.is_sorted());
        assert!(
            texts
                .iter()
                .zip(ordered)
                .all(|(text, at)| text.parse() == Ok(at))
        );

        assert_eq!("".parse::<AckPosition>(), Err(ParseAckPositionError));
    }

    #[test]
    fn only_log_positions_of_pulled_channels_count() {
        let snapshot = Progress::Snapshot {
            head: position("3"),
            head_read_at: moment(0),
            after: None,
        };
        let mut channels: BTreeMap<Channel, Progress> = (0..5000)
            .map(|number| (Channel::Group(format!("made-up-{number}")), log("9", 0)))
            .collect();
        channels.insert(Channel::Tenant, log("7", 60));
        channels.insert(Channel::User("ana".into()), snapshot);
        channels.insert(Channel::User("ben".into()), log("9", 0));

        channels.insert(Channel::Group("north".into()), log("5", 0));
        let acked = acknowledged(&Token { channels }, &ana(), moment(30));
        let expected = [
            (Channel::Tenant, at("7", 30)),
            (Channel::Group("north".into()), at("5", 0)),
        ];

        assert_eq!(
            acked,
            Positions::from(expected),
            "times in the future are clamped to now"
        );
    }

    #[test]
    fn acknowledgements_converge_in_any_order() {
        let (tenant, group) = (Channel::Tenant, Channel::Group("north".into()));
        let acks = [
            Positions::from([(tenant.clone(), at("5", 0)), (group.clone(), at("9", 9))]),
            Positions::from([(tenant.clone(), at("8", 8))]),
            Positions::from([(tenant.clone(), at("8", 7)), (group.clone(), at("4", 0))]),
        ];

        for order in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let mut stored = Positions::new();
            for ack in order {
                stored.extend(ahead(acks[ack].clone(), &stored));
            }
            assert_eq!(
                stored,
                Positions::from([(tenant.clone(), at("8", 8)), (group.clone(), at("9", 9))]),
                "{order:?}"
            );
        }
    }

    #[test]
    fn lag_is_age_of_applied_position() {
        let lag_of = |acknowledged: Option<AckPosition>| {
            lag(acknowledged.as_ref(), Some(&head("9")), moment(100))
        };

        assert_eq!(
            lag_of(Some(at("9", 0))),
            Lag {
                is_caught_up: true,
                seconds: Some(0)
            }
        );
        assert_eq!(
            lag_of(Some(at("8", 40))),
            Lag {
                is_caught_up: false,
                seconds: Some(60)
            }
        );
        assert_eq!(
            lag_of(Some(at("10", 40))),
            Lag {
                is_caught_up: false,
                seconds: None
            }
        );
        assert_eq!(
            lag_of(None),
            Lag {
                is_caught_up: false,
                seconds: None
            }
        );

        let start = AckPosition {
            position: Position::START,
            at: moment(0),
        };
        assert!(
            lag(Some(&start), None, moment(100)).is_caught_up,
            "a channel without changes is caught up"
        );
    }
}
