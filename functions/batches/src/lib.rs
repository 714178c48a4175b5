//! Batches (§7): returns the stored items and results of a batch, and replays a batch.

use lambda_http::{Body, Request, Response};
use tidemark_app::{batches, replay};
use tidemark_aws::{Context, Error, http, media::Media};
use tidemark_core::{
    model::limits::BATCH_ITEMS_MAX,
    wire::{
        batches::{BatchResponse, ReplayRequest, ReplayResponse},
        problem::Problem,
    },
};

/// The name of the function in logs.
const NAME: &str = "batches";

/// Serves `GET /batches/{id}` and `POST /batches/{id}/replay`.
pub async fn handle(context: &Context, media: &Media, request: Request) -> Response<Body> {
    let context = &context.for_invocation();
    match http::route(&request).map(|route| route.method) {
        Ok("GET") => http::serve(context, NAME, &request, get(context, &request)).await,
        Ok(_) => http::serve(context, NAME, &request, replay(context, media, &request)).await,
        Err(problem) => http::reject(context, NAME, &request, problem).await,
    }
}

async fn get(context: &Context, request: &Request) -> Result<BatchResponse, Error> {
    let principal = context.verifier.principal(request).await?;
    let from = first_item(request)?;
    let id = http::path_parameter(request, "id")?;

    batches::get(context, &principal, &id, from).await
}

async fn replay(
    context: &Context,
    media: &Media,
    request: &Request,
) -> Result<ReplayResponse, Error> {
    let principal = context.verifier.principal(request).await?;
    http::admin(&principal)?;
    let options = match request.body().is_empty() {
        true => ReplayRequest::default(),
        false => http::body(request)?,
    };
    let id = http::path_parameter(request, "id")?;

    replay::replay(context, media, &principal, &id, options).await
}

/// Returns the index of the first requested item, from the query parameter `from`.
fn first_item(request: &Request) -> Result<usize, Problem> {
    let Some(from) = http::query_parameter(request, "from") else {
        return Ok(0);
    };
    let from = from.parse().ok().filter(|from| *from < BATCH_ITEMS_MAX);
    from.ok_or_else(|| {
        let detail = format!("must be the index of an item, below {BATCH_ITEMS_MAX}");
        Problem::malformed("from", detail)
    })
}
