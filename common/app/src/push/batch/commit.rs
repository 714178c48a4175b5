//! Commits a round. An effect on one item of DynamoDB is a conditional write; an effect on several
//! items (unique values, a decision by a policy) is a transaction.

use std::{borrow::Cow, collections::HashMap};

use aws_sdk_dynamodb::types::TransactWriteItem;
use futures_util::future::try_join_all;
use tidemark_core::{
    model::{
        conflict::{ConflictWrite, SupersededConflict},
        resource::{Resource, ResourceKey},
    },
    rules::{
        audit::AuditEntry,
        push::{
            decide::{Decision, PolicyConflict, ResourceWrite},
            intake::Sender,
        },
        unique::UniqueKey,
    },
};

use super::rounds::{BatchRun, DecidedGroup};
use tidemark_aws::{
    error::Error,
    metrics::Metric,
    tables::{Reason, TransactionOutcome, resources::WriteOutcome, unique_keys::holder},
};

/// The outcome of the commit of one group.
#[derive(Debug)]
pub(super) enum CommitOutcome {
    /// The complete effect of the group is stored.
    Written,
    /// A condition failed because of a concurrent update, or because these unique values are held
    /// by other resources. The group is decided again.
    ConditionFailed(HashMap<UniqueKey, ResourceKey>),
    /// DynamoDB cannot execute the write now.
    Unavailable,
}

