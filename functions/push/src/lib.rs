//! Push: the raw items are kept, the batch is decided and committed, and a batch that is sent again
//! is answered as the first time.

mod repeat;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use lambda_http::{Body, Request, Response};
use tidemark_aws::{
    Context, Failure,
    batch::{Batch, Mode},
    http,
    tables::{
        sync_batches::CompletedBatch,
        sync_items::{self, StoreOutcome},
    },
    telemetry,
};
use tidemark_core::{
    ids::BatchId,
    principal::Author,
    protocol::{
        problem::{Problem, ProblemCode},
        push::{PushRequest, PushResponse},
    },
    push::{intake::Sender, references, response},
};

/// Answers `POST /sync/push`.
pub async fn handle(context: &Context, mut request: Request) -> Response<Body> {
    let context = &context.for_invocation();
    // Megabytes, which go when they were read.
    let body = std::mem::take(request.body_mut());
    http::serve(context, "push", &request, push(context, &request, body)).await
}

async fn push(context: &Context, request: &Request, body: Body) -> Result<PushResponse, Failure> {
    let principal = context.verifier.principal(request).await?;
    let mut push: PushRequest = http::body_of(request, &body)?;
    drop(body);
    let items = std::mem::take(&mut push.items);
    telemetry::device(&push.device_id);
    let now = context.clock.now();
    let author = Author::device(&principal.user, &push.device_id);
    let sender = Sender {
        principal: &principal,
        device_id: &push.device_id,
        author: &author,
        catalog: &context.settings.catalog,
        is_replay: false,
    };
    let batch_id = match &push.batch_id {
        Some(batch_id) => BatchId::derived(
            &principal.tenant,
            &principal.user,
            &push.device_id,
            batch_id,
        ),
        None => BatchId::fresh(&principal.user, &push.device_id, context.clock.unique_id()),
    };
    let digest = sync_items::digest(&items);

    // The raw items are stored before anything is applied (§3.11), in the same round trip that
    // loads what they name.
    let tables = &context.tables;
    let (kept, answered, mut batch) = tokio::try_join!(
        tables
            .sync_items
            .keep(&principal, &batch_id, &items, &digest, now),
        repeat::load(context, &principal.tenant, &push, &batch_id, &digest),
        Batch::load(context, sender, &items, Mode::Apply),
    )?;
    if kept == StoreOutcome::DigestMismatch {
        let detail =
            "this batch_id was sent before with other items: give a new batch an id of its own";
        return Err(Problem::new(ProblemCode::BatchIdReused, detail).into());
    }
    let processed_at = answered
        .as_ref()
        .map_or(now, |answered| answered.processed_at);
    let mut results: BTreeMap<usize, _> = answered
        .map(|answered| answered.results.into_owned())
        .unwrap_or_default()
        .into_iter()
        .map(|result| (result.index, result))
        .collect();
    results.retain(|_, result| !result.is_retryable());
    let repeated: BTreeSet<usize> = results.keys().copied().collect();
    let keys = batch.keys();
    let creates = batch.take_creates();
    let is_settled = results.len() == items.len();
    drop(items);
    if !is_settled {
        batch
            .decide(context, sender, &mut results, now, Mode::Apply)
            .await?;
        let failed = references::failed_creates(&creates, &results, sender.catalog);
        tables
            .sync_batches
            .note_failed_creates(sender, &failed, now)
            .await?;
    }
    let mut results: Vec<_> = results.into_values().collect();
    response::omit_superseded(&mut results, &keys);
    if !is_settled {
        let answered = CompletedBatch {
            processed_at,
            results: Cow::Borrowed(&results),
        };
        tables
            .sync_batches
            .store(&principal.tenant, &batch_id, &digest, &answered)
            .await?;
    }
    // After everything else, so that nothing this request does makes it untrue.
    repeat::complete(context, &principal.tenant, &keys, &repeated, &mut results).await?;
    context.meter.count_push(&results);
    response::fit(&mut results);
    let told = response::told(&results, &keys);
    let server_sync_token =
        response::sync_token_with(push.client_sync_token.as_deref(), told, processed_at);
    Ok(PushResponse {
        batch_id: batch_id.to_string(),
        processed_at,
        server_sync_token,
        results,
    })
}
