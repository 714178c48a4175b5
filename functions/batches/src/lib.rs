//! Batches (§7): returns the stored items and results of a batch, replays batches, and corrects
//! rejected items.

use lambda_http::{Body, Request, Response};
use serde::Serialize;
use tidemark_app::{batches, replay};
use tidemark_aws::{Context, Error, http, media::Media};
use tidemark_core::{
    model::limits::BATCH_ITEMS_MAX,
    wire::{
        batches::{
            BatchResponse, CorrectRequest, ReplayBatchesRequest, ReplayBatchesResponse,
            ReplayRequest, ReplayResponse,
        },
        problem::{Problem, ProblemCode},
    },
};

/// The name of the function in logs.
const NAME: &str = "batches";

/// The response to a request that writes.
#[derive(Serialize)]
#[serde(untagged)]
enum WriteResponse {
    Replay(ReplayResponse),
    Batches(ReplayBatchesResponse),
}

/// Serves the routes of the function `batches`.
pub async fn handle(context: &Context, media: &Media, request: Request) -> Response<Body> {
    let context = &context.for_invocation();
    match http::route(&request).map(|route| route.method) {
        Ok("GET") => {
            let batch = get(context, &request);
            http::serve_read(context, NAME, &request, |_| None, batch).await
        }
        Ok(_) => http::serve(context, NAME, &request, write(context, media, &request)).await,
        Err(problem) => http::reject(context, NAME, &request, problem).await,
    }
}

async fn get(context: &Context, request: &Request) -> Result<BatchResponse, Error> {
    let principal = context.verifier.principal(request).await?;
    let from = first_item(request)?;
    let id = http::path_parameter(request, "id")?;

    batches::get(context, &principal, &id, from).await
}

async fn write(
    context: &Context,
    media: &Media,
    request: &Request,
) -> Result<WriteResponse, Error> {
    let principal = context.verifier.principal(request).await?;
    http::admin(&principal)?;

    match http::route(request)?.path {
        "/api/v1/mobile/batches/replay" => {
            let batches: ReplayBatchesRequest = http::body(request)?;
            let replays = replay::replay_batches(context, media, &principal, batches);
            replays.await.map(WriteResponse::Batches)
        }
        "/api/v1/mobile/batches/{id}/replay" => {
            let options = match request.body().is_empty() {
                true => ReplayRequest::default(),
                false => http::body(request)?,
            };
            let id = http::path_parameter(request, "id")?;
            let replay = replay::replay(context, media, &principal, &id, options);
            replay.await.map(WriteResponse::Replay)
        }
        "/api/v1/mobile/batches/{id}/items/{index}/correct" => {
            let correction: CorrectRequest = http::body(request)?;
            let (id, index) = item(request)?;
            let correct = replay::correct(context, media, &principal, &id, index, correction);
            correct.await.map(WriteResponse::Replay)
        }
        _ => Err(Problem::new(ProblemCode::NotFound, "there is no such route").into()),
    }
}

/// Returns the id of a batch and the index of one of its items, from the path.
fn item(request: &Request) -> Result<(String, usize), Problem> {
    let id = http::path_parameter(request, "id")?;
    let index = http::path_parameter(request, "index")?;
    let index = index.parse().ok().filter(|index| *index < BATCH_ITEMS_MAX);
    Ok((id, index.ok_or_else(Problem::not_found)?))
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