impl BatchRun<'_> {
    /// Commits a round. Returns the outcomes in the order of its groups.
    pub(super) async fn commit(&self, round: &[DecidedGroup]) -> Result<Vec<CommitOutcome>, Error> {
        // These are written first, so that a crash can never leave an item applied whose uploads
        // are not recorded, or an admin's write that is not audited.
        let uploads_noted = try_join_all(round.iter().map(|decided| self.record_uploads(decided)));
        tokio::try_join!(uploads_noted, self.audit_admin_writes(round))?;

        self.keep_last_payloads(round).await?;
        let outcomes = self.write(round).await?;
        self.count_accepted(round, &outcomes);

        // Conflicts are stored after the rows, when the commit has confirmed the rows that they
        // were decided on.
        Box::pin(self.record(round, outcomes)).await
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
    async fn write(&self, round: &[DecidedGroup]) -> Result<Vec<CommitOutcome>, Error> {
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
            .map(|outcome| outcome.unwrap_or(CommitOutcome::Unavailable))
            .collect())
    }

    fn count_accepted(&self, round: &[DecidedGroup], outcomes: &[CommitOutcome]) {
        let is_accepted = |(decided, outcome): &(&DecidedGroup, &CommitOutcome)| {
            decided.decision.write.is_some() && matches!(outcome, CommitOutcome::Written)
        };
        self.context.meter.count(
            Metric::AcceptedChanges,
            round.iter().zip(outcomes).filter(is_accepted).count(),
        );
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
    async fn write_rows(&self, round: Vec<&DecidedGroup>) -> Result<Vec<CommitOutcome>, Error> {
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
                None | Some(WriteOutcome::Written) => CommitOutcome::Written,
                Some(WriteOutcome::ConditionFailed) => {
                    CommitOutcome::ConditionFailed(HashMap::new())
                }
                Some(WriteOutcome::Unavailable) => CommitOutcome::Unavailable,
            }
        });
        Ok(outcomes.collect())
    }

    /// Writes the rows of a group in one transaction.
    async fn transact(&self, decided: &DecidedGroup) -> Result<CommitOutcome, Error> {
        let tables = &self.context.tables;
        let DecidedGroup {
            group, decision, ..
        } = decided;

        let mut items = tables
            .unique_keys
            .transaction_items(&decision.unique, &group.key)?;
        if let Some(write) = &decision.write {
            items.push(tables.resources.transaction_items(
                &self.sender.principal.scope(&group.key.channel),
                &group.key,
                write,
            )?);
        }

        if let Some(policy_conflict) = &decision.policy_conflict {
            items.extend(self.policy_items(policy_conflict).await?);
        }
        for superseded in &decision.superseded {
            items.extend(self.superseded_items(decided, superseded)?);
        }

        transaction_outcome(decision, tables.transact(items).await?)
    }

    /// Returns the transaction items that store a conflict which a policy resolved, and its audit
    /// entry.
    async fn policy_items(
        &self,
        policy_conflict: &PolicyConflict,
    ) -> Result<Vec<TransactWriteItem>, Error> {
        let tables = &self.context.tables;
        let mut items = tables
            .conflicts
            .prepare_policy_conflict(self.sender, &policy_conflict.conflict)
            .await?;

        let id = self.context.clock.unique_id().to_string();
        let audit_view = self.audit_view(policy_conflict).await?;
        if let Some(entry) = AuditEntry::of_policy(id, self.sender, &audit_view) {
            let tenant = &self.sender.principal.tenant;
            items.extend(tables.audit_log.transaction_items(tenant, &entry)?);
        }
        Ok(items)
    }

    /// Returns the transaction items that resolve a superseded conflict, and its audit entry.
    fn superseded_items(
        &self,
        DecidedGroup {
            group, decision, ..
        }: &DecidedGroup,
        superseded: &SupersededConflict,
    ) -> Result<Vec<TransactWriteItem>, Error> {
        let (tables, tenant) = (&self.context.tables, &self.sender.principal.tenant);
        let mut items = vec![tables.conflicts.supersede_item(tenant, superseded)?];

        let after = decision.write.as_ref().map(|write| &write.resource);
        let id = self.context.clock.unique_id().to_string();
        let entry = AuditEntry::of_superseded(id, self.sender, &group.key, superseded, after);
        items.extend(tables.audit_log.transaction_items(tenant, &entry)?);
        Ok(items)
    }

    /// Returns a policy decision as the audit log stores it, with the last payload of a deleted
    /// resource.
    async fn audit_view<'a>(
        &self,
        policy_conflict: &'a PolicyConflict,
    ) -> Result<Cow<'a, PolicyConflict>, Error> {
        let key = &policy_conflict.conflict.resource;
        let whole = async |resource: &Resource| {
            self.context
                .tables
                .whole(&self.sender.principal.tenant, key, resource.clone())
                .await
        };
        let is_kept = |resource: &Resource| resource.kept.is_some();

        if !policy_conflict
            .conflict
            .server
            .as_ref()
            .is_some_and(is_kept)
            && !is_kept(&policy_conflict.after)
        {
            return Ok(Cow::Borrowed(policy_conflict));
        }

        let mut audit_view = policy_conflict.clone();
        audit_view.after = whole(&policy_conflict.after).await?;
        if let Some(server) = &policy_conflict.conflict.server {
            audit_view.conflict.server = Some(whole(server).await?);
        }
        Ok(Cow::Owned(audit_view))
    }

    /// Stores the conflicts of the groups that are written. If the stored conflicts of a group
    /// changed after they were read, its outcome becomes [`CommitOutcome::ConditionFailed`].
    async fn record(
        &self,
        round: &[DecidedGroup],
        mut outcomes: Vec<CommitOutcome>,
    ) -> Result<Vec<CommitOutcome>, Error> {
        let is_written = |(_, outcome): &(&DecidedGroup, &mut CommitOutcome)| {
            matches!(outcome, CommitOutcome::Written)
        };

        let written = round.iter().zip(&mut outcomes).filter(is_written);
        let mut written: Vec<_> = written
            .filter(|(decided, _)| !decided.decision.conflicts.is_empty())
            .collect();
        if written.is_empty() {
            return Ok(outcomes);
        }

        let conflicts = &self.context.tables.conflicts;
        let writes: Vec<&[ConflictWrite]> = written
            .iter()
            .map(|(decided, _)| decided.decision.conflicts.as_slice())
            .collect();
        let are_stored = conflicts.record(self.sender, &writes).await?;

        let mut opened = 0;
        for ((decided, outcome), is_stored) in written.iter_mut().zip(are_stored) {
            match is_stored {
                true => {
                    opened += decided
                        .decision
                        .conflicts
                        .iter()
                        .filter(|conflict| conflict.expected_edits == 0)
                        .count()
                }
                false => **outcome = CommitOutcome::ConditionFailed(HashMap::new()),
            }
        }

        self.context.meter.count(Metric::ConflictsOpened, opened);
        // The limit on open conflicts is approximate: the next full count includes conflicts that
        // are not counted here.
        if opened > 0
            && let Err(failure) = conflicts.count_opened(self.sender, opened).await
        {
            tracing::warn!(%failure, "opened conflicts were not counted");
        }
        Ok(outcomes)
    }
}

/// Returns the outcome of the transaction of a decision, with the current holders of the unique
/// values whose conditions failed.
fn transaction_outcome(
    decision: &Decision,
    outcome: TransactionOutcome,
) -> Result<CommitOutcome, Error> {
    let reasons = match outcome {
        TransactionOutcome::Done => return Ok(CommitOutcome::Written),
        TransactionOutcome::Cancelled(reasons) => reasons,
    };
    if reasons
        .iter()
        .any(|reason| matches!(reason, Reason::Throttled))
    {
        return Ok(CommitOutcome::Unavailable);
    }

    let current_holder = |(key, reason): (&UniqueKey, Reason)| match reason {
        Reason::ConditionFailed(Some(row)) => {
            Some(holder(&key.resource_type, row).map(|holder| (key.clone(), holder)))
        }
        _ => None,
    };
    // The unique values are the first items of the transaction, in their order.
    decision
        .unique
        .touched()
        .zip(reasons)
        .filter_map(current_holder)
        .collect::<Result<_, _>>()
        .map(CommitOutcome::ConditionFailed)
}

/// Returns whether a decision must take effect in several items atomically.
fn spans_rows(decision: &Decision) -> bool {
    !decision.unique.is_empty()
        || decision.policy_conflict.is_some()
        || !decision.superseded.is_empty()
}
