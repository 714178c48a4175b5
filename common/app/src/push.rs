//! Push (§3): stores the raw items of a batch, decides its edits, and commits the decisions. A
//! repeated batch is an idempotent replay: it returns the results of the first request.
//!
//! # Deduplication
//!
//! An item may arrive any number of times, after any crash, and is applied once (§3.6). Three
//! levels recognize a repetition, in this order:
//!
//! 1. **Batch**: a `batch_id` is repeated with the same items. [`SyncBatches`] contains the first
//!    results for 90 days (`BATCH_RETENTION_DAYS`), and the module `repeat` returns them. Items with
//!    a retryable result are decided again.
//! 2. **Resource**: an edit that was applied is repeated, in any batch. The row of the resource
//!    contains the deduplication window [`Edits`], which is written with the effect: the last 16
//!    edits, and those of the last batch. It also identifies the create that first made it
//!    ([`Creation`]). `rules::push::evaluate` compares both.
//! 3. **Conflict**: an edit that is part of a conflict is repeated (§3.5). Its device's conflicts
//!    about the resource contain the ids of their edits ([`ConflictSummary::contains`]), which
//!    `rules::push::conflict` compares: all edits of the first conflict and of the last four, and
//!    the edits that opened the others.
//!
//! The batch level also returns results that the rows no longer contain. The other two make a retry
//! harmless if no results were stored, and if the items are sent in another batch. A repetition
//! that no level recognizes conflicts by §3.4; it is never applied twice.
//!
//! [`Creation`]: tidemark_core::model::resource::Creation
//! [`ConflictSummary::contains`]: tidemark_core::model::conflict::ConflictSummary::contains
//! [`Edits`]: tidemark_core::model::resource::Edits
//! [`SyncBatches`]: tidemark_aws::tables::SyncBatches

mod batch;
mod repeat;
mod submission;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use tidemark_aws::{
    Context, Error,
    media::Media,
    tables::{sync_batches::CompletedBatch, sync_items::StoreOutcome},
};
use tidemark_core::{
    model::{
        json::Json,
        principal::{Author, Principal},
        result::ItemResult,
    },
    rules::push::{edit::Sender, references, response},
    wire::{
        problem::{Problem, ProblemCode},
        push::{PushRequest, PushResponse},
        token::sync_token_with,
    },
};

pub use batch::Batch;
use submission::Submission;

/// Whether the decisions about a batch are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The decisions are committed.
    Apply,
    /// The batch is not written, and the results state the effect that it would have (§7).
    DryRun,
}

/// Applies the edits of a batch and returns one result per item. An item that has a final result of
/// an earlier request with the same `batch_id` keeps it (§3.6).
///
/// # Errors
/// Returns a `batch_id_reused` problem if the batch was sent before with other items,
/// `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a row other than that
/// of a resource or a conflict cannot be decoded. A retry completes what was begun.
pub async fn push(
    context: &Context,
    media: &Media,
    principal: &Principal,
    mut request: PushRequest,
) -> Result<PushResponse, Error> {
    let items = std::mem::take(&mut request.items);
    let author = Author::device(&principal.user, &request.device_id);
    let sender = Sender {
        principal,
        device_id: &request.device_id,
        author: &author,
        catalog: &context.settings.catalog,
        is_replay: false,
    };
    let submission = Submission::new(context, principal, &request, &items);

    // Load.
    let (earlier, batch) = load(context, sender, &submission, items).await?;
    let processed_at = earlier.processed_at;
    let mut results = repeat::final_results(earlier);
    let repeated: BTreeSet<usize> = results.keys().copied().collect();
    let keys = batch.keys();

    // Decide the items without a final result, and commit the edits of each resource.
    let is_settled = results.len() == submission.item_count;
    if !is_settled {
        decide(context, media, sender, &submission, batch, &mut results).await?;
    }
    let mut results: Vec<_> = results.into_values().collect();
    response::omit_superseded(&mut results, &keys);

    // Commit the results, for a repeated request.
    if !is_settled {
        submission
            .store_results(context, sender, processed_at, &results)
            .await?;
    }

    // Respond. The repeated results are completed last, so that no later step of this request makes
    // them outdated.
    repeat::complete(context, &principal.tenant, &keys, &repeated, &mut results).await?;
    context.meter.count_push(&results);
    response::fit(&mut results);
    let server_sync_token = sync_token_with(
        request.client_sync_token.as_deref(),
        response::delivered_versions(&results, &keys),
        processed_at,
    );
    Ok(PushResponse {
        batch_id: submission.id.to_string(),
        processed_at,
        server_sync_token,
        results: results.into_iter().map(Into::into).collect(),
    })
}

/// Stores the raw items, and loads the rows of their resources and the results of an earlier
/// request with the batch. The raw items are stored before anything is applied (§3.11), in the same
/// round trip. They are freed afterwards.
async fn load(
    context: &Context,
    sender: Sender<'_>,
    submission: &Submission,
    items: Vec<Json>,
) -> Result<(CompletedBatch<'static>, Batch), Error> {
    let (stored, earlier, batch) = tokio::try_join!(
        submission.store_items(context, sender, &items),
        submission.earlier_results(context, sender),
        Batch::load(context, sender, &items, Mode::Apply),
    )?;

    if stored == StoreOutcome::DigestMismatch {
        let detail =
            "this batch_id was sent before with other items: use a new batch_id for a new batch";
        return Err(Problem::new(ProblemCode::BatchIdReused, detail).into());
    }
    let earlier = earlier.unwrap_or(CompletedBatch {
        processed_at: submission.now,
        results: Cow::Borrowed(&[]),
    });
    Ok((earlier, batch))
}

/// Decides and commits the items that have no result in `results`, adds their results, and records
/// the creates that failed, to which later batches may refer.
async fn decide(
    context: &Context,
    media: &Media,
    sender: Sender<'_>,
    submission: &Submission,
    mut batch: Batch,
    results: &mut BTreeMap<usize, ItemResult>,
) -> Result<(), Error> {
    let now = submission.now;
    let creates = batch.take_creates();
    batch
        .decide(context, media, sender, results, now, Mode::Apply)
        .await?;

    let failed = references::failed_creates(&creates, results, sender.catalog);
    context
        .tables
        .sync_batches
        .note_failed_creates(sender, &failed, now)
        .await
}
