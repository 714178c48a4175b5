//! Batches: shows what a device sent and how it was answered, and runs a batch again through the
//! same path as push.

mod replay;
mod show;

use lambda_http::{Body, Request, Response};
use tidemark_aws::{
    Failure, Platform, edge,
    tables::{sync_batches::ReadBatch, sync_items::KeptBatch},
    telemetry,
};
use tidemark_core::{ids::BatchId, principal::Principal};

/// What the function is called in logs.
const NAME: &str = "batches";

/// Answers `GET /batches/{id}` and `POST /batches/{id}/replay`.
pub async fn handle(platform: &Platform, request: Request) -> Response<Body> {
    let platform = &platform.for_invocation();
    match edge::route(&request).map(|route| route.method) {
        Ok("GET") => edge::serve(platform, NAME, &request, show::show(platform, &request)).await,
        Ok(_) => edge::serve(platform, NAME, &request, replay::replay(platform, &request)).await,
        Err(problem) => edge::refuse(platform, NAME, &request, problem).await,
    }
}

/// A batch as it is kept.
struct Known {
    id: BatchId,
    kept: KeptBatch,
    read: ReadBatch,
}

/// The batch that the path names, of the caller's tenant; of other users for admins only. Its id
/// names its user, so a batch that the caller may not see is not read, and is answered like one
/// that does not exist.
async fn known(
    platform: &Platform,
    principal: &Principal,
    request: &Request,
) -> Result<Known, Failure> {
    let id = BatchId::parse(&edge::path_parameter(request, "id")?).ok_or_else(edge::not_found)?;
    if id.user != principal.user && !principal.is_admin() {
        return Err(edge::not_found().into());
    }
    telemetry::device(&id.device_id);
    let tenant = &principal.tenant;
    let kept = platform
        .tables
        .sync_items
        .load(tenant, &id, platform.clock.now())
        .await?
        .ok_or_else(edge::not_found)?;
    let read = platform
        .tables
        .sync_batches
        .read(tenant, &id, &kept.digest)
        .await?;
    Ok(Known { id, kept, read })
}
