//! Serves `GET /conflicts`: the conflicts of a tenant with one status.

use lambda_http::Request;
use tidemark_app::conflicts;
use tidemark_aws::{Context, Error, http};
use tidemark_core::{
    model::{conflict::ConflictStatus, principal::Principal},
    wire::{conflicts::ConflictList, problem::Problem},
};

pub(crate) async fn list(
    context: &Context,
    request: &Request,
    principal: &Principal,
) -> Result<ConflictList, Error> {
    http::admin(principal)?;
    let status = match http::query_parameter(request, "status") {
        None | Some("open") => ConflictStatus::Open,
        Some("resolved") => ConflictStatus::Resolved,
        Some(_) => return Err(Problem::malformed("status", "must be open or resolved").into()),
    };
    let after = conflicts::decode_cursor(status, http::query_parameter(request, "cursor"))?;
    let limit = http::list_limit(request)?;

    conflicts::list(context, principal, status, after, limit).await
}
