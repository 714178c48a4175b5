//! Presign: returns an upload URL that is signed for exactly the upload that the device announces.
//! `tidemark-core` decides which uploads are allowed; no network call is made.

use lambda_http::{Body, Request, Response};
use tidemark_aws::{Context, Error, http};
use tidemark_core::{
    rules::media,
    wire::media::{PresignRequest, PresignResponse},
};

/// Serves `POST /media/presign`.
pub async fn handle(context: &Context, request: Request) -> Response<Body> {
    let context = &context.for_invocation();
    http::serve(context, "presign", &request, presign(context, &request)).await
}

async fn presign(context: &Context, request: &Request) -> Result<PresignResponse, Error> {
    let principal = context.verifier.principal(request).await?;
    let presign: PresignRequest = http::body(request)?;
    let unique = context.clock.unique_id();
    let bucket = context
        .media
        .as_ref()
        .ok_or_else(|| Error::Unavailable("the function has no media bucket".into()))?;
    let promise = media::promise(
        &presign,
        context.settings.allowed_media(bucket.keyring()),
        &principal,
        unique,
    )?;
    bucket.presign(&promise, context.clock.now()).await
}
