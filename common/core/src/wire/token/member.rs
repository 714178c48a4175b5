//! The members of the body of a token: the progress of each channel, and the receipts.

use chrono::{DateTime, Utc, serde::ts_milliseconds};
use serde::{Deserialize, Serialize};

use crate::{
    model::{position::Position, token::Progress},
    wire::text,
};

/// One member of the body of a token.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Part {
    Channel(ProgressMember),
    Receipts(Vec<(u64, u64, i64)>),
}

/// The member of a channel: its [`Progress`].
#[derive(Serialize, Deserialize)]
pub(super) enum ProgressMember {
    #[serde(rename = "l")]
    Log {
        #[serde(rename = "p", with = "text")]
        position: Position,
        #[serde(rename = "t", with = "ts_milliseconds")]
        at: DateTime<Utc>,
        #[serde(
            rename = "s",
            default,
            skip_serializing_if = "Option::is_none",
            with = "text::option"
        )]
        segment_key: Option<Position>,
    },
    #[serde(rename = "s")]
    Snapshot {
        #[serde(rename = "p", with = "text")]
        head: Position,
        #[serde(rename = "t", with = "ts_milliseconds")]
        head_read_at: DateTime<Utc>,
        #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
}

impl From<Progress> for ProgressMember {
    fn from(progress: Progress) -> Self {
        match progress {
            Progress::Log {
                position,
                at,
                segment_key,
            } => Self::Log {
                position,
                at,
                segment_key,
            },
            Progress::Snapshot {
                head,
                head_read_at,
                after,
            } => Self::Snapshot {
                head,
                head_read_at,
                after,
            },
        }
    }
}

impl From<ProgressMember> for Progress {
    fn from(member: ProgressMember) -> Self {
        match member {
            ProgressMember::Log {
                position,
                at,
                segment_key,
            } => Self::Log {
                position,
                at,
                segment_key,
            },
            ProgressMember::Snapshot {
                head,
                head_read_at,
                after,
            } => Self::Snapshot {
                head,
                head_read_at,
                after,
            },
        }
    }
}
