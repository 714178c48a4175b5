//! Batches: returns the stored items and results of a batch, and replays a batch through the same
//! code as push.

mod replay;
mod show;

use lambda_http::{Body, Request, Response};
use tidemark_aws::{
    Context, Error, http,
    tables::{sync_batches::ReadBatch, sync_items::KeptBatch},
    telemetry,
};
use tidemark_core::model::{ids::BatchId, principal::Principal};

/// The name of the function in logs.
const NAME: &str = "batches";

/// Serves `GET /batches/{id}` and `POST /batches/{id}/replay`.
pub async fn handle(context: &Context, request: Request) -> Response<Body> {
    let context = &context.for_invocation();
    match http::route(&request).map(|route| route.method) {
        Ok("GET") => http::serve(context, NAME, &request, show::show(context, &request)).await,
        Ok(_) => http::serve(context, NAME, &request, replay::replay(context, &request)).await,
        Err(problem) => http::reject(context, NAME, &request, problem).await,
    }
}

/// A batch with its stored items and results.
struct StoredBatch {
    id: BatchId,
    kept: KeptBatch,
    read: ReadBatch,
}

/// Loads the batch that the path names, within the caller's tenant. Only admins may load batches of
/// other users. The id contains the user, so a batch that the caller may not access is not read,
/// and the response is the same as for a batch that does not exist.
async fn load_batch(
    context: &Context,
    principal: &Principal,
    request: &Request,
) -> Result<StoredBatch, Error> {
    let id = BatchId::parse(&http::path_parameter(request, "id")?).ok_or_else(http::not_found)?;
    if id.user != principal.user && !principal.is_admin() {
        return Err(http::not_found().into());
    }
    telemetry::device(&id.device_id);

    let tenant = &principal.tenant;
    let kept = context
        .tables
        .sync_items
        .load(tenant, &id, context.clock.now())
        .await?
        .ok_or_else(http::not_found)?;
    let read = context
        .tables
        .sync_batches
        .read(tenant, &id, &kept.digest)
        .await?;
    Ok(StoredBatch { id, kept, read })
}
