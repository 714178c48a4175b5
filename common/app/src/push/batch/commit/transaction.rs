//! Commits a decision that must take effect in several rows: unique values, a conflict that a
//! policy resolved, or superseded conflicts, with their audit entries.

use std::borrow::Cow;

use tidemark_aws::{
    Error,
    tables::{Reason, TransactionItem, TransactionOutcome, UniqueKeys},
};
use tidemark_core::{
    model::{audit::AuditEntry, conflict::SupersededConflict, resource::Resource},
    rules::push::decision::{Decision, PolicyConflict},
};

use super::Outcome;
use crate::push::batch::{decide::DecidedGroup, rounds::BatchRun};

impl BatchRun<'_> {
    /// Writes the rows of a group in one transaction.
    pub(super) async fn transact(&self, decided: &DecidedGroup) -> Result<Outcome, Error> {
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
    ) -> Result<Vec<TransactionItem>, Error> {
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
    ) -> Result<Vec<TransactionItem>, Error> {
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
}

/// Returns the outcome of the transaction of a decision.
fn transaction_outcome(decision: &Decision, outcome: TransactionOutcome) -> Result<Outcome, Error> {
    let reasons = match outcome {
        TransactionOutcome::Done => return Ok(Outcome::Committed),
        TransactionOutcome::Cancelled(reasons) => reasons,
    };
    if reasons
        .iter()
        .any(|reason| matches!(reason, Reason::Throttled))
    {
        return Ok(Outcome::Throttled);
    }

    // The unique values are the first items of the transaction.
    let held = UniqueKeys::reported_holders(&decision.unique, reasons)?;
    Ok(if held.is_empty() {
        Outcome::ConditionFailed
    } else {
        Outcome::UniqueHeld(held)
    })
}
