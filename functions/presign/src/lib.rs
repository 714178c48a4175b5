//! Presign: serves `POST /media/presign`, by which a device requests an upload URL.

use lambda_http::{Body, Request, Response};
use tidemark_aws::{Context, Error, http, media::Media};
use tidemark_core::wire::media::{PresignRequest, PresignResponse};

/// Serves `POST /media/presign`.
pub async fn handle(context: &Context, media: &Media, request: Request) -> Response<Body> {
    let context = &context.for_invocation();
    let response = presign(context, media, &request);
    http::serve(context, "presign", &request, response).await
}

async fn presign(
    context: &Context,
    media: &Media,
    request: &Request,
) -> Result<PresignResponse, Error> {
    let principal = context.verifier.principal(request).await?;
    let presign: PresignRequest = http::body(request)?;

    tidemark_app::presign::presign(context, media, &principal, &presign).await
}
