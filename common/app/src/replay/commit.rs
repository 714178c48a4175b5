//! The writes of a replay besides those of its items: the audit entries and the new results.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use tidemark_aws::{
    Error,
    tables::{TransactionOutcome, sync_batches::CompletedBatch},
};
use tidemark_core::{
    model::{
        audit::{AuditAction, AuditEntry, RunsAs, Via},
        json::Json,
        result::ItemResult,
    },
    rules::batch,
    wire::{
        problem::{Problem, ProblemCode},
        push::ItemResultBody,
    },
};

use super::Replayer;
use crate::batches::StoredBatch;

impl Replayer<'_> {
    /// Returns an audit entry about the batch, without its state before and after the action.
    pub(super) fn entry(
        &self,
        stored: &StoredBatch,
        action: AuditAction,
        at: DateTime<Utc>,
    ) -> AuditEntry {
        let id = self.context.clock.unique_id().to_string();
        AuditEntry {
            user: stored.id.user.clone(),
            device_id: stored.id.device_id.clone(),
            batch_id: Some(stored.id.to_string()),
            bulk_id: self.bulk_id.map(str::to_owned),
            runs_as: Some(RunsAs::from(&stored.raw.principal)),
            ..AuditEntry::new(id, at, action, &self.admin.user, Via::Api)
        }
    }

    /// Stores the new results and an audit entry about them in one transaction.
    ///
    /// # Errors
    /// Returns a `contended` problem if the stored results are not those that were read, and
    /// `Error::Unavailable` if DynamoDB is unavailable.
    pub(super) async fn finish(
        &self,
        stored: &StoredBatch,
        results: &[ItemResult],
        entry: &AuditEntry,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let StoredBatch { id, raw, read } = stored;
        let answered = CompletedBatch {
            processed_at: now,
            results: Cow::Borrowed(results),
        };

        let (tables, tenant) = (&self.context.tables, &self.admin.tenant);
        let mut parts = tables.audit_log.transaction_items(tenant, entry)?;
        parts.push(tables.sync_batches.transaction_items(
            tenant,
            id,
            &raw.digest,
            &answered,
            read,
        )?);

        match tables.transact(parts).await? {
            TransactionOutcome::Done => Ok(()),
            cancelled if cancelled.is_concurrent_update() => {
                let detail = "another request stored results of the batch concurrently: read the \
                              batch, and send the request again if items are left";
                Err(Problem::new(ProblemCode::Contended, detail).into())
            }
            TransactionOutcome::Cancelled(_) => Err(Error::unavailable(
                "transact_write_items on sync_batches: throttled",
            )),
        }
    }
}

/// Returns the entry with the stored results of the batch as the state before the action.
pub(super) fn with_results_before(entry: AuditEntry, stored: &StoredBatch) -> AuditEntry {
    let answered = stored.read.answered.as_ref();
    AuditEntry {
        before: answered.and_then(|answered| audited_results(&answered.results)),
        ..entry
    }
}

/// Returns the results as the audit log stores them, without payloads.
pub(super) fn audited_results(results: &[ItemResult]) -> Option<Json> {
    let results: Vec<_> = results.iter().map(audited_result).collect();
    serde_json::value::to_raw_value(&results).ok()
}

/// Returns a result as the audit log stores it, without its payload.
pub(super) fn audited_result(result: &ItemResult) -> ItemResultBody {
    ItemResultBody::from(batch::without_payload(result))
}
