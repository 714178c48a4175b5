//! Presign (§6): signs an upload URL for exactly the upload that the device announces. No network
//! call is made.

use tidemark_aws::{Context, Error, media::Media};
use tidemark_core::{
    model::principal::Principal,
    rules::media,
    wire::{
        media::{PresignRequest, PresignResponse},
        problem::Problem,
    },
};

/// Returns the URL for the upload, and the media key that the payload must contain to refer to it.
///
/// # Errors
/// Returns `Error::Rejected` if the deployment does not permit the upload, and `Error::Unavailable` if the
/// function has no valid credentials.
pub async fn presign(
    context: &Context,
    bucket: &Media,
    principal: &Principal,
    request: &PresignRequest,
) -> Result<PresignResponse, Error> {
    let unique = context.clock.unique_id();
    let allowed = context.settings.allowed_media(bucket.keyring());
    let promise =
        media::promise(request.into(), allowed, principal, unique).map_err(Problem::from)?;

    bucket.presign(&promise, context.clock.now()).await
}
