//! Repair: brings into the log what it misses of the resources, channel by channel. Bounded work
//! per invocation: a page of resources after the other is compared with the logs of their channels,
//! until the time is up; a cursor leads on. It may die between any two calls, run beside pushes,
//! the sequencing and another repair: each append asks that nothing follows the head that was read,
//! and whoever loses reads on and compares again.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidemark_core::{
    audit::{AuditAction, AuditEntry, Via},
    channel::Scope,
    limits::{
        REPAIR_CHANNELS_REPORTED_MAX, REPAIR_COMPARED_MAX, REPAIR_ROWS_MAX, REPAIR_SECONDS,
        REPAIR_SECONDS_MAX,
    },
    protocol::{
        problem::{Problem, ProblemCode},
        repair::{ChannelRepair, Extent, RepairCursor, RepairRequest, RepairResponse},
    },
    resource::ResourceKey,
    sequence::{
        plan::{Head, LogStep, end_of},
        repair::{Comparison, Period, ResourceVersion, is_started_over, reset_channel},
    },
};

use crate::{
    compare::{LogRead, ReadLimit, look_back, look_on},
    context::Context,
    failure::Failure,
    metrics::Metric,
    tables::changes::AppendOutcome,
};

/// Times a channel is compared again after a lost race; a race is lost only when somebody else made
/// progress.
const RACES_MAX: u32 = 50;
/// Channels repaired side by side: each holds rows in memory.
const CHANNELS_AT_ONCE: usize = 4;

/// Compares as much as fits the time, and mends it.
///
/// # Errors
/// A request that does not read, a log that is too long for one invocation, more that is missing
/// than one appends, or an outage. What was appended before stays.
pub async fn repair(context: &Context, request: &RepairRequest) -> Result<RepairResponse, Failure> {
    let began = context.clock.now();
    let (extent, limit) = (request.extent()?, request.limit()?);
    let period = request.period(context.settings.log_retention, began)?;
    let mut place = request.place()?;
    let mut response = RepairResponse {
        dry_run: request.dry_run,
        compared: Some(period)
            .filter(|_| !request.reset_channel)
            .map(Into::into),
        started_over: request.reset_channel.then_some(0),
        looked_at: 0,
        missing: 0,
        appended: 0,
        channels: Vec::new(),
        next_cursor: None,
    };
    let by = request.requested_by.as_deref().unwrap_or("operator");
    let work = RepairRun {
        context,
        until: began + Duration::seconds(REPAIR_SECONDS_MAX),
        dry_run: request.dry_run,
        by,
    };
    loop {
        let left = limit.map(|limit| limit.saturating_sub(response.looked_at));
        let (rows, looked_at, next) = work.read(&extent, period, place, left).await?;
        response.looked_at += looked_at;
        match &mut response.started_over {
            Some(started_over) => *started_over += work.reset_channel(rows.into_keys()).await?,
            None => {
                for repaired in work.channels(rows).await? {
                    response.missing += repaired.missing;
                    response.appended += repaired.appended;
                    told(&mut response.channels, repaired);
                }
            }
        }
        place = next;
        let is_over = context.clock.now() - began > Duration::seconds(REPAIR_SECONDS);
        if place.is_none() || is_over || limit.is_some_and(|limit| response.looked_at >= limit) {
            break;
        }
    }
    response.next_cursor = place.and_then(|place| request.cursor_behind(&place));
    let RepairResponse {
        looked_at,
        missing,
        appended,
        ..
    } = response;
    tracing::info!(
        looked_at,
        missing,
        appended,
        dry_run = request.dry_run,
        "the change log was compared with the resources"
    );
    Ok(response)
}

/// Adds what is told of a channel: its rows may have stood on several pages.
fn told(channels: &mut Vec<ChannelRepair>, repaired: ChannelRepair) {
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

/// What all parts of an invocation go by.
#[derive(Debug, Clone, Copy)]
struct RepairRun<'a> {
    context: &'a Context,
    until: DateTime<Utc>,
    dry_run: bool,
    /// Who asked for it.
    by: &'a str,
}

