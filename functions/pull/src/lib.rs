//! Pull: returns the changes since a token, and the limits that clients must observe.

use lambda_http::{Body, Request, Response};
use tidemark_app::{limits, pull};
use tidemark_aws::{Context, Error, http, telemetry};
use tidemark_core::wire::{
    limits::LimitsResponse,
    pull::{PullRequest, PullResponse},
};

/// The name of the function in logs.
const NAME: &str = "pull";

/// Serves `POST /sync/pull` and `GET /sync/limits`.
pub async fn handle(context: &Context, request: Request) -> Response<Body> {
    let context = &context.for_invocation();
    match http::route(&request).map(|route| route.path) {
        Ok("/api/v1/mobile/sync/limits") => {
            let limits = limits(context, &request);
            http::serve_read(context, NAME, &request, |_| None, limits).await
        }
        Ok(_) => http::serve(context, NAME, &request, pull(context, &request)).await,
        Err(problem) => http::reject(context, NAME, &request, problem).await,
    }
}

async fn pull(context: &Context, request: &Request) -> Result<PullResponse, Error> {
    let principal = context.verifier.principal(request).await?;
    let pull: PullRequest = http::body(request)?;
    if let Some(device_id) = &pull.device_id {
        telemetry::device(device_id);
    }
    pull::pull(context, &principal, &pull).await
}

async fn limits(context: &Context, request: &Request) -> Result<LimitsResponse, Error> {
    context.verifier.principal(request).await?;
    Ok(limits::limits(&context.settings))
}
