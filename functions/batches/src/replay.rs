//! Running a batch again on behalf of its device, with the claims it came with. What was applied
//! stays applied once; what failed gets a new chance. The audit log is told before anything is
//! applied, and told the outcome together with the new results.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use lambda_http::Request;
use tidemark_aws::{
    Failure, Platform,
    batch::{Batch, Mode},
    edge,
    tables::{Transacted, sync_batches::AnsweredBatch},
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
    push::{answer, intake::Sender},
};

use crate::{Known, known};

pub(crate) async fn replay(
    platform: &Platform,
    request: &Request,
) -> Result<ReplayResponse, Failure> {
    let principal = platform.verifier.principal(request).await?;
    edge::admin(&principal)?;
    let ReplayRequest {
        dry_run,
        with_stored_roles,
    } = if request.body().is_empty() {
        ReplayRequest::default()
    } else {
        edge::body(request)?
    };
    let mut known = known(platform, &principal, request).await?;
    if !with_stored_roles.unwrap_or_default() {
        known.kept.principal = known.kept.principal.without_admin();
    }
    let now = platform.clock.now();
    let dry_run = dry_run.unwrap_or_default();
    let mut results = if dry_run {
        run(platform, &known, Mode::DryRun, now).await?
    } else {
        audit_start(platform, &principal, &known, now).await?;
        let results = run(platform, &known, Mode::Apply, now).await?;
        finish(platform, &principal, &known, &results, now).await?;
        results
    };
    answer::fit(&mut results);
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
    platform: &Platform,
    known: &Known,
    mode: Mode,
    now: DateTime<Utc>,
) -> Result<Vec<ItemResult>, Failure> {
    let Known { id, kept, read } = known;
    let author = Author::device(&id.user, &id.device_id);
    let catalog = &platform.settings.catalog;
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
        let batch = Batch::load(platform, sender, &kept.items, mode).await?;
        batch
            .decide(platform, sender, &mut results, now, mode)
            .await?;
    }
    Ok(results.into_values().collect())
}

async fn audit_start(
    platform: &Platform,
    admin: &Principal,
    known: &Known,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let entry = entry(platform, admin, known, AuditAction::ReplayStarted, now);
    platform.tables.add_audit_entry(&admin.tenant, &entry).await
}

/// Stores the new results and tells the audit log of them, in one transaction.
async fn finish(
    platform: &Platform,
    admin: &Principal,
    known: &Known,
    results: &[ItemResult],
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let Known { id, kept, read } = known;
    let answered = AnsweredBatch {
        processed_at: now,
        results: Cow::Borrowed(results),
    };
    let mut entry = entry(
        platform,
        admin,
        known,
        AuditAction::ReplayFinished,
        platform.clock.now(),
    );
    entry.after = told(results);
    let mut parts = platform.tables.audit_log.transact(&admin.tenant, &entry)?;
    parts.push(platform.tables.sync_batches.transact(
        &admin.tenant,
        id,
        &kept.digest,
        &answered,
        read,
    )?);
    match platform.tables.transact(parts).await? {
        Transacted::Done => Ok(()),
        cancelled if cancelled.lost_race() => {
            let detail = "the batch was answered anew at the same moment: look at it, and replay it again if items are left";
            Err(Problem::new(ProblemCode::Contended, detail).into())
        }
        Transacted::Cancelled(_) => Err(Failure::Outage(
            "transact_write_items on sync_batches: throttled".into(),
        )),
    }
}

fn entry(
    platform: &Platform,
    admin: &Principal,
    known: &Known,
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
            platform.clock.unique_id().to_string(),
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
