//! Presign: a device asks for an upload URL, and gets one that is signed for exactly what it
//! promises to upload. What may be uploaded is decided in `tidemark-core`; no call is made.

use lambda_http::{Body, Request, Response};
use tidemark_aws::{Failure, Platform, edge};
use tidemark_core::{
    media,
    protocol::media::{PresignRequest, PresignResponse},
};

/// Answers `POST /media/presign`.
pub async fn handle(platform: &Platform, request: Request) -> Response<Body> {
    let platform = &platform.for_invocation();
    edge::serve(platform, "presign", &request, presign(platform, &request)).await
}

async fn presign(platform: &Platform, request: &Request) -> Result<PresignResponse, Failure> {
    let principal = platform.verifier.principal(request).await?;
    let presign: PresignRequest = edge::body(request)?;
    let unique = platform.clock.unique_id();
    let bucket = platform
        .media
        .as_ref()
        .ok_or_else(|| Failure::Outage("presign runs without its bucket".into()))?;
    let promise = media::promise(
        &presign,
        platform.settings.allowed_media(bucket.keyring()),
        &principal,
        unique,
    )?;
    bucket.presign(&promise, platform.clock.now()).await
}
