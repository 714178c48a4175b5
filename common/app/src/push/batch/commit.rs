//! Commits a round. An effect on one item of DynamoDB is a conditional write; an effect on several
//! items (unique values, a decision by a policy) is a transaction.

mod conflicts;
mod transaction;

use std::collections::HashMap;

use futures_util::future::try_join_all;
use tidemark_aws::{Error, metrics::Metric, tables::resources::WriteOutcome};
use tidemark_core::{
    model::{
        audit::AuditEntry,
        resource::ResourceKey,
        result::{ItemCode, ItemResult},
    },
    rules::{
        push::{
            decision::{Decision, ResourceWrite},
            edit::Sender,
        },
        unique::UniqueKey,
    },
};

use super::{decide::DecidedGroup, rounds::BatchRun};

/// The outcome of an attempt to commit the decision about a group.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The complete effect of the decision is stored.
    Committed,
    /// A row that the decision is based on was updated concurrently, or an earlier attempt of this
    /// write was applied and its response was lost. The group is decided again.
    ConditionFailed,
    /// Other resources hold these unique values, at least one. The group is decided again, knowing
    /// the holders.
    UniqueHeld(HashMap<UniqueKey, ResourceKey>),
    /// DynamoDB cannot execute the write now. The items get a retryable error.
    Throttled,
}

impl BatchRun<'_> {
    /// Commits a round. Returns the outcomes in the order of its groups.
    pub(super) async fn commit(&self, round: &[DecidedGroup]) -> Result<Vec<Outcome>, Error> {
        // These are written first, so that a crash can never leave an item applied whose uploads
        // are not recorded, or an admin's write that is not audited.
        let uploads_noted = try_join_all(round.iter().map(|decided| self.record_uploads(decided)));
        tokio::try_join!(uploads_noted, self.audit_admin_writes(round))?;

        self.keep_last_payloads(round).await?;
        let outcomes = self.write(round).await?;
        self.count_accepted(round, &outcomes);
        self.count_outage(round, &outcomes);

        // Conflicts are stored after the rows, when the commit has confirmed the rows that they
        // were decided on.
        Box::pin(self.record_conflicts(round, outcomes)).await
    }

    /// Stores the last payloads of the resources that the round deletes.
    async fn keep_last_payloads(&self, round: &[DecidedGroup]) -> Result<(), Error> {
        let written = round.iter().filter_map(|decided| {
            Some((
                &decided.group.key,
                &decided.decision.write.as_ref()?.resource,
            ))
        });
        self.context
            .tables
            .keep_last_payloads(&self.sender.principal.tenant, written)
            .await
    }

    /// Writes every group, in a transaction if its effect spans several items. Returns the outcomes
    /// in the order of the groups.
    async fn write(&self, round: &[DecidedGroup]) -> Result<Vec<Outcome>, Error> {
        let needs_transaction = |decided: &&DecidedGroup| spans_rows(&decided.decision);
        let (single_writes, transactions) = tokio::try_join!(
            self.write_rows(
                round
                    .iter()
                    .filter(|decided| !needs_transaction(decided))
                    .collect()
            ),
            try_join_all(
                round
                    .iter()
                    .filter(needs_transaction)
                    .map(|decided| self.transact(decided))
            ),
        )?;

        let mut single_writes = single_writes.into_iter();
        let mut transactions = transactions.into_iter();
        let outcomes = round.iter().map(|decided| {
            if needs_transaction(&decided) {
                transactions.next()
            } else {
                single_writes.next()
            }
        });
        Ok(outcomes
            .map(|outcome| outcome.unwrap_or(Outcome::Throttled))
            .collect())
    }

    fn count_accepted(&self, round: &[DecidedGroup], outcomes: &[Outcome]) {
        let is_accepted = |(decided, outcome): &(&DecidedGroup, &Outcome)| {
            decided.decision.write.is_some() && matches!(outcome, Outcome::Committed)
        };
        self.context.meter.count(
            Metric::AcceptedChanges,
            round.iter().zip(outcomes).filter(is_accepted).count(),
        );
    }

    /// Counts an outage if items of the round are `unavailable`. The request succeeds, but an
    /// operator must be alerted: the function may lack a permission. Items about corrupt rows have
    /// the same code and are not part of a round.
    fn count_outage(&self, round: &[DecidedGroup], outcomes: &[Outcome]) {
        let is_unavailable = |result: &ItemResult| result.code == Some(ItemCode::Unavailable);
        let is_throttled = |outcome: &Outcome| matches!(outcome, Outcome::Throttled);
        let mut results = round.iter().flat_map(|it| &it.decision.results);

        if outcomes.iter().any(is_throttled) || results.any(is_unavailable) {
            self.context.meter.count_outage();
        }
    }

    /// Adds an audit entry about the writes of an admin to channels that only the admin role grants
    /// access to. A replay is audited separately.
    async fn audit_admin_writes(&self, round: &[DecidedGroup]) -> Result<(), Error> {
        let Sender {
            principal,
            is_replay,
            ..
        } = self.sender;
        if !principal.is_admin() || is_replay {
            return Ok(());
        }

        let writes = round
            .iter()
            .filter_map(|it| Some((&it.group.key, &it.decision.write.as_ref()?.resource)));

        let id = self.context.clock.unique_id().to_string();
        match AuditEntry::of_admin_write(id, self.now, self.sender, writes) {
            Some(entry) => {
                self.context
                    .tables
                    .add_audit_entry(&principal.tenant, &entry)
                    .await
            }
            None => Ok(()),
        }
    }

    async fn record_uploads(&self, decided: &DecidedGroup) -> Result<(), Error> {
        if decided.decision.uploads.is_empty() {
            return Ok(());
        }

        let scope = self.sender.principal.scope(&decided.group.key.channel);
        let table = &self.context.tables.submission_media;
        let puts = decided.decision.uploads.iter().map(|upload| {
            table.put(
                &scope,
                &decided.group.key,
                upload,
                self.sender.principal,
                self.sender.device_id,
                self.now,
            )
        });

        try_join_all(puts).await?;
        Ok(())
    }

    /// Writes the changed rows with one conditional write each. A group with nothing to write
    /// counts as written.
    async fn write_rows(&self, round: Vec<&DecidedGroup>) -> Result<Vec<Outcome>, Error> {
        let writes: Vec<(&ResourceKey, &ResourceWrite)> = round
            .iter()
            .filter_map(|decided| Some((&decided.group.key, decided.decision.write.as_ref()?)))
            .collect();

        let mut committed = self
            .context
            .tables
            .resources
            .commit(self.sender.principal, &writes)
            .await?
            .into_iter();

        let outcomes = round.iter().map(|decided| {
            match decided
                .decision
                .write
                .as_ref()
                .and_then(|_| committed.next())
            {
                None | Some(WriteOutcome::Written) => Outcome::Committed,
                Some(WriteOutcome::ConditionFailed) => Outcome::ConditionFailed,
                Some(WriteOutcome::Unavailable) => Outcome::Throttled,
            }
        });
        Ok(outcomes.collect())
    }
}

/// Returns whether a decision must take effect in several items atomically.
fn spans_rows(decision: &Decision) -> bool {
    !decision.unique.is_empty()
        || decision.policy_conflict.is_some()
        || !decision.superseded.is_empty()
}
