//! Running a batch again on behalf of its device, with the claims it came with. What was applied
//! stays applied once; what failed gets a new chance. The audit log is told before anything is
//! applied, and told the outcome together with the new results.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use lambda_http::Request;
use tidemark_aws::{
    Context, Failure,
    batch::{Batch, Mode},
    http,
    tables::{TransactionOutcome, sync_batches::CompletedBatch},
};
use tidemark_core::{
    audit::{AuditAction, AuditEntry, Via},
    batch,
    json::Json,
    principal::{Author, Principal},
    protocol::{
        batches::{ReplayRequest, ReplayResponse, RunsAs},
        problem::{Problem, ProblemCode},
        push::ItemResult,
    },
    push::{intake::Sender, response},
};

use crate::{StoredBatch, known};

pub(crate) async fn replay(
    context: &Context,
    request: &Request,
) -> Result<ReplayResponse, Failure> {
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
    let mut known = known(context, &principal, request).await?;
    if !with_stored_roles.unwrap_or_default() {
        known.kept.principal = known.kept.principal.without_admin();
    }
    let now = context.clock.now();
    let dry_run = dry_run.unwrap_or_default();
    let mut results = if dry_run {
        run(context, &known, Mode::DryRun, now).await?
    } else {
        audit_start(context, &principal, &known, now).await?;
        let results = run(context, &known, Mode::Apply, now).await?;
        finish(context, &principal, &known, &results, now).await?;
        results
    };
    response::fit(&mut results);
    let runs_as = RunsAs::from(&known.kept.principal);
    Ok(ReplayResponse {
        batch_id: known.id.to_string(),
        dry_run,
        runs_as,
        processed_at: now,
        results,
    })
}

/// Load → decide → commit of the items that were not `ok`, as the device that sent them.
async fn run(
    context: &Context,
    known: &StoredBatch,
    mode: Mode,
    now: DateTime<Utc>,
) -> Result<Vec<ItemResult>, Failure> {
    let StoredBatch { id, kept, read } = known;
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
    let mut results = batch::settled(answered);
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
    known: &StoredBatch,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let entry = entry(context, admin, known, AuditAction::ReplayStarted, now);
    context.tables.add_audit_entry(&admin.tenant, &entry).await
}

/// Stores the new results and tells the audit log of them, in one transaction.
async fn finish(
    context: &Context,
    admin: &Principal,
    known: &StoredBatch,
    results: &[ItemResult],
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let StoredBatch { id, kept, read } = known;
    let answered = CompletedBatch {
        processed_at: now,
        results: Cow::Borrowed(results),
    };
    let mut entry = entry(
        context,
        admin,
        known,
        AuditAction::ReplayFinished,
        context.clock.now(),
    );
    entry.after = told(results);
    let mut parts = context.tables.audit_log.transact(&admin.tenant, &entry)?;
    parts.push(context.tables.sync_batches.transact(
        &admin.tenant,
        id,
        &kept.digest,
        &answered,
        read,
    )?);
    match context.tables.transact(parts).await? {
        TransactionOutcome::Done => Ok(()),
        cancelled if cancelled.is_concurrent_update() => {
            let detail = "the batch was answered anew at the same moment: look at it, and replay it again if items are left";
            Err(Problem::new(ProblemCode::Contended, detail).into())
        }
        TransactionOutcome::Cancelled(_) => Err(Failure::Outage(
            "transact_write_items on sync_batches: throttled".into(),
        )),
    }
}

fn entry(
    context: &Context,
    admin: &Principal,
    known: &StoredBatch,
    action: AuditAction,
    at: DateTime<Utc>,
) -> AuditEntry {
    AuditEntry {
        user: known.id.user.clone(),
        device_id: known.id.device_id.clone(),
        batch_id: Some(known.id.to_string()),
        runs_as: Some(RunsAs::from(&known.kept.principal)),
        before: known
            .read
            .answered
            .as_ref()
            .and_then(|answered| told(&answered.results)),
        ..AuditEntry::new(
            context.clock.unique_id().to_string(),
            at,
            action,
            &admin.user,
            Via::Api,
        )
    }
}

/// Results as the audit log shows them.
fn told(results: &[ItemResult]) -> Option<Json> {
    serde_json::value::to_raw_value(&batch::without_payloads(results)).ok()
}
