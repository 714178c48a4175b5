//! Status (§7.2): what an admin sees of the change log, and of what was put aside.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{serialize_timestamp, serialize_timestamp_option};

/// The answer to a look at the status.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatusResponse {
    /// When this was answered.
    #[serde(serialize_with = "serialize_timestamp")]
    pub server_time: DateTime<Utc>,
    /// The channels of the tenant that have a log, by name; or the one that was asked for, whether
    /// it has one or not.
    pub channels: Vec<ChannelStatus>,
    /// Goes on behind the last channel, or behind the last resource of the one that was asked for;
    /// `null` at the end.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub next_cursor: Option<String>,
    /// Stream records of the whole deployment that could never be handled, and wait for somebody.
    pub dead_letter: FailureCount,
    /// Batches of stream records of the whole deployment that were given up after a day of
    /// failures.
    pub given_up: FailureCount,
}

/// The log of a channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChannelStatus {
    /// Which.
    pub channel: String,
    /// When a change entered the log last; `null` if none ever did.
    #[serde(serialize_with = "serialize_timestamp_option")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub head_moved_at: Option<DateTime<Utc>>,
    /// How long ago that was, in seconds. In a channel where nobody writes it grows, and nothing is
    /// wrong.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub head_age_seconds: Option<i64>,
    /// When a repair brought something into it last; `null` if none ever did.
    #[serde(serialize_with = "serialize_timestamp_option")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub repaired_at: Option<DateTime<Utc>>,
    /// Of a channel that was asked for: how its resources compare with its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<LogComparison>,
}

/// A page of a channel's resources, compared with its log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogComparison {
    /// Resources on this page, at most 1,000; those that changed before the retention of the log
    /// are not compared.
    pub resources: usize,
    /// Of these, those whose version the log has not reached. Of a page alone: other pages have
    /// their own.
    pub not_in_log: usize,
    /// When the oldest of those changes was made; `null` where there is none.
    #[serde(serialize_with = "serialize_timestamp_option")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub oldest_not_in_log_at: Option<DateTime<Utc>>,
    /// How long it has waited, in seconds.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub oldest_not_in_log_seconds: Option<i64>,
    /// The log was read as far back as this page needs. Otherwise there may be more that are not in
    /// it.
    pub is_complete: bool,
}

/// How many objects of a kind the failure bucket holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailureCount {
    /// So many, counted up to 1,000.
    pub objects: usize,
    /// There are more, which were not counted.
    pub has_more: bool,
    /// When the oldest of those that were counted was put there; `null` where there is none.
    #[serde(serialize_with = "serialize_timestamp_option")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub oldest_at: Option<DateTime<Utc>>,
}
