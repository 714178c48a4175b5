//! Repair: appends changes of resources that a change log lacks, channel by channel. The work per
//! invocation is bounded: pages of resources are compared with the logs of their channels until the
//! time is up, and a cursor continues the repair. A repair may be killed between any two calls, and
//! may run concurrently with pushes, sequencing and another repair: each append requires that
//! nothing follows the head that was read. If that condition fails, the repair reads the new log
//! entries and compares again.

mod channel;

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidemark_aws::{Context, Error, tables::changes::AppendOutcome};
use tidemark_core::{
    model::{
        audit::{AuditAction, AuditEntry, Via},
        channel::Scope,
        limits::{
            REPAIR_CHANNELS_REPORTED_MAX, REPAIR_COMPARED_MAX, REPAIR_SECONDS, REPAIR_SECONDS_MAX,
        },
        repair::{Extent, Period, RepairCursor, ResourceVersion},
    },
    rules::sequence::repair::{Comparison, reset_devices, was_reset},
    wire::repair::{ChannelRepair, RepairRequest, RepairResponse},
};

use crate::sequence::{APPEND_ATTEMPTS_MAX, concurrent_updates};
use channel::ChannelLogRepair;

/// The number of channels that are repaired concurrently. Each holds rows in memory.
const PARALLEL_CHANNELS: usize = 4;

/// Compares as many resources as the time allows, and appends the missing changes.
///
/// # Errors
/// Returns a problem if the request is invalid, if a log is too long for one invocation, or if more
/// changes are missing than one invocation can append. Returns `Error::Unavailable` if DynamoDB is
/// unavailable, and `Error::Corrupt` if a segment cannot be decoded. Changes that were appended
/// before the error remain.
pub async fn repair(context: &Context, request: &RepairRequest) -> Result<RepairResponse, Error> {
    let began = context.clock.now();
    let (extent, limit) = (request.extent()?, request.limit()?);
    let period = request.period(context.settings.log_retention, began)?;
    let mut place = request.place()?;

    let mut response = empty_response(request, period);
    let invocation = RepairInvocation {
        context,
        until: began + Duration::seconds(REPAIR_SECONDS_MAX),
        dry_run: request.dry_run,
        by: request.requested_by.as_deref().unwrap_or("operator"),
    };

    loop {
        let left = limit.map(|limit| limit.saturating_sub(response.looked_at));
        let (rows, looked_at, next) = invocation.read(&extent, period, place, left).await?;
        response.looked_at += looked_at;
        invocation.repair_page(rows, &mut response).await?;

        place = next;
        let is_over = context.clock.now() - began > Duration::seconds(REPAIR_SECONDS);
        if place.is_none() || is_over || limit.is_some_and(|limit| response.looked_at >= limit) {
            break;
        }
    }

    response.next_cursor = place.and_then(|place| request.cursor_after(&place));
    tracing::info!(
        looked_at = response.looked_at,
        missing = response.missing,
        appended = response.appended,
        dry_run = request.dry_run,
        "the change log was compared with the resources"
    );
    Ok(response)
}

/// Returns the response of a repair that has not begun.
fn empty_response(request: &RepairRequest, period: Period) -> RepairResponse {
    RepairResponse {
        dry_run: request.dry_run,
        compared: Some(period).filter(|_| !request.start_over).map(Into::into),
        started_over: request.start_over.then_some(0),
        looked_at: 0,
        missing: 0,
        appended: 0,
        channels: Vec::new(),
        next_cursor: None,
    }
}

/// Adds the repair of a channel to the report. Merges it with the entry of an earlier page, because
/// the rows of a channel may be on several pages.
fn report(channels: &mut Vec<ChannelRepair>, repaired: ChannelRepair) {
    let same = |known: &ChannelRepair| {
        known.tenant == repaired.tenant && known.channel == repaired.channel
    };
    match channels.iter().position(same) {
        Some(at) => {
            let known = &mut channels[at];
            known.missing += repaired.missing;
            known.appended += repaired.appended;
            known.oldest = std::mem::take(&mut known.oldest).min(repaired.oldest);
        }
        None if channels.len() < REPAIR_CHANNELS_REPORTED_MAX => channels.push(repaired),
        None => {}
    }
}

/// The parameters that all parts of an invocation share.
#[derive(Debug, Clone, Copy)]
struct RepairInvocation<'a> {
    context: &'a Context,
    until: DateTime<Utc>,
    dry_run: bool,
    /// The operator who requested the repair.
    by: &'a str,
}

