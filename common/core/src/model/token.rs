//! Tokens of pulls (§4.1): the progress of a device in each channel.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::model::{channel::Channel, key, limits::SORT_KEY_BYTES_MAX, position::Position};

/// The progress of a device in all channels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Token {
    /// The progress by channel; a channel that is missing starts with a snapshot.
    pub channels: BTreeMap<Channel, Progress>,
}

/// The progress of a device in one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The device reads the change log.
    Log {
        /// Every change up to and including this position is delivered.
        position: Position,
        /// The time of the position (§4.5), from which its age counts: the time at which the device
        /// was caught up, or at which the last change that it received was sequenced
        /// (`Head::moved_at` of the head after its segment).
        at: DateTime<Utc>,
        /// The key of the segment that contains the position; `None` at the end of a segment.
        segment_key: Option<Position>,
    },
    /// The device reads the snapshot with which the channel starts.
    Snapshot {
        /// The head of the log before the snapshot began: the log continues from here.
        head: Position,
        /// The time at which the head was read.
        head_read_at: DateTime<Utc>,
        /// The sort key of the last row read; `None` at the start.
        after: Option<String>,
    },
}

impl Progress {
    /// Returns the progress at the end of a segment of the log.
    pub fn log(position: Position, at: DateTime<Utc>) -> Self {
        Self::Log {
            position,
            at,
            segment_key: None,
        }
    }

    /// Returns whether a snapshot continues at a key that the table can contain.
    pub(crate) fn is_readable(&self) -> bool {
        match self {
            Self::Log { .. } | Self::Snapshot { after: None, .. } => true,
            Self::Snapshot {
                after: Some(after), ..
            } => {
                let names_a_resource = key::split::<2>(after)
                    .is_some_and(|parts| parts.iter().all(|part| !part.is_empty()));
                names_a_resource && after.len() <= SORT_KEY_BYTES_MAX
            }
        }
    }
}
