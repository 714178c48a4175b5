//! A batch as it was received, and its stored rows: the raw items, and the results for a repeated
//! request.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use tidemark_aws::{
    Context, Error,
    tables::{
        sync_batches::CompletedBatch,
        sync_items::{self, StoreOutcome},
    },
};
use tidemark_core::{
    model::{ids::BatchId, json::Json, principal::Principal, result::ItemResult},
    rules::push::edit::Sender,
    wire::push::PushRequest,
};

/// A batch as it was received: its id, the digest and number of its items, and the time of the
/// request.
pub(super) struct Submission {
    pub(super) id: BatchId,
    /// Whether the client chose the id, so that an earlier request may have had it.
    has_client_id: bool,
    digest: [u8; 32],
    pub(super) item_count: usize,
    pub(super) now: DateTime<Utc>,
}

impl Submission {
    /// Describes a batch with these items that is received now.
    pub(super) fn new(
        context: &Context,
        principal: &Principal,
        request: &PushRequest,
        items: &[Json],
    ) -> Self {
        Self {
            now: context.clock.now(),
            id: batch_id(context, principal, request),
            has_client_id: request.batch_id.is_some(),
            digest: sync_items::digest(items),
            item_count: items.len(),
        }
    }

    /// Stores the raw items unless an earlier request did (§3.11).
    pub(super) async fn store_items(
        &self,
        context: &Context,
        sender: Sender<'_>,
        items: &[Json],
    ) -> Result<StoreOutcome, Error> {
        context
            .tables
            .sync_items
            .store(sender.principal, &self.id, items, &self.digest, self.now)
            .await
    }

    /// Loads the results of an earlier request with this batch. Returns `None` if there are none or
    /// the client sent no `batch_id`.
    pub(super) async fn earlier_results(
        &self,
        context: &Context,
        sender: Sender<'_>,
    ) -> Result<Option<CompletedBatch<'static>>, Error> {
        if !self.has_client_id {
            return Ok(None);
        }
        context
            .tables
            .sync_batches
            .load(&sender.principal.tenant, &self.id, &self.digest)
            .await
    }

    /// Stores the results of the batch for a repeated request.
    pub(super) async fn store_results(
        &self,
        context: &Context,
        sender: Sender<'_>,
        processed_at: DateTime<Utc>,
        results: &[ItemResult],
    ) -> Result<(), Error> {
        let completed = CompletedBatch {
            processed_at,
            results: Cow::Borrowed(results),
        };
        context
            .tables
            .sync_batches
            .store(&sender.principal.tenant, &self.id, &self.digest, &completed)
            .await
    }
}

/// Returns the id of the batch: derived from the id that the client chose, or new.
fn batch_id(context: &Context, principal: &Principal, request: &PushRequest) -> BatchId {
    match &request.batch_id {
        Some(batch_id) => BatchId::derived(
            &principal.tenant,
            &principal.user,
            &request.device_id,
            batch_id,
        ),
        None => BatchId::fresh(
            &principal.user,
            &request.device_id,
            context.clock.unique_id(),
        ),
    }
}
