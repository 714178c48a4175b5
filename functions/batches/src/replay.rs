//! Replays a batch on behalf of its device, with the claims that were stored with it. Applied items
//! are not applied again; failed items are decided again. An audit entry is added before anything
//! is applied, and another one with the outcome in the same transaction as the new results.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use lambda_http::Request;
use tidemark_app::push::{Mode, batch::Batch};
use tidemark_aws::{
    Context, Error, http,
    tables::{TransactionOutcome, sync_batches::CompletedBatch},
};
use tidemark_core::{
    model::{
        json::Json,
        principal::{Author, Principal},
    },
    rules::{
        audit::{AuditAction, AuditEntry, Via},
        batch,
        push::{intake::Sender, response},
    },
    wire::{
        batches::{ReplayRequest, ReplayResponse, RunsAs},
        problem::{Problem, ProblemCode},
        push::ItemResult,
    },
};

use crate::{StoredBatch, load_batch};

pub(crate) async fn replay(context: &Context, request: &Request) -> Result<ReplayResponse, Error> {
    let principal = context.verifier.principal(request).await?;
    http::admin(&principal)?;
    let ReplayRequest {
        dry_run,
        with_stored_roles,
    } = if request.body().is_empty() {
        ReplayRequest::default()
    } else {
        http::body(request)?
    };

    let mut stored = load_batch(context, &principal, request).await?;
    if !with_stored_roles.unwrap_or_default() {
        stored.kept.principal = stored.kept.principal.without_admin();
    }
    let now = context.clock.now();
    let dry_run = dry_run.unwrap_or_default();

    let mut results = if dry_run {
        run(context, &stored, Mode::DryRun, now).await?
    } else {
        audit_start(context, &principal, &stored, now).await?;
        let results = run(context, &stored, Mode::Apply, now).await?;
        finish(context, &principal, &stored, &results, now).await?;
        results
    };

    response::fit(&mut results);
    let runs_as = RunsAs::from(&stored.kept.principal);
    Ok(ReplayResponse {
        batch_id: stored.id.to_string(),
        dry_run,
        runs_as,
        processed_at: now,
        results,
    })
}

/// Loads, decides and commits the items that were not `ok`, as the device that sent them.
async fn run(
    context: &Context,
    stored: &StoredBatch,
    mode: Mode,
    now: DateTime<Utc>,
) -> Result<Vec<ItemResult>, Error> {
    let StoredBatch { id, kept, read } = stored;
    let author = Author::device(&id.user, &id.device_id);
    let catalog = &context.settings.catalog;
    let sender = Sender {
        principal: &kept.principal,
        device_id: &id.device_id,
        author: &author,
        catalog,
        is_replay: true,
    };

    let answered = read
        .answered
        .as_ref()
        .map(|answered| answered.results.to_vec())
        .unwrap_or_default();

    let mut results = batch::applied_results(answered);
    if results.len() < kept.items.len() {
        let batch = Batch::load(context, sender, &kept.items, mode).await?;
        batch
            .decide(context, sender, &mut results, now, mode)
            .await?;
    }
    Ok(results.into_values().collect())
}

async fn audit_start(
    context: &Context,
    admin: &Principal,
    stored: &StoredBatch,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let entry = entry(context, admin, stored, AuditAction::ReplayStarted, now);
    context.tables.add_audit_entry(&admin.tenant, &entry).await
}

/// Stores the new results and an audit entry about them in one transaction.
async fn finish(
    context: &Context,
    admin: &Principal,
    stored: &StoredBatch,
    results: &[ItemResult],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let StoredBatch { id, kept, read } = stored;
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
        &kept.digest,
        &answered,
        read,
    )?);

    match context.tables.transact(parts).await? {
        TransactionOutcome::Done => Ok(()),
        cancelled if cancelled.is_concurrent_update() => {
            let detail = "another request stored results of the batch concurrently: read the batch, and replay it again if items are left";
            Err(Problem::new(ProblemCode::Contended, detail).into())
        }
        TransactionOutcome::Cancelled(_) => Err(Error::Unavailable(
            "transact_write_items on sync_batches: throttled".into(),
        )),
    }
}

fn entry(
    context: &Context,
    admin: &Principal,
    stored: &StoredBatch,
    action: AuditAction,
    at: DateTime<Utc>,
) -> AuditEntry {
    AuditEntry {
        user: stored.id.user.clone(),
        device_id: stored.id.device_id.clone(),
        batch_id: Some(stored.id.to_string()),
        runs_as: Some(RunsAs::from(&stored.kept.principal)),
        before: stored
            .read
            .answered
            .as_ref()
            .and_then(|answered| audited_results(&answered.results)),
        ..AuditEntry::new(
            context.clock.unique_id().to_string(),
            at,
            action,
            &admin.user,
            Via::Api,
        )
    }
}

/// Returns the results as the audit log stores them, without payloads.
fn audited_results(results: &[ItemResult]) -> Option<Json> {
    serde_json::value::to_raw_value(&batch::without_payloads(results)).ok()
}