impl RepairRun<'_> {
    /// Tells the audit log of the tenant what is about to be done to a channel. A dry run does
    /// nothing.
    async fn audit(self, scope: &Scope, what: String) -> Result<(), Failure> {
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

    /// Reads resources until there are enough to compare, `limit` was looked at, or there are no
    /// more.
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
        Failure,
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
            for (scope, standing) in read.rows {
                channels.entry(scope).or_default().push(standing);
            }
            place = read.next;
            let is_full =
                compared >= REPAIR_COMPARED_MAX || limit.is_some_and(|limit| looked_at >= limit);
            if place.is_none() || is_full || self.context.clock.now() > self.until {
                return Ok((channels, looked_at, place));
            }
        }
    }

    /// Has every device start over in these channels; gives how many that concerns. Those that did
    /// and where nothing happened since are left as they are: a channel's resources may stand on
    /// several pages.
    async fn reset_channel(self, scopes: impl Iterator<Item = Scope>) -> Result<usize, Failure> {
        let mut started_over = 0;
        for scope in scopes {
            started_over += usize::from(self.is_reset(&scope).await?);
        }
        Ok(started_over)
    }

    async fn is_reset(self, scope: &Scope) -> Result<bool, Failure> {
        let changes = &self.context.tables.changes;
        for _ in 0..RACES_MAX {
            let head = changes
                .heads(std::slice::from_ref(scope))
                .await?
                .pop()
                .flatten();
            if is_started_over(head.as_ref()) {
                return Ok(false);
            }
            self.audit(
                scope,
                "has every device start over in the channel".to_owned(),
            )
            .await?;
            let step = reset_channel(head.as_ref(), self.context.clock.now());
            if self.dry_run || changes.append(scope, &[step]).await? == AppendOutcome::Done {
                return Ok(true);
            }
        }
        Err(concurrent_updates())
    }

    /// Compares resources with the logs of their channels; gives those in which something was
    /// missing.
    async fn channels(
        self,
        channels: BTreeMap<Scope, Vec<ResourceVersion>>,
    ) -> Result<Vec<ChannelRepair>, Failure> {
        let scopes: Vec<Scope> = channels.keys().cloned().collect();
        let heads = self.context.tables.changes.heads(&scopes).await?;
        let repairs = channels
            .into_iter()
            .zip(heads)
            .map(async |((scope, standings), head)| {
                let mut channel = Channel {
                    work: self,
                    scope: &scope,
                    head,
                    comparison: Comparison::new(standings),
                };
                channel.repair().await
            });
        let repaired: Vec<Option<ChannelRepair>> = stream::iter(repairs)
            .buffered(CHANNELS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(repaired.into_iter().flatten().collect())
    }
}

/// A channel under repair. The comparison has seen the log up to the head.
struct Channel<'a> {
    work: RepairRun<'a>,
    scope: &'a Scope,
    head: Option<Head>,
    comparison: Comparison,
}

impl Channel<'_> {
    async fn repair(&mut self) -> Result<Option<ChannelRepair>, Failure> {
        let Self {
            work:
                RepairRun {
                    context,
                    until,
                    dry_run,
                    ..
                },
            scope,
            head,
            comparison,
        } = self;
        if let Some(head) = head {
            let bound = ReadLimit {
                until: *until,
                segments_max: usize::MAX,
                bytes_max: usize::MAX,
            };
            if look_back(context, scope, head, comparison, bound).await? != LogRead::Whole {
                return Err(too_long(scope).into());
            }
        }
        let (dry_run, until) = (*dry_run, *until);
        let missing = self.comparison.missing();
        let Some(oldest) = missing.first().map(|standing| standing.changed_at) else {
            return Ok(None);
        };
        let missing: Vec<ResourceKey> = missing
            .into_iter()
            .map(|standing| standing.key.clone())
            .collect();
        self.work
            .audit(
                self.scope,
                format!("appends {} missing changes to the log", missing.len()),
            )
            .await?;
        let mut appended = 0;
        for keys in missing.chunks(REPAIR_ROWS_MAX).filter(|_| !dry_run) {
            if self.work.context.clock.now() > until {
                return Err(too_much().into());
            }
            appended += self.append_all(keys).await?;
        }
        Ok(Some(ChannelRepair::of(
            self.scope,
            missing.len(),
            appended,
            oldest,
        )))
    }

    /// Appends what is still missing of these resources; gives how many that were.
    async fn append_all(&mut self, keys: &[ResourceKey]) -> Result<usize, Failure> {
        let mut appended = 0;
        for _ in 0..RACES_MAX {
            if self.append(keys, &mut appended).await? == AppendOutcome::Done {
                return Ok(appended);
            }
        }
        Err(concurrent_updates())
    }

    /// One try. The rows are read before the head: what was sequenced meanwhile is seen, so an
    /// older version is never appended behind a newer one.
    async fn append(
        &mut self,
        keys: &[ResourceKey],
        appended: &mut usize,
    ) -> Result<AppendOutcome, Failure> {
        let Self {
            work: RepairRun { context, .. },
            scope,
            ..
        } = *self;
        let rows = context
            .tables
            .resources
            .load(&scope.tenant, keys)
            .await?
            .rows;
        let head = context
            .tables
            .changes
            .heads(std::slice::from_ref(scope))
            .await?
            .pop()
            .flatten();
        if let Some(head) = &head {
            let seen = end_of(self.head.as_ref());
            look_on(context, scope, seen, head, &mut self.comparison).await?;
        }
        self.head = head;
        let steps = self
            .comparison
            .steps(self.head.as_ref(), rows, context.clock.now());
        if context.tables.changes.append(scope, &steps).await? == AppendOutcome::LostRace {
            return Ok(AppendOutcome::LostRace);
        }
        for LogStep { segment, head } in steps {
            *appended += segment.entries.len();
            context
                .meter
                .count(Metric::SequencedChanges, segment.entries.len());
            self.comparison.note(&segment);
            self.head = Some(head);
        }
        Ok(AppendOutcome::Done)
    }
}

fn concurrent_updates() -> Failure {
    Failure::Outage(format!("lost {RACES_MAX} races for the head of a channel"))
}

/// What was appended stands in the log, so the same again finds less that is missing.
fn too_much() -> Problem {
    let detail = "more is missing than one invocation appends, and what it appended stays: send the same again";
    Problem::new(ProblemCode::Unavailable, detail)
}

fn too_long(scope: &Scope) -> Problem {
    let detail = format!(
        "the log of the channel {} of {} is too long to be compared in one invocation: say in since when the trouble began",
        scope.channel, scope.tenant
    );
    Problem::new(ProblemCode::Unprocessable, detail).at("repair.since")
}
