//! The replay of several batches (§7), one after the other. The work of a request is bounded: the
//! batches that it does not reach are deferred, and the caller sends them again.

use tidemark_aws::{Context, Error, media::Media};
use tidemark_core::{
    model::principal::Principal,
    wire::batches::{
        BatchReplayResult, ReplayBatchesRequest, ReplayBatchesResponse, ReplayRequest,
        ReplayResponse,
    },
};

use super::Replayer;
use crate::{
    batches::StoredBatch,
    budget::{Budget, BulkOutcome},
};

/// Replays batches on behalf of an admin, who must have been authorized before. A repeated request
/// replays them again, which applies nothing twice.
///
/// # Errors
/// Returns a problem if the request is malformed, and `Error::Unavailable` if DynamoDB is
/// unavailable before a batch was replayed. The result of a batch contains the reason why it could
/// not be replayed.
pub async fn replay_batches(
    context: &Context,
    media: &Media,
    admin: &Principal,
    request: ReplayBatchesRequest,
) -> Result<ReplayBatchesResponse, Error> {
    let (batch_ids, options) = request.replays()?;
    let bulk_id = context.clock.unique_id().to_string();
    let replayer = Replayer {
        context,
        media,
        admin,
        bulk_id: Some(&bulk_id),
    };

    let mut budget = Budget::new(context.clock.now());
    let mut results = Vec::with_capacity(batch_ids.len());
    for id in batch_ids {
        if budget.is_used(context.clock.now()) {
            results.push(BatchReplayResult::deferred(id));
            continue;
        }
        // Boxed to reduce the nesting depth of futures, which the compiler limits.
        let replay = Box::pin(replayer.replay_id(&id, options, &mut budget.loaded_bytes));
        let result = budget.deadline.bound(replay).await;
        results.push(match budget.outcome(context, result)? {
            BulkOutcome::Done(response) => BatchReplayResult::replayed(response),
            BulkOutcome::Rejected(problem) => BatchReplayResult::rejected(id, problem),
            BulkOutcome::Deferred => BatchReplayResult::deferred(id),
        });
    }

    Ok(ReplayBatchesResponse {
        bulk_id,
        dry_run: options.dry_run.unwrap_or_default(),
        results,
    })
}

impl Replayer<'_> {
    /// Loads and replays the batch with this id. Adds the bytes of its items to `loaded_bytes`.
    async fn replay_id(
        self,
        id: &str,
        options: ReplayRequest,
        loaded_bytes: &mut usize,
    ) -> Result<ReplayResponse, Error> {
        let stored = StoredBatch::load(self.context, self.admin, id).await?;
        let bytes = stored.raw.items.iter().map(|item| item.get().len());
        *loaded_bytes += bytes.sum::<usize>();
        self.replay(stored, options).await
    }
}
