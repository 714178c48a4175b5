//! Committing a wave. What touches one row only is a conditional write of its own; what spans rows
//! (unique values, a decision by policy) is a transaction.

use std::{borrow::Cow, collections::HashMap};

use futures_util::future::try_join_all;
use tidemark_core::{
    audit::AuditEntry,
    conflict::ConflictWrite,
    push::{
        decide::{Decision, ResourceWrite, Ruled},
        intake::Sender,
    },
    resource::{Resource, ResourceKey},
    unique::UniqueKey,
};

use super::waves::{Decided, Waves};
use crate::{
    failure::Failure,
    metrics::Metric,
    tables::{Reason, Transacted, resources::Committed, unique_keys::holder},
};

/// What became of a group.
#[derive(Debug)]
pub(super) enum Outcome {
    /// All of it is stored.
    Written,
    /// Others were faster, or hold these unique values: it is decided again.
    Lost(HashMap<UniqueKey, ResourceKey>),
    /// The table would not take it now.
    Unavailable,
}

impl Waves<'_> {
    /// Commits a wave; the outcomes stand in its order.
    pub(super) async fn commit(&self, wave: &[Decided]) -> Result<Vec<Outcome>, Failure> {
        // First of all, so that no crash can leave an item applied whose uploads are not noted, or
        // an admin's write that is not audited.
        let notes = try_join_all(wave.iter().map(|decided| self.note_uploads(decided)));
        tokio::try_join!(notes, self.audit_admin_writes(wave))?;
        let written = wave.iter().filter_map(|decided| {
            Some((
                &decided.group.key,
                &decided.decision.write.as_ref()?.resource,
            ))
        });
        self.platform
            .tables
            .keep_last_payloads(&self.sender.principal.tenant, written)
            .await?;
        let spans = |decided: &&Decided| spans_rows(&decided.decision);
        let (alone, together) = tokio::try_join!(
            self.write_rows(wave.iter().filter(|decided| !spans(decided)).collect()),
            try_join_all(
                wave.iter()
                    .filter(spans)
                    .map(|decided| self.transact(decided))
            ),
        )?;
        let (mut alone, mut together) = (alone.into_iter(), together.into_iter());
        let outcomes = wave.iter().map(|decided| {
            if spans(&decided) {
                together.next()
            } else {
                alone.next()
            }
        });
        let outcomes: Vec<Outcome> = outcomes
            .map(|outcome| outcome.unwrap_or(Outcome::Unavailable))
            .collect();
        let is_accepted = |(decided, outcome): &(&Decided, &Outcome)| {
            decided.decision.write.is_some() && matches!(outcome, Outcome::Written)
        };
        self.platform.meter.count(
            Metric::AcceptedChanges,
            wave.iter().zip(&outcomes).filter(is_accepted).count(),
        );
        // A conflict is stored once the row is what it was decided on.
        Box::pin(self.record(wave, outcomes)).await
    }

    /// Tells the audit log of what an admin is about to write into channels that only the role
    /// opens. A replay has entries of its own.
    async fn audit_admin_writes(&self, wave: &[Decided]) -> Result<(), Failure> {
        let Sender {
            principal,
            is_replay,
            ..
        } = self.sender;
        if !principal.is_admin() || is_replay {
            return Ok(());
        }
        let writes = wave
            .iter()
            .filter_map(|it| Some((&it.group.key, &it.decision.write.as_ref()?.resource)));
        let id = self.platform.clock.unique_id().to_string();
        match AuditEntry::of_admin_write(id, self.now, self.sender, writes) {
            Some(entry) => {
                self.platform
                    .tables
                    .add_audit_entry(&principal.tenant, &entry)
                    .await
            }
            None => Ok(()),
        }
    }

    async fn note_uploads(&self, decided: &Decided) -> Result<(), Failure> {
        if decided.decision.uploads.is_empty() {
            return Ok(());
        }
        let scope = self.sender.principal.scope(&decided.group.key.channel);
        let table = &self.platform.tables.submission_media;
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
    async fn write_rows(&self, wave: Vec<&Decided>) -> Result<Vec<Outcome>, Failure> {
        let writes: Vec<(&ResourceKey, &ResourceWrite)> = wave
            .iter()
            .filter_map(|decided| Some((&decided.group.key, decided.decision.write.as_ref()?)))
            .collect();
        let mut committed = self
            .platform
            .tables
            .resources
            .commit(self.sender.principal, &writes)
            .await?
            .into_iter();
        let outcomes = wave.iter().map(|decided| {
            match decided
                .decision
                .write
                .as_ref()
                .and_then(|_| committed.next())
            {
                None | Some(Committed::Written) => Outcome::Written,
                Some(Committed::Lost) => Outcome::Lost(HashMap::new()),
                Some(Committed::Unavailable) => Outcome::Unavailable,
            }
        });
        Ok(outcomes.collect())
    }

    /// Writes a group whole or not at all.
    async fn transact(&self, decided: &Decided) -> Result<Outcome, Failure> {
        let (tables, tenant) = (&self.platform.tables, &self.sender.principal.tenant);
        let Decided {
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
            let id = self.platform.clock.unique_id().to_string();
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
            let id = self.platform.clock.unique_id().to_string();
            let entry = AuditEntry::of_superseded(id, self.sender, &group.key, superseded, after);
            items.extend(tables.audit_log.transact(tenant, &entry)?);
        }
        match tables.transact(items).await? {
            Transacted::Done => Ok(Outcome::Written),
            Transacted::Cancelled(reasons)
                if reasons
                    .iter()
                    .any(|reason| matches!(reason, Reason::Throttled)) =>
            {
                Ok(Outcome::Unavailable)
            }
            // The unique values come first, in their order.
            Transacted::Cancelled(reasons) => {
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
                    .map(Outcome::Lost)
            }
        }
    }

    /// What a policy decided, with the last payload of a deleted resource, which the audit log
    /// shows.
    async fn shown<'a>(&self, ruled: &'a Ruled) -> Result<Cow<'a, Ruled>, Failure> {
        let key = &ruled.conflict.resource;
        let whole = async |resource: &Resource| {
            self.platform
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
        wave: &[Decided],
        mut outcomes: Vec<Outcome>,
    ) -> Result<Vec<Outcome>, Failure> {
        let is_written =
            |(_, outcome): &(&Decided, &mut Outcome)| matches!(outcome, Outcome::Written);
        let written = wave.iter().zip(&mut outcomes).filter(is_written);
        let mut written: Vec<_> = written
            .filter(|(decided, _)| !decided.decision.conflicts.is_empty())
            .collect();
        if written.is_empty() {
            return Ok(outcomes);
        }
        let conflicts = &self.platform.tables.conflicts;
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
                false => **outcome = Outcome::Lost(HashMap::new()),
            }
        }
        self.platform.meter.count(Metric::ConflictsOpened, opened);
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
