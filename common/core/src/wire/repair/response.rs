//! The response to a repair: what was compared, missing and appended.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    model::{channel::Scope, repair::Period, time::timestamp},
    wire::serialize_timestamp,
};

/// The result of a repair.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RepairResponse {
    /// Whether the repair was a dry run, which writes nothing.
    pub dry_run: bool,
    /// The period whose changes were compared, both ends included. Absent if the channels were
    /// reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<ComparedPeriod>,
    /// The number of channels that were reset, if a reset was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_over: Option<usize>,
    /// The number of resources that were checked, whenever they changed.
    pub looked_at: usize,
    /// The number of resources that changed in the period and whose version the log had not
    /// reached.
    pub missing: usize,
    /// The number of missing versions that this repair appended to the log. Versions that arrived
    /// by another way in the meantime are not counted.
    pub appended: usize,
    /// The channels with missing versions, at most 100.
    pub channels: Vec<ChannelRepair>,
    /// The `cursor` of the next invocation; `null` if the repair is complete.
    pub next_cursor: Option<String>,
}

/// The period whose changes were compared.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ComparedPeriod {
    /// The start of the period.
    #[serde(serialize_with = "serialize_timestamp")]
    pub from: DateTime<Utc>,
    /// The end of the period. Newer changes may still be on their way to the log.
    #[serde(serialize_with = "serialize_timestamp")]
    pub until: DateTime<Utc>,
}

impl From<Period> for ComparedPeriod {
    fn from(Period { from, until }: Period) -> Self {
        Self { from, until }
    }
}

/// The missing versions of one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRepair {
    /// The tenant of the channel.
    pub tenant: String,
    /// The name of the channel.
    pub channel: String,
    /// The number of missing versions in this channel, as in [`RepairResponse::missing`].
    pub missing: usize,
    /// The number of appended versions in this channel, as in [`RepairResponse::appended`].
    pub appended: usize,
    /// The time of the oldest missing change.
    pub oldest: String,
}

impl ChannelRepair {
    /// Returns the repair result of this channel.
    pub fn of(scope: &Scope, missing: usize, appended: usize, oldest: DateTime<Utc>) -> Self {
        let Scope { tenant, channel } = scope;
        Self {
            tenant: tenant.clone(),
            channel: channel.to_string(),
            missing,
            appended,
            oldest: timestamp(oldest),
        }
    }
}
