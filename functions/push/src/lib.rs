//! Push: load → decide → commit. This crate fetches what a batch names, lets `tidemark-core` decide, and commits the decision with
//! conditional writes, as often as others are faster.

mod commit;
mod repeat;

use std::collections::BTreeMap;

use lambda_http::{Body, Request, Response};
use tidemark_aws::{
    Failure, Platform, edge,
    tables::{
        sync_batches::AnsweredBatch,
        sync_items::{self, Kept},
    },
};
use tidemark_core::{
    ids,
    principal::Author,
    protocol::{
        problem::{Problem, ProblemCode},
        push::{PushRequest, PushResponse},
    },
    push::{
        answer,
        intake::{self, Sender},
    },
};

/// Answers `POST /sync/push`.
pub async fn handle(platform: &Platform, request: Request) -> Response<Body> {
    let outcome = push(platform, &request).await;
    edge::respond(&request, outcome)
}

async fn push(platform: &Platform, request: &Request) -> Result<PushResponse, Failure> {
    let principal = platform.verifier.principal(request).await?;
    let push: PushRequest = edge::body(request)?;
    let now = platform.clock.now();
    let author = Author::device(&principal.user, &push.device_id);
    let sender =
        Sender { principal: &principal, device_id: &push.device_id, author: &author, catalog: &platform.settings.catalog };
    let batch_id = match &push.batch_id {
        Some(batch_id) => ids::derived_batch(&principal.tenant, &author, batch_id),
        None => ids::fresh_batch(platform.clock.unique_id()),
    };
    let intake = intake::read(&push.items, sender);
    let keys: Vec<_> = intake.groups.iter().map(|group| group.key.clone()).collect();
    let digest = sync_items::digest(&push.items);

    // The raw items are stored before anything is applied (§3.11), in the same round trip that loads what they name.
    let tables = &platform.tables;
    let (kept, answered, loaded) = tokio::try_join!(
        tables.sync_items.keep(&principal, &push.device_id, &batch_id, &push.items, &digest, now),
        repeat::load(platform, &principal, &push, &batch_id, &digest),
        tables.resources.load(&principal.tenant, &keys),
    )?;
    if kept == Kept::OtherItems {
        let detail = "this batch_id was sent before with other items: give a new batch an id of its own";
        return Err(Problem::new(ProblemCode::BatchIdReused, detail).into());
    }
    let processed_at = answered.as_ref().map_or(now, |answered| answered.processed_at);
    let mut results: BTreeMap<usize, _> =
        answered.map(|answered| answered.results).unwrap_or_default().into_iter().map(|result| (result.index, result)).collect();
    results.retain(|_, result| !result.is_retryable());
    let is_settled = results.len() == push.items.len();
    if !is_settled {
        let groups = intake.groups.into_iter().filter(|group| group.indexes().any(|index| !results.contains_key(&index)));
        let decided = commit::commit(platform, sender, groups.collect(), loaded, now).await?;
        for result in decided.into_iter().chain(intake.refused) {
            results.entry(result.index).or_insert(result);
        }
    }
    let mut results: Vec<_> = results.into_values().collect();
    if !is_settled {
        let answered = AnsweredBatch { processed_at, results: results.clone() };
        tables.sync_batches.store(&principal, &push.device_id, &batch_id, &digest, &answered).await?;
    }
    answer::fit(&mut results);
    let server_sync_token = answer::sync_token(push.client_sync_token.as_deref());
    Ok(PushResponse { batch_id, processed_at, server_sync_token, results })
}
