//! The request for a repair: its extent, its period, and its limit.

use chrono::{DateTime, Duration, Utc};
use serde::Deserialize;

use crate::{
    model::{
        channel::{Channel, Scope},
        repair::{Extent, Period},
    },
    wire::{deserialize_name_option, problem::Problem},
};

/// The extent of a repair and its options.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepairRequest {
    /// Limits the repair to the channels of this tenant; 1 to 256 bytes.
    #[serde(default, deserialize_with = "deserialize_name_option")]
    pub tenant: Option<String>,
    /// Limits the repair to this channel of the tenant.
    #[serde(default)]
    pub channel: Option<String>,
    /// Limits the repair to resources that changed at this time or later: the start of the problem.
    /// Default: the start of the log's retention.
    #[serde(default)]
    pub since: Option<DateTime<Utc>>,
    /// Resets the channels instead of comparing them, because the tables were restored from an
    /// older copy: every device gets a full resync.
    #[serde(default)]
    pub start_over: bool,
    /// Writes nothing; the response reports what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// The name of the requester for the audit log, 1 to 256 bytes. Default: `operator`.
    #[serde(default, deserialize_with = "deserialize_name_option")]
    pub requested_by: Option<String>,
    /// Maximum number of resources to check in this invocation, at least 1. Default: as many as fit
    /// into its time limit.
    #[serde(default)]
    pub limit: Option<usize>,
    /// The `next_cursor` of the previous invocation, which must have had the same tenant and
    /// channel.
    #[serde(default)]
    pub cursor: Option<String>,
}

impl RepairRequest {
    /// Returns the rows that the repair covers.
    ///
    /// # Errors
    /// Returns a [`Problem`] if the channel is invalid or has no tenant.
    pub fn extent(&self) -> Result<Extent, Problem> {
        let Some(text) = &self.channel else {
            return Ok(Extent::All(self.tenant.clone()));
        };

        let channel = Channel::parse(text).ok_or_else(|| {
            Problem::malformed(
                "repair.channel",
                "must be tenant, user/<sub> or group/<name>",
            )
        })?;

        let tenant = self.tenant.clone();
        let tenant = tenant.ok_or_else(|| {
            Problem::malformed("repair.tenant", "missing: a channel requires its tenant")
        })?;

        Ok(Extent::Channel(Scope { tenant, channel }))
    }

    /// Returns the period whose changes the repair compares.
    ///
    /// # Errors
    /// Returns a [`Problem`] if `since` is combined with a reset.
    pub fn period(&self, retention: Duration, now: DateTime<Utc>) -> Result<Period, Problem> {
        match self.since {
            Some(_) if self.start_over => Err(Problem::malformed(
                "repair.since",
                "channels are reset completely: leave it out with start_over",
            )),
            _ if self.start_over => Ok(Period::EVER),
            since => Ok(Period::of_log(since, retention, now)),
        }
    }

    /// Returns the maximum number of resources to check, if the request has one.
    ///
    /// # Errors
    /// Returns a [`Problem`] if the limit is 0.
    pub fn limit(&self) -> Result<Option<usize>, Problem> {
        match self.limit {
            Some(0) => Err(Problem::malformed("repair.limit", "must be at least 1")),
            limit => Ok(limit),
        }
    }
}
