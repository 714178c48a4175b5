//! Push: serves `POST /sync/push`, by which a device sends its queued edits.

use lambda_http::{Body, Request, Response};
use tidemark_aws::{Context, Error, http, media::Media, telemetry};
use tidemark_core::wire::push::{PushRequest, PushResponse};

/// Serves `POST /sync/push`.
pub async fn handle(context: &Context, media: &Media, mut request: Request) -> Response<Body> {
    let context = &context.for_invocation();
    // The body is taken out of the request, so that megabytes are freed after parsing.
    let body = std::mem::take(request.body_mut());
    let response = push(context, media, &request, body);
    http::serve(context, "push", &request, response).await
}

async fn push(
    context: &Context,
    media: &Media,
    request: &Request,
    body: Body,
) -> Result<PushResponse, Error> {
    let principal = context.verifier.principal(request).await?;
    let push: PushRequest = http::body_of(request, &body)?;
    drop(body);
    telemetry::device(&push.device_id);

    tidemark_app::push::push(context, media, &principal, push).await
}
