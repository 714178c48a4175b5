//! Replay (§7): runs a stored batch again on behalf of its device, with the claims that were stored
//! with it. Applied items are not applied again; failed items are decided again. An audit entry is
//! added before anything is applied, and another one with the outcome in the same transaction as
//! the new results.

mod commit;

use chrono::{DateTime, Utc};
use tidemark_aws::{Context, Error, media::Media};
use tidemark_core::{
    model::{
        audit::RunsAs,
        principal::{Author, Principal},
        result::ItemResult,
    },
    rules::{
        batch,
        push::{edit::Sender, response},
    },
    wire::batches::{ReplayRequest, ReplayResponse},
};

use crate::{
    batches::StoredBatch,
    push::{Batch, Mode},
};

/// Replays the batch with this id for an admin, who must have been authorized before.
///
/// # Errors
/// Returns a `not_found` problem if the batch does not exist, a `contended` problem if another
/// request stored results of the batch concurrently, and `Error::Unavailable` if DynamoDB is
/// unavailable. Applied edits stay applied.
pub async fn replay(
    context: &Context,
    media: &Media,
    admin: &Principal,
    id: &str,
    request: ReplayRequest,
) -> Result<ReplayResponse, Error> {
    let mut stored = StoredBatch::load(context, admin, id).await?;
    if !request.with_stored_roles.unwrap_or_default() {
        stored.raw.principal = stored.raw.principal.without_admin();
    }
    let now = context.clock.now();
    let dry_run = request.dry_run.unwrap_or_default();

    let mut results = if dry_run {
        run(context, media, &stored, Mode::DryRun, now).await?
    } else {
        commit::audit_start(context, admin, &stored, now).await?;
        let results = run(context, media, &stored, Mode::Apply, now).await?;
        commit::finish(context, admin, &stored, &results, now).await?;
        results
    };

    response::fit(&mut results);
    Ok(ReplayResponse {
        batch_id: stored.id.to_string(),
        dry_run,
        runs_as: RunsAs::from(&stored.raw.principal).into(),
        processed_at: now,
        results: results.into_iter().map(Into::into).collect(),
    })
}

/// Loads, decides and commits the items that were not `ok`, as the device that sent them.
async fn run(
    context: &Context,
    media: &Media,
    stored: &StoredBatch,
    mode: Mode,
    now: DateTime<Utc>,
) -> Result<Vec<ItemResult>, Error> {
    let StoredBatch { id, raw, read } = stored;
    let author = Author::device(&id.user, &id.device_id);
    let sender = Sender {
        principal: &raw.principal,
        device_id: &id.device_id,
        author: &author,
        catalog: &context.settings.catalog,
        is_replay: true,
    };

    let answered = read
        .answered
        .as_ref()
        .map(|answered| answered.results.to_vec())
        .unwrap_or_default();
    let mut results = batch::applied_results(answered);

    if results.len() < raw.items.len() {
        let batch = Batch::load(context, sender, &raw.items, mode).await?;
        batch
            .decide(context, media, sender, &mut results, now, mode)
            .await?;
    }
    Ok(results.into_values().collect())
}
