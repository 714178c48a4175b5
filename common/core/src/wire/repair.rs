//! Repair of change logs: an operator invokes the changelog function directly, and it compares the
//! log with the resources. Unknown fields are rejected, because a misspelled field would make the
//! repair larger than intended.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    model::{
        channel::{Channel, Scope},
        json::{self, Json},
        repair::{Extent, Period, RepairCursor},
        time::timestamp,
    },
    wire::{
        cursor, deserialize_name_option,
        problem::{Problem, read_body},
        serialize_timestamp,
    },
};

/// The event that requests a repair.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepairEvent {
    /// The extent and options of the repair.
    pub repair: RepairRequest,
}

impl RepairEvent {
    /// Reads the event of a direct invocation.
    ///
    /// # Errors
    /// Returns a [`Problem`] with the JSON path of the field if the event is not a request for a
    /// repair.
    pub fn read(event: &Json) -> Result<Self, Problem> {
        if !json::fields(event)
            .unwrap_or_default()
            .contains_key("repair")
        {
            let detail = "an event is a batch of stream records, or a repair request such as {\"repair\": {}}";
            return Err(Problem::malformed("repair", detail));
        }
        read_body(event.get().as_bytes())
    }
}

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

    /// Returns the position at which the repair continues.
    ///
    /// # Errors
    /// Returns a [`Problem`] if the cursor does not come from a repair of the same extent.
    pub fn place(&self) -> Result<Option<RepairCursor>, Problem> {
        let read = |text: &String| {
            let [tenant, channel, sort_key] = cursor::decode(&self.query(), text).ok()?;
            let scope = Scope {
                tenant,
                channel: Channel::parse(&channel)?,
            };
            Some([scope.partition(), sort_key])
        };

        let position = self
            .cursor
            .as_ref()
            .map(|text| read(text).ok_or(cursor::InvalidCursor))
            .transpose();
        position.map_err(|error| Problem::malformed("repair.cursor", error.to_string()))
    }

    /// Returns the cursor that continues after a row, or `None` if the key does not belong to a
    /// resource.
    pub fn cursor_after(&self, [partition, sort_key]: &RepairCursor) -> Option<String> {
        let Scope { tenant, channel } = Scope::parse(partition)?;
        Some(cursor::encode(
            &self.query(),
            [&tenant, &channel.to_string(), sort_key],
        ))
    }

    fn query(&self) -> String {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        crate::model::key::join(["repair", &part(&self.tenant), &part(&self.channel)])
    }
}

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
