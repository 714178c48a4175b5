//! Repair: an operator has the log compared with the resources, by invoking the changelog function
//! directly. Unknown fields are refused, because a word that is misspelt would have more repaired
//! than was meant.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use super::{deserialize_name_option, problem::Problem, serialize_timestamp, timestamp};
use crate::{
    channel::{Channel, Scope},
    cursor,
    sequence::repair::Period,
};

/// The event that asks for a repair.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepairEvent {
    /// What is asked for.
    pub repair: RepairRequest,
}

/// What is compared with the log, and whether it is mended.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepairRequest {
    /// Only this tenant's channels; 1 to 256 bytes.
    #[serde(default, deserialize_with = "deserialize_name_option")]
    pub tenant: Option<String>,
    /// Only this channel of it.
    #[serde(default)]
    pub channel: Option<String>,
    /// Only what changed then or later: the moment the trouble began. Left out, as far as the log
    /// reaches back.
    #[serde(default)]
    pub since: Option<DateTime<Utc>>,
    /// Nothing is compared: every device starts over in these channels, because the tables were
    /// restored from an older copy.
    #[serde(default)]
    pub reset_channel: bool,
    /// Nothing is written; the answer tells what would be.
    #[serde(default)]
    pub dry_run: bool,
    /// Who asks, for the audit log; 1 to 256 bytes. Left out, `operator`.
    #[serde(default, deserialize_with = "deserialize_name_option")]
    pub requested_by: Option<String>,
    /// Resources to look at in this invocation, at least 1. Left out, as many as fit its time.
    #[serde(default)]
    pub limit: Option<usize>,
    /// The `next_cursor` of the invocation before, which asked for the same tenant and channel.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// Which rows a repair goes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// All there are, or those of one tenant.
    All(Option<String>),
    /// Those of one channel.
    Channel(Scope),
}

/// Where a repair stands in the table: behind this row, by its keys.
pub type RepairCursor = [String; 2];

impl RepairRequest {
    /// What it goes over.
    ///
    /// # Errors
    /// A channel that is none, or one without its tenant.
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
            Problem::malformed(
                "repair.tenant",
                "a channel is named together with its tenant",
            )
        })?;
        Ok(Extent::Channel(Scope { tenant, channel }))
    }

    /// The changes that it goes by.
    ///
    /// # Errors
    /// A time, where nothing is compared.
    pub fn period(&self, retention: Duration, now: DateTime<Utc>) -> Result<Period, Problem> {
        match self.since {
            Some(_) if self.reset_channel => Err(Problem::malformed(
                "repair.since",
                "channels start over as a whole: leave it out with start_over",
            )),
            _ if self.reset_channel => Ok(Period::EVER),
            since => Ok(Period::of_log(since, retention, now)),
        }
    }

    /// How many resources it looks at, if it says so.
    ///
    /// # Errors
    /// None at all.
    pub fn limit(&self) -> Result<Option<usize>, Problem> {
        match self.limit {
            Some(0) => Err(Problem::malformed("repair.limit", "must be at least 1")),
            limit => Ok(limit),
        }
    }

    /// Where it goes on.
    ///
    /// # Errors
    /// A cursor that a repair of the same extent did not answer.
    pub fn place(&self) -> Result<Option<RepairCursor>, Problem> {
        let read = |text: &String| {
            let [tenant, channel, sort_key] = cursor::decode(&self.query(), text).ok()?;
            let scope = Scope {
                tenant,
                channel: Channel::parse(&channel)?,
            };
            Some([scope.partition(), sort_key])
        };
        let place = self
            .cursor
            .as_ref()
            .map(|text| read(text).ok_or(cursor::InvalidCursor))
            .transpose();
        place.map_err(|error| Problem::malformed("repair.cursor", error.to_string()))
    }

    /// The cursor that leads on behind a row; `None` for keys that are no resource's.
    pub fn cursor_behind(&self, [partition, sort_key]: &RepairCursor) -> Option<String> {
        let Scope { tenant, channel } = Scope::parse(partition)?;
        Some(cursor::encode(
            &self.query(),
            [&tenant, &channel.to_string(), sort_key],
        ))
    }

    fn query(&self) -> String {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        crate::key::join(["repair", &part(&self.tenant), &part(&self.channel)])
    }
}

/// What a repair found, and did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RepairResponse {
    /// Nothing was written.
    pub dry_run: bool,
    /// Of the changes made in this time, both ends included; left out where nothing is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<ComparedPeriod>,
    /// Channels in which every device starts over, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_over: Option<usize>,
    /// Resources that were looked at, whenever they changed.
    pub looked_at: usize,
    /// Resources that changed in that time and whose version the log had not reached.
    pub missing: usize,
    /// Of these, those that stand in the log now. Those that others brought there meanwhile are
    /// none of them.
    pub appended: usize,
    /// The channels in which something was missing, at most 100.
    pub channels: Vec<ChannelRepair>,
    /// There is more to look at: the same again, with this as `cursor`. `null` at the end.
    pub next_cursor: Option<String>,
}

/// The time that was compared.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ComparedPeriod {
    /// Its beginning.
    #[serde(serialize_with = "serialize_timestamp")]
    pub from: DateTime<Utc>,
    /// Its end: what is younger is on its way.
    #[serde(serialize_with = "serialize_timestamp")]
    pub until: DateTime<Utc>,
}

impl From<Period> for ComparedPeriod {
    fn from(Period { from, until }: Period) -> Self {
        Self { from, until }
    }
}

/// What was missing in a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRepair {
    /// Whose.
    pub tenant: String,
    /// Which.
    pub channel: String,
    /// As [`RepairResponse::missing`].
    pub missing: usize,
    /// As [`RepairResponse::appended`].
    pub appended: usize,
    /// When the oldest of the missing changes was made.
    pub oldest: String,
}

impl ChannelRepair {
    /// Of this channel.
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
