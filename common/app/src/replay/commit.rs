//! The writes of a replay besides those of its items: the audit entries and the new results.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use tidemark_aws::{
    Context, Error,
    tables::{TransactionOutcome, sync_batches::CompletedBatch},
};
use tidemark_core::{
    model::{
        audit::{AuditAction, AuditEntry, RunsAs, Via},
        json::Json,
        principal::Principal,
        result::ItemResult,
    },
    rules::batch,
    wire::{
        problem::{Problem, ProblemCode},
        push::ItemResultBody,
    },
};

use crate::batches::StoredBatch;

/// Adds the audit entry that a replay begins.
pub(super) async fn audit_start(
    context: &Context,
    admin: &Principal,
    stored: &StoredBatch,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let entry = entry(context, admin, stored, AuditAction::ReplayStarted, now);
    context.tables.add_audit_entry(&admin.tenant, &entry).await
}

/// Stores the new results and an audit entry about them in one transaction.
pub(super) async fn finish(
    context: &Context,
    admin: &Principal,
    stored: &StoredBatch,
    results: &[ItemResult],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let StoredBatch { id, raw, read } = stored;
    let answered = CompletedBatch {
        processed_at: now,
        results: Cow::Borrowed(results),
    };

    let mut entry = entry(
        context,
        admin,
        stored,
        AuditAction::ReplayFinished,
        context.clock.now(),
    );
    entry.after = audited_results(results);

    let mut parts = context
        .tables
        .audit_log
        .transaction_items(&admin.tenant, &entry)?;
    parts.push(context.tables.sync_batches.transaction_items(
        &admin.tenant,
        id,
        &raw.digest,
        &answered,
        read,
    )?);

    match context.tables.transact(parts).await? {
        TransactionOutcome::Done => Ok(()),
        cancelled if cancelled.is_concurrent_update() => {
            let detail = "another request stored results of the batch concurrently: read the \
                          batch, and replay it again if items are left";
            Err(Problem::new(ProblemCode::Contended, detail).into())
        }
        TransactionOutcome::Cancelled(_) => Err(Error::unavailable(
            "transact_write_items on sync_batches: throttled",
        )),
    }
}

/// Returns an audit entry about the replay, with the results before it.
fn entry(
    context: &Context,
    admin: &Principal,
    stored: &StoredBatch,
    action: AuditAction,
    at: DateTime<Utc>,
) -> AuditEntry {
    let results_before = stored
        .read
        .answered
        .as_ref()
        .and_then(|answered| audited_results(&answered.results));
    let id = context.clock.unique_id().to_string();

    AuditEntry {
        user: stored.id.user.clone(),
        device_id: stored.id.device_id.clone(),
        batch_id: Some(stored.id.to_string()),
        runs_as: Some(RunsAs::from(&stored.raw.principal)),
        before: results_before,
        ..AuditEntry::new(id, at, action, &admin.user, Via::Api)
    }
}

/// Returns the results as the audit log stores them, without payloads.
fn audited_results(results: &[ItemResult]) -> Option<Json> {
    let results: Vec<_> = results
        .iter()
        .map(|result| ItemResultBody::from(batch::without_payload(result)))
        .collect();
    serde_json::value::to_raw_value(&results).ok()
}