impl RepairInvocation<'_> {
    /// Adds an audit entry of the tenant about the planned change of a channel. A dry run adds
    /// none.
    async fn audit(self, scope: &Scope, what: String) -> Result<(), Error> {
        if self.dry_run {
            return Ok(());
        }

        let clock = &self.context.clock;
        let entry = AuditEntry::new(
            clock.unique_id().to_string(),
            clock.now(),
            AuditAction::Repair,
            self.by,
            Via::Invocation,
        );
        let entry = AuditEntry {
            channel: Some(scope.channel.to_string()),
            note: Some(what),
            ..entry
        };

        self.context
            .tables
            .add_audit_entry(&scope.tenant, &entry)
            .await
    }

    /// Reads resources until enough are collected for a comparison, `limit` resources were read, or
    /// none are left.
    async fn read(
        self,
        extent: &Extent,
        period: Period,
        mut place: Option<RepairCursor>,
        limit: Option<usize>,
    ) -> Result<
        (
            BTreeMap<Scope, Vec<ResourceVersion>>,
            usize,
            Option<RepairCursor>,
        ),
        Error,
    > {
        let mut channels: BTreeMap<Scope, Vec<ResourceVersion>> = BTreeMap::new();
        let (mut compared, mut looked_at) = (0, 0);

        loop {
            let room = (REPAIR_COMPARED_MAX - compared)
                .min(limit.map_or(usize::MAX, |limit| limit - looked_at));
            let read = self
                .context
                .tables
                .resources
                .resource_versions(extent, period, place.as_ref(), room)
                .await?;
            looked_at += read.looked_at;
            compared += read.rows.len();
            for (scope, version) in read.rows {
                channels.entry(scope).or_default().push(version);
            }

            place = read.next;
            let is_full =
                compared >= REPAIR_COMPARED_MAX || limit.is_some_and(|limit| looked_at >= limit);
            if place.is_none() || is_full || self.context.clock.now() > self.until {
                return Ok((channels, looked_at, place));
            }
        }
    }

    /// Resets or repairs the channels of the rows that were read, and adds the result to the
    /// response.
    async fn repair_page(
        self,
        rows: BTreeMap<Scope, Vec<ResourceVersion>>,
        response: &mut RepairResponse,
    ) -> Result<(), Error> {
        match &mut response.started_over {
            Some(started_over) => *started_over += self.reset_channels(rows.into_keys()).await?,
            None => {
                for repaired in self.channels(rows).await? {
                    response.missing += repaired.missing;
                    response.appended += repaired.appended;
                    report(&mut response.channels, repaired);
                }
            }
        }
        Ok(())
    }

    /// Resets the channels, so that every device does a full resync of them, and returns the number
    /// of channels that were reset. Skips channels without changes since their last reset, because
    /// the rows of a channel may be on several pages.
    async fn reset_channels(self, scopes: impl Iterator<Item = Scope>) -> Result<usize, Error> {
        let mut started_over = 0;
        for scope in scopes {
            started_over += usize::from(self.reset_devices(&scope).await?);
        }
        Ok(started_over)
    }

    async fn reset_devices(self, scope: &Scope) -> Result<bool, Error> {
        let changes = &self.context.tables.changes;
        for _ in 0..APPEND_ATTEMPTS_MAX {
            let head = changes
                .heads(std::slice::from_ref(scope))
                .await?
                .pop()
                .flatten();

            if was_reset(head.as_ref()) {
                return Ok(false);
            }

            self.audit(scope, "resets the channel for every device".to_owned())
                .await?;

            let step = reset_devices(head.as_ref(), self.context.clock.now());
            if self.dry_run || changes.append(scope, &[step]).await? == AppendOutcome::Done {
                return Ok(true);
            }
        }

        Err(concurrent_updates())
    }

    /// Compares resources with the logs of their channels. Returns the channels that lacked
    /// changes.
    async fn channels(
        self,
        channels: BTreeMap<Scope, Vec<ResourceVersion>>,
    ) -> Result<Vec<ChannelRepair>, Error> {
        let scopes: Vec<Scope> = channels.keys().cloned().collect();
        let heads = self.context.tables.changes.heads(&scopes).await?;

        let repairs = channels
            .into_iter()
            .zip(heads)
            .map(async |((scope, versions), head)| {
                let mut channel = ChannelLogRepair {
                    invocation: self,
                    scope: &scope,
                    head,
                    comparison: Comparison::new(versions),
                };
                channel.repair().await
            });

        let repaired: Vec<Option<ChannelRepair>> = stream::iter(repairs)
            .buffered(PARALLEL_CHANNELS)
            .try_collect()
            .await?;
        Ok(repaired.into_iter().flatten().collect())
    }
}
