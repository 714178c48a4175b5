//! Committing a wave. What touches one row only is a conditional write of its own; what spans rows
//! (unique values, a decision by policy) is a transaction.

use std::{borrow::Cow, collections::HashMap};

use futures_util::future::try_join_all;
use tidemark_core::{
    audit::AuditEntry,
    conflict::ConflictWrite,
    push::{
        decide::{Decision, PolicyConflict, ResourceWrite},
        intake::Sender,
    },
    resource::{Resource, ResourceKey},
    unique::UniqueKey,
};

use super::rounds::{DecidedGroup, Rounds};
use crate::{
    failure::Failure,
    metrics::Metric,
    tables::{Reason, TransactionOutcome, resources::WriteOutcome, unique_keys::holder},
};

/// What became of a group.
#[derive(Debug)]
pub(super) enum CommitOutcome {
    /// All of it is stored.
    Written,
    /// Others were faster, or hold these unique values: it is decided again.
    Lost(HashMap<UniqueKey, ResourceKey>),
    /// The table would not take it now.
    Unavailable,
}

impl Rounds<'_> {
    /// Commits a wave; the outcomes stand in its order.
    pub(super) async fn commit(
        &self,
        round: &[DecidedGroup],
    ) -> Result<Vec<CommitOutcome>, Failure> {
        // First of all, so that no crash can leave an item applied whose uploads are not noted, or
        // an admin's write that is not audited.
        let notes = try_join_all(round.iter().map(|decided| self.note_uploads(decided)));
        tokio::try_join!(notes, self.audit_admin_writes(round))?;
        let written = round.iter().filter_map(|decided| {
            Some((
                &decided.group.key,
                &decided.decision.write.as_ref()?.resource,
            ))
        });
        self.context
            .tables
            .keep_last_payloads(&self.sender.principal.tenant, written)
            .await?;
        let spans = |decided: &&DecidedGroup| spans_rows(&decided.decision);
        let (alone, together) = tokio::try_join!(
            self.write_rows(round.iter().filter(|decided| !spans(decided)).collect()),
            try_join_all(
                round
                    .iter()
                    .filter(spans)
                    .map(|decided| self.transact(decided))
            ),
        )?;
        let (mut alone, mut together) = (alone.into_iter(), together.into_iter());
        let outcomes = round.iter().map(|decided| {
            if spans(&decided) {
                together.next()
            } else {
                alone.next()
            }
        });
        let outcomes: Vec<CommitOutcome> = outcomes
            .map(|outcome| outcome.unwrap_or(CommitOutcome::Unavailable))
            .collect();
        let is_accepted = |(decided, outcome): &(&DecidedGroup, &CommitOutcome)| {
            decided.decision.write.is_some() && matches!(outcome, CommitOutcome::Written)
        };
        self.context.meter.count(
            Metric::AcceptedChanges,
            round.iter().zip(&outcomes).filter(is_accepted).count(),
        );
        // A conflict is stored once the row is what it was decided on.
        Box::pin(self.record(round, outcomes)).await
    }

    /// Tells the audit log of what an admin is about to write into channels that only the role
    /// opens. A replay has entries of its own.
    async fn audit_admin_writes(&self, round: &[DecidedGroup]) -> Result<(), Failure> {
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

    async fn note_uploads(&self, decided: &DecidedGroup) -> Result<(), Failure> {
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

    /// Writes the rows that changed, each by itself; a group with nothing to write counts as
    /// written.
    async fn write_rows(&self, round: Vec<&DecidedGroup>) -> Result<Vec<CommitOutcome>, Failure> {
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
                Some(WriteOutcome::Lost) => CommitOutcome::Lost(HashMap::new()),
                Some(WriteOutcome::Unavailable) => CommitOutcome::Unavailable,
            }
        });
        Ok(outcomes.collect())
    }

    /// Writes a group whole or not at all.
    async fn transact(&self, decided: &DecidedGroup) -> Result<CommitOutcome, Failure> {
        let (tables, tenant) = (&self.context.tables, &self.sender.principal.tenant);
        let DecidedGroup {
            group, decision, ..
        } = decided;
        let mut items = tables.unique_keys.transact(&decision.unique, &group.key)?;
        if let Some(write) = &decision.write {
            items.push(tables.resources.transact(
                &self.sender.principal.scope(&group.key.channel),
                &group.key,
                write,
            )?);
        }
        if let Some(ruled) = &decision.ruled {
            items.extend(
                tables
                    .conflicts
                    .transact(self.sender, &ruled.conflict)
                    .await?,
            );
            let id = self.context.clock.unique_id().to_string();
            let shown = self.shown(ruled).await?;
            let entry = AuditEntry::of_policy(id, self.sender, &shown);
            items.extend(
                entry
                    .map(|entry| tables.audit_log.transact(tenant, &entry))
                    .transpose()?
                    .into_iter()
                    .flatten(),
            );
        }
        for superseded in &decision.superseded {
            items.push(tables.conflicts.supersede(tenant, superseded)?);
            let after = decision.write.as_ref().map(|write| &write.resource);
            let id = self.context.clock.unique_id().to_string();
            let entry = AuditEntry::of_superseded(id, self.sender, &group.key, superseded, after);
            items.extend(tables.audit_log.transact(tenant, &entry)?);
        }
        match tables.transact(items).await? {
            TransactionOutcome::Done => Ok(CommitOutcome::Written),
            TransactionOutcome::Cancelled(reasons)
                if reasons
                    .iter()
                    .any(|reason| matches!(reason, Reason::Throttled)) =>
            {
                Ok(CommitOutcome::Unavailable)
            }
            // The unique values come first, in their order.
            TransactionOutcome::Cancelled(reasons) => {
                let stands = |(key, reason): (&UniqueKey, Reason)| match reason {
                    Reason::ConditionFailed(Some(row)) => {
                        Some(holder(&key.resource_type, row).map(|holder| (key.clone(), holder)))
                    }
                    _ => None,
                };
                decision
                    .unique
                    .touched()
                    .zip(reasons)
                    .filter_map(stands)
                    .collect::<Result<_, _>>()
                    .map(CommitOutcome::Lost)
            }
        }
    }

    /// What a policy decided, with the last payload of a deleted resource, which the audit log
    /// shows.
    async fn shown<'a>(
        &self,
        ruled: &'a PolicyConflict,
    ) -> Result<Cow<'a, PolicyConflict>, Failure> {
        let key = &ruled.conflict.resource;
        let whole = async |resource: &Resource| {
            self.context
                .tables
                .whole(&self.sender.principal.tenant, key, resource.clone())
                .await
        };
        let is_kept = |resource: &Resource| resource.kept.is_some();
        if !ruled.conflict.server.as_ref().is_some_and(is_kept) && !is_kept(&ruled.after) {
            return Ok(Cow::Borrowed(ruled));
        }
        let mut shown = ruled.clone();
        shown.after = whole(&ruled.after).await?;
        if let Some(server) = &ruled.conflict.server {
            shown.conflict.server = Some(whole(server).await?);
        }
        Ok(Cow::Owned(shown))
    }

    /// Stores the conflicts of the groups that are written. Those whose conflicts were not what was
    /// read any more are lost.
    async fn record(
        &self,
        round: &[DecidedGroup],
        mut outcomes: Vec<CommitOutcome>,
    ) -> Result<Vec<CommitOutcome>, Failure> {
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
                false => **outcome = CommitOutcome::Lost(HashMap::new()),
            }
        }
        self.context.meter.count(Metric::ConflictsOpened, opened);
        // The bound is approximate: what is not counted is found by the next count of all.
        if opened > 0
            && let Err(failure) = conflicts.count_opened(self.sender, opened).await
        {
            tracing::warn!(%failure, "opened conflicts were not counted");
        }
        Ok(outcomes)
    }
}

/// Whether what was decided has to take effect in more than one row at once.
fn spans_rows(decision: &Decision) -> bool {
    !decision.unique.is_empty() || decision.ruled.is_some() || !decision.superseded.is_empty()
}
