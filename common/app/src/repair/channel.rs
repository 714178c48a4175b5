//! Repair of one channel: compares its log with the resources, and appends the changes that the log
//! lacks.

use tidemark_core::{
    model::{channel::Scope, limits::REPAIR_ROWS_MAX, resource::ResourceKey},
    rules::sequence::{
        plan::{Head, LogStep, log_end},
        repair::Comparison,
    },
    wire::{
        problem::{Problem, ProblemCode},
        repair::ChannelRepair,
    },
};

use super::RepairInvocation;
use crate::{
    compare::{LogCoverage, ReadLimit, read_backward, read_forward},
    sequence::{APPEND_ATTEMPTS_MAX, concurrent_updates},
};
use tidemark_aws::{error::Error, metrics::Metric, tables::changes::AppendOutcome};

/// A channel under repair, whose log was compared up to `head`.
pub(super) struct ChannelLogRepair<'a> {
    pub(super) invocation: RepairInvocation<'a>,
    pub(super) scope: &'a Scope,
    pub(super) head: Option<Head>,
    pub(super) comparison: Comparison,
}

impl ChannelLogRepair<'_> {
    /// Appends the changes that the log lacks. Returns `None` if it lacks none.
    pub(super) async fn repair(&mut self) -> Result<Option<ChannelRepair>, Error> {
        self.compare().await?;
        let missing = self.comparison.missing();
        let Some(oldest) = missing.first().map(|version| version.changed_at) else {
            return Ok(None);
        };
        let missing: Vec<ResourceKey> = missing
            .into_iter()
            .map(|version| version.key.clone())
            .collect();

        self.invocation
            .audit(
                self.scope,
                format!("appends {} missing changes to the log", missing.len()),
            )
            .await?;

        let RepairInvocation {
            context,
            until,
            dry_run,
            ..
        } = self.invocation;
        let mut appended = 0;
        for keys in missing.chunks(REPAIR_ROWS_MAX).filter(|_| !dry_run) {
            if context.clock.now() > until {
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

    /// Compares the log up to its head with the resources.
    async fn compare(&mut self) -> Result<(), Error> {
        let Some(head) = &self.head else {
            return Ok(());
        };
        let bound = ReadLimit {
            until: self.invocation.until,
            segments_max: usize::MAX,
            bytes_max: usize::MAX,
        };

        let context = self.invocation.context;
        match read_backward(context, self.scope, head, &mut self.comparison, bound).await? {
            LogCoverage::Complete => Ok(()),
            LogCoverage::Partial(_) => Err(too_long(self.scope).into()),
        }
    }

    /// Appends the changes of these resources that are still missing, and returns their number.
    async fn append_all(&mut self, keys: &[ResourceKey]) -> Result<usize, Error> {
        let mut appended = 0;
        for _ in 0..APPEND_ATTEMPTS_MAX {
            if self.append(keys, &mut appended).await? == AppendOutcome::Done {
                return Ok(appended);
            }
        }
        Err(concurrent_updates())
    }

    /// Makes one attempt to append. Reads the rows first, then the head and the entries up to it. A
    /// version that is sequenced in between is therefore in the entries and is not appended again;
    /// a version that is sequenced later fails the condition of the append.
    async fn append(
        &mut self,
        keys: &[ResourceKey],
        appended: &mut usize,
    ) -> Result<AppendOutcome, Error> {
        let Self {
            invocation: RepairInvocation { context, .. },
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
            let seen = log_end(self.head.as_ref());
            read_forward(context, scope, seen, head, &mut self.comparison).await?;
        }
        self.head = head;

        let steps = self
            .comparison
            .steps(self.head.as_ref(), rows, context.clock.now());
        if context.tables.changes.append(scope, &steps).await? == AppendOutcome::ConcurrentUpdate {
            return Ok(AppendOutcome::ConcurrentUpdate);
        }

        for LogStep { segment, next_head } in steps {
            *appended += segment.entries.len();
            context
                .meter
                .count(Metric::SequencedChanges, segment.entries.len());
            self.comparison.add_segment(&segment);
            self.head = Some(next_head);
        }
        Ok(AppendOutcome::Done)
    }
}

/// Returns the problem for a repair that ran out of time. What was appended stays in the log, so
/// the same request continues.
fn too_much() -> Problem {
    let detail = "one invocation cannot append all missing changes, and keeps those that it appended: send the same request again";
    Problem::new(ProblemCode::Unavailable, detail)
}

fn too_long(scope: &Scope) -> Problem {
    let detail = format!(
        "the log of the channel {} of {} is too long to be compared in one invocation: set since to the time at which the problem began",
        scope.channel, scope.tenant
    );
    Problem::new(ProblemCode::Unprocessable, detail).at("repair.since")
}
