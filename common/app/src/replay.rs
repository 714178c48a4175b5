//! Replay (§7): runs a stored batch again on behalf of its device, with the claims that were stored
//! with it. Applied items are not applied again; failed items are decided again. An audit entry is
//! added before anything is applied, and another one with the outcome in the same transaction as
//! the new results. The correction of an item is a replay of that item with another payload.

mod commit;
mod correct;
mod many;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tidemark_aws::{Context, Error, media::Media};
use tidemark_core::{
    model::{
        audit::{AuditAction, RunsAs},
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

pub use correct::correct;
pub use many::replay_batches;

/// The parameters that all writes of a replay share.
#[derive(Clone, Copy)]
struct Replayer<'a> {
    context: &'a Context,
    media: &'a Media,
    /// The admin who requested the replay.
    admin: &'a Principal,
    /// The id of the bulk request that the replay is part of.
    bulk_id: Option<&'a str>,
}

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
    let replayer = Replayer {
        context,
        media,
        admin,
        bulk_id: None,
    };
    let stored = StoredBatch::load(context, admin, id).await?;
    replayer.replay(stored, request).await
}

impl Replayer<'_> {
    /// Returns the device that sent the batch as the sender of its items.
    fn sender<'a>(&'a self, stored: &'a StoredBatch, author: &'a Author) -> Sender<'a> {
        Sender {
            principal: &stored.raw.principal,
            device_id: &stored.id.device_id,
            author,
            catalog: &self.context.settings.catalog,
            is_replay: true,
        }
    }

    /// Runs the items of a loaded batch that are not settled.
    async fn replay(
        self,
        mut stored: StoredBatch,
        request: ReplayRequest,
    ) -> Result<ReplayResponse, Error> {
        if !request.with_stored_roles.unwrap_or_default() {
            stored.raw.principal = stored.raw.principal.without_admin();
        }
        let now = self.context.clock.now();
        let dry_run = request.dry_run.unwrap_or_default();
        let answered = stored.read.answered.as_ref();
        let answered = answered.map(|answered| answered.results.to_vec());
        let kept = batch::applied_results(answered.unwrap_or_default());

        let results = if dry_run {
            self.run(&stored, kept, Mode::DryRun, now).await?
        } else {
            let started = self.entry(&stored, AuditAction::ReplayStarted, now);
            let started = commit::with_results_before(started, &stored);
            let tables = &self.context.tables;
            tables.add_audit_entry(&self.admin.tenant, &started).await?;

            let results = self.run(&stored, kept, Mode::Apply, now).await?;
            let at = self.context.clock.now();
            let finished = self.entry(&stored, AuditAction::ReplayFinished, at);
            let mut finished = commit::with_results_before(finished, &stored);
            finished.after = commit::audited_results(&results);
            self.finish(&stored, &results, &finished, now).await?;
            results
        };
        Ok(replay_response(&stored, results, dry_run, now))
    }

    /// Loads, decides and commits the items that have no result in `kept`, as the device that sent
    /// them. Returns the results of all items.
    ///
    /// # Errors
    /// Returns the errors of [`Batch::decide`].
    async fn run(
        self,
        stored: &StoredBatch,
        kept: BTreeMap<usize, ItemResult>,
        mode: Mode,
        now: DateTime<Utc>,
    ) -> Result<Vec<ItemResult>, Error> {
        let Self { context, media, .. } = self;
        let StoredBatch { id, raw, .. } = stored;
        let author = Author::device(&id.user, &id.device_id);
        let sender = self.sender(stored, &author);

        let mut results = kept;
        if results.len() < raw.items.len() {
            let batch = Batch::load(context, sender, &raw.items, mode).await?;
            batch
                .decide(context, media, sender, &mut results, now, mode)
                .await?;
        }
        Ok(results.into_values().collect())
    }
}

/// Returns the response to a replay of a batch, with these results.
fn replay_response(
    stored: &StoredBatch,
    mut results: Vec<ItemResult>,
    dry_run: bool,
    processed_at: DateTime<Utc>,
) -> ReplayResponse {
    response::fit(&mut results);
    ReplayResponse {
        batch_id: stored.id.to_string(),
        dry_run,
        runs_as: RunsAs::from(&stored.raw.principal).into(),
        processed_at,
        results: results.into_iter().map(Into::into).collect(),
    }
}
