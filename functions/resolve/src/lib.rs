//! Resolve (§5): an admin resolves one conflict, or several in the same way. There are two entry
//! points to the use case for one conflict: the API, where a token identifies the admin, and direct
//! invocation, where the event is the request itself and IAM controls who may send it.

use lambda_http::{Body, Request, Response};
use lambda_runtime::LambdaEvent;
use serde::Serialize;
use tidemark_app::resolve;
use tidemark_aws::{
    Context, Error,
    entry::{self, Event},
    http, telemetry,
};
use tidemark_core::{
    model::json::Json,
    wire::{
        problem::read_body,
        resolve::{BulkResolveResponse, DirectResolveRequest, ResolveResponse},
    },
};

/// The name of the function in logs.
const NAME: &str = "resolve";
/// The route that resolves several conflicts.
const BULK: &str = "/api/v1/mobile/conflicts/resolve";

/// The response of any route of this function.
#[derive(Serialize)]
#[serde(untagged)]
enum ApiResponse {
    One(Box<ResolveResponse>),
    Bulk(BulkResolveResponse),
}

/// Handles any event of the function: a request from either kind of API Gateway, or otherwise a
/// direct invocation. Both return a rejected request as its problem.
///
/// # Errors
/// Returns an error if the response cannot be serialized, which does not occur.
pub async fn invoked(
    context: &Context,
    event: LambdaEvent<Json>,
) -> Result<Json, lambda_http::Error> {
    match Event::of(event) {
        Event::Api(event) => Ok(entry::response(event, |request| handle(context, request)).await?),
        Event::Stream(event) | Event::Direct(event) => {
            let context = &context.for_invocation();
            let response = direct(context, &event.payload);
            Ok(http::direct(context, NAME, &event.context, response).await?)
        }
    }
}

/// Serves `POST /conflicts/{id}/resolve` and `POST /conflicts/resolve`.
pub async fn handle(context: &Context, request: Request) -> Response<Body> {
    let context = &context.for_invocation();
    http::serve(context, NAME, &request, over_api(context, &request)).await
}

async fn over_api(context: &Context, request: &Request) -> Result<ApiResponse, Error> {
    let principal = context.verifier.principal(request).await?;
    http::admin(&principal)?;
    if http::route(request).is_ok_and(|route| route.path == BULK) {
        let conflicts = http::body(request)?;
        let resolved = resolve::bulk::by_admin(context, &principal, conflicts).await?;
        return Ok(ApiResponse::Bulk(resolved));
    }

    let id = http::path_parameter(request, "id")?;
    let resolved = resolve::by_admin(context, &principal, &id, http::body(request)?).await?;
    Ok(ApiResponse::One(Box::new(resolved)))
}

async fn direct(context: &Context, event: &Json) -> Result<ResolveResponse, Error> {
    let request: DirectResolveRequest = read_body(event.get().as_bytes())?;
    telemetry::caller(&request.tenant, &request.resolved_by);

    resolve::by_operator(context, request).await
}
