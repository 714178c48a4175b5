//! Status (§7.2): the state of the change logs and the dead letters, for admins
//! and viewers.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::wire::{serialize_timestamp, serialize_timestamp_option};

/// The state of the tenant's change logs and the deployment's dead letters.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatusResponse {
    /// The time of the response.
    #[serde(serialize_with = "serialize_timestamp")]
    pub server_time: DateTime<Utc>,
    /// The channels of the tenant that have a change log, by name. If a channel was requested, only
    /// that channel, even if it has no log.
    pub channels: Vec<ChannelStatus>,
    /// The `cursor` of the next page, which continues after the last channel or, for a requested
    /// channel, after its last resource; `null` on the last page.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub next_cursor: Option<String>,
    /// Stream records of the whole deployment that could not be processed and were dead-lettered.
    /// They require manual action.
    pub set_aside: FailureCount,
    /// Batches of stream records of the whole deployment that Lambda discarded after a day of
    /// failures.
    pub given_up: FailureCount,
}

impl StatusResponse {
    /// Returns the response without the values that change with the time of the request.
    #[must_use]
    pub fn without_ages(mut self) -> Self {
        self.server_time = DateTime::UNIX_EPOCH;
        for channel in &mut self.channels {
            channel.head_age_seconds = None;
            if let Some(comparison) = &mut channel.comparison {
                comparison.oldest_not_in_log_seconds = None;
            }
        }
        self
    }
}

/// The state of a channel's change log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChannelStatus {
    /// The name of the channel.
    pub channel: String,
    /// The time at which a change was last appended to the log; `null` if the log has none.
    #[serde(serialize_with = "serialize_timestamp_option")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub head_moved_at: Option<DateTime<Utc>>,
    /// The seconds since `head_moved_at`. The value grows in a channel without writes, which is not
    /// an error.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub head_age_seconds: Option<i64>,
    /// The time at which a repair last appended a change to the log; `null` if no repair did.
    #[serde(serialize_with = "serialize_timestamp_option")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub repaired_at: Option<DateTime<Utc>>,
    /// The comparison of the channel's resources with its log. Present if the channel was
    /// requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<LogComparison>,
}

/// The comparison of one page of a channel's resources with its log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogComparison {
    /// The number of resources on this page, at most 1,000. Resources that last changed before the
    /// log's retention are counted but not compared.
    pub resources: usize,
    /// The number of resources on this page whose version the log has not reached. Each page has
    /// its own number.
    pub not_in_log: usize,
    /// The time of the oldest change that the log has not reached; `null` if `not_in_log` is 0.
    #[serde(serialize_with = "serialize_timestamp_option")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub oldest_not_in_log_at: Option<DateTime<Utc>>,
    /// The seconds since `oldest_not_in_log_at`; `null` if `not_in_log` is 0.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub oldest_not_in_log_seconds: Option<i64>,
    /// Whether the log was read as far back as this page requires. If not, more resources may be
    /// missing in the log.
    pub is_complete: bool,
}

/// The number of objects of one kind in the dead-letter bucket.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailureCount {
    /// The number of objects, counted up to 1,000.
    pub objects: usize,
    /// Whether there are more objects, which were not counted.
    pub has_more: bool,
    /// The time at which the oldest counted object was stored; `null` if `objects` is 0.
    #[serde(serialize_with = "serialize_timestamp_option")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub oldest_at: Option<DateTime<Utc>>,
}
