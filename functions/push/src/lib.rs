//! Push: stores the raw items, and decides and commits the batch. A repeated batch is an idempotent
//! replay: it returns the results of the first request.

mod repeat;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use chrono::{DateTime, Utc};
use lambda_http::{Body, Request, Response};
use tidemark_app::push::{Mode, batch::Batch};
use tidemark_aws::{
    Context, Error, http,
    tables::{
        sync_batches::CompletedBatch,
        sync_items::{self, StoreOutcome},
    },
    telemetry,
};
use tidemark_core::{
    model::{
        ids::BatchId,
        json::Json,
        principal::{Author, Principal},
        resource::ResourceKey,
    },
    rules::push::{intake::Sender, references, response},
    wire::{
        problem::{Problem, ProblemCode},
        push::{ItemResult, PushRequest, PushResponse},
    },
};

/// Serves `POST /sync/push`.
pub async fn handle(context: &Context, mut request: Request) -> Response<Body> {
    let context = &context.for_invocation();
    // The body is taken out of the request, so that megabytes are freed after parsing.
    let body = std::mem::take(request.body_mut());
    http::serve(context, "push", &request, push(context, &request, body)).await
}

async fn push(context: &Context, request: &Request, body: Body) -> Result<PushResponse, Error> {
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
    let submission = Submission {
        id: batch_id(context, &principal, &push),
        digest: sync_items::digest(&items),
        item_count: items.len(),
        now,
    };

    let (earlier, batch) = load(context, sender, &push, &submission, items).await?;
    let processed_at = earlier.processed_at;
    let (mut results, keys) = process(context, sender, &submission, earlier, batch).await?;
    context.meter.count_push(&results);

    response::fit(&mut results);
    let delivered_versions = response::delivered_versions(&results, &keys);
    let server_sync_token = response::sync_token_with(
        push.client_sync_token.as_deref(),
        delivered_versions,
        processed_at,
    );
    Ok(PushResponse {
        batch_id: submission.id.to_string(),
        processed_at,
        server_sync_token,
        results,
    })
}

/// A batch as it was received: its id, the digest and number of its items, and the time of the
/// request.
struct Submission {
    id: BatchId,
    digest: [u8; 32],
    item_count: usize,
    now: DateTime<Utc>,
}

/// Returns the id of the batch: derived from the id that the client chose, or new.
fn batch_id(context: &Context, principal: &Principal, push: &PushRequest) -> BatchId {
    match &push.batch_id {
        Some(batch_id) => BatchId::derived(
            &principal.tenant,
            &principal.user,
            &push.device_id,
            batch_id,
        ),
        None => BatchId::fresh(&principal.user, &push.device_id, context.clock.unique_id()),
    }
}

/// Stores the raw items, and loads the rows that they reference and the final results of an earlier
/// request with the batch. The raw items are stored before anything is applied (§3.11), in the same
/// round trip. They are freed afterwards.
async fn load(
    context: &Context,
    sender: Sender<'_>,
    push: &PushRequest,
    submission: &Submission,
    items: Vec<Json>,
) -> Result<(CompletedBatch<'static>, Batch), Error> {
    let principal = sender.principal;
    let Submission {
        id, digest, now, ..
    } = submission;
    let (kept, earlier, batch) = tokio::try_join!(
        context
            .tables
            .sync_items
            .keep(principal, id, &items, digest, *now),
        repeat::load(context, &principal.tenant, push, id, digest),
        Batch::load(context, sender, &items, Mode::Apply),
    )?;

    if kept == StoreOutcome::DigestMismatch {
        let detail =
            "this batch_id was sent before with other items: use a new batch_id for a new batch";
        return Err(Problem::new(ProblemCode::BatchIdReused, detail).into());
    }
    let earlier = earlier.unwrap_or(CompletedBatch {
        processed_at: *now,
        results: Cow::Borrowed(&[]),
    });
    Ok((earlier, batch))
}

/// Decides the items that have no final result of an earlier request, and stores the results.
/// Returns the results of all items, and the resources that they are about.
async fn process(
    context: &Context,
    sender: Sender<'_>,
    submission: &Submission,
    earlier: CompletedBatch<'_>,
    mut batch: Batch,
) -> Result<(Vec<ItemResult>, BTreeMap<usize, ResourceKey>), Error> {
    let processed_at = earlier.processed_at;
    let mut results = final_results(earlier);
    let repeated: BTreeSet<usize> = results.keys().copied().collect();
    let keys = batch.keys();
    let creates = batch.take_creates();
    let is_settled = results.len() == submission.item_count;

    if !is_settled {
        batch
            .decide(context, sender, &mut results, submission.now, Mode::Apply)
            .await?;
        let failed = references::failed_creates(&creates, &results, sender.catalog);
        context
            .tables
            .sync_batches
            .note_failed_creates(sender, &failed, submission.now)
            .await?;
    }

    let mut results: Vec<_> = results.into_values().collect();
    response::omit_superseded(&mut results, &keys);
    let tenant = &sender.principal.tenant;
    if !is_settled {
        store(context, tenant, submission, processed_at, &results).await?;
    }
    // The repeated results are completed last, so that no later step of this request makes them
    // outdated.
    repeat::complete(context, tenant, &keys, &repeated, &mut results).await?;
    Ok((results, keys))
}

/// Returns the final results of an earlier request by index. Items with a retryable result are
/// decided again.
fn final_results(earlier: CompletedBatch<'_>) -> BTreeMap<usize, ItemResult> {
    earlier
        .results
        .into_owned()
        .into_iter()
        .filter(|result| !result.is_retryable())
        .map(|result| (result.index, result))
        .collect()
}

/// Stores the results of the batch for a repeated request.
async fn store(
    context: &Context,
    tenant: &str,
    submission: &Submission,
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
        .store(tenant, &submission.id, &submission.digest, &completed)
        .await
}
