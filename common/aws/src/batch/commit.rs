//! Committing a wave. What touches one row only is a conditional write of its own; what spans rows (unique values, a decision by policy)
//! is a transaction.

use std::collections::HashMap;

use futures_util::future::try_join_all;
use tidemark_core::{
    audit::AuditEntry,
    conflict::ConflictWrite,
    push::decide::{Decision, ResourceWrite},
    resource::ResourceKey,
    unique::UniqueKey,
};

use super::waves::{Decided, Waves};
use crate::{
    failure::Failure,
    metrics::Metric,
    tables::{Reason, Transacted, conflicts::Recorded, resources::Committed, unique_keys::holder},
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
        // First of all, so that no crash can leave an item applied whose uploads are not noted.
        try_join_all(wave.iter().map(|decided| self.note_uploads(decided))).await?;
        let spans = |decided: &&Decided| spans_rows(&decided.decision);
        let (alone, together) = tokio::try_join!(
            self.write_rows(wave.iter().filter(|decided| !spans(decided)).collect()),
            try_join_all(wave.iter().filter(spans).map(|decided| self.transact(decided))),
        )?;
        let (mut alone, mut together) = (alone.into_iter(), together.into_iter());
        let outcomes = wave.iter().map(|decided| if spans(&decided) { together.next() } else { alone.next() });
        let outcomes: Vec<Outcome> = outcomes.map(|outcome| outcome.unwrap_or(Outcome::Unavailable)).collect();
        // A conflict is stored once the row is what it was decided on.
        let recorded = wave.iter().zip(outcomes).map(async |(decided, outcome)| match outcome {
            Outcome::Written if !self.record(&decided.decision.conflicts).await? => Ok(Outcome::Lost(HashMap::new())),
            outcome => Ok(outcome),
        });
        try_join_all(recorded).await
    }

    async fn note_uploads(&self, decided: &Decided) -> Result<(), Failure> {
        if decided.decision.uploads.is_empty() {
            return Ok(());
        }
        let scope = self.sender.principal.scope(&decided.group.key.channel);
        let table = &self.platform.tables.submission_media;
        let puts =
            decided.decision.uploads.iter().map(|upload| {
                table.put(&scope, &decided.group.key, upload, self.sender.principal, self.sender.device_id, self.now)
            });
        try_join_all(puts).await?;
        Ok(())
    }

    /// Writes the rows that changed, each by itself; a group with nothing to write counts as written.
    async fn write_rows(&self, wave: Vec<&Decided>) -> Result<Vec<Outcome>, Failure> {
        let writes: Vec<(&ResourceKey, &ResourceWrite)> =
            wave.iter().filter_map(|decided| Some((&decided.group.key, decided.decision.write.as_ref()?))).collect();
        let mut committed = self.platform.tables.resources.commit(self.sender.principal, &writes).await?.into_iter();
        let outcomes = wave.iter().map(|decided| match decided.decision.write.as_ref().and_then(|_| committed.next()) {
            None | Some(Committed::Written) => Outcome::Written,
            Some(Committed::Lost) => Outcome::Lost(HashMap::new()),
            Some(Committed::Unavailable) => Outcome::Unavailable,
        });
        Ok(outcomes.collect())
    }

    /// Writes a group whole or not at all.
    async fn transact(&self, decided: &Decided) -> Result<Outcome, Failure> {
        let (tables, tenant) = (&self.platform.tables, &self.sender.principal.tenant);
        let Decided { group, decision, .. } = decided;
        let mut items = tables.unique_keys.transact(&decision.unique, &group.key)?;
        if let Some(write) = &decision.write {
            items.push(tables.resources.transact(&self.sender.principal.scope(&group.key.channel), &group.key, write)?);
        }
        if let Some(ruled) = &decision.ruled {
            items.extend(tables.conflicts.transact(self.sender, &ruled.conflict).await?);
            let id = self.platform.clock.unique_id().to_string();
            let entry = AuditEntry::of_policy(id, self.sender, ruled);
            items.extend(entry.map(|entry| tables.audit_log.transact(tenant, &entry)).transpose()?.into_iter().flatten());
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
            Transacted::Cancelled(reasons) if reasons.iter().any(|reason| matches!(reason, Reason::Throttled)) => {
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
                decision.unique.touched().zip(reasons).filter_map(stands).collect::<Result<_, _>>().map(Outcome::Lost)
            }
        }
    }

    /// Stores a group's conflicts; whether all of them still were what was read.
    async fn record(&self, conflicts: &[ConflictWrite]) -> Result<bool, Failure> {
        let records = conflicts.iter().map(|conflict| self.platform.tables.conflicts.record(self.sender, conflict));
        let recorded = try_join_all(records).await?;
        let opened =
            conflicts.iter().zip(&recorded).filter(|(it, recorded)| it.expected_edits == 0 && **recorded == Recorded::Done);
        self.platform.meter.count(Metric::ConflictsOpened, opened.count());
        Ok(recorded.into_iter().all(|recorded| recorded == Recorded::Done))
    }
}

/// Whether what was decided has to take effect in more than one row at once.
fn spans_rows(decision: &Decision) -> bool {
    !decision.unique.is_empty() || decision.ruled.is_some() || !decision.superseded.is_empty()
}
