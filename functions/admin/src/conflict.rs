//! Serves `GET /conflicts/{id}`: one conflict, for admins, for viewers and for the user whose edits
//! it contains.

use lambda_http::Request;
use tidemark_app::conflicts;
use tidemark_aws::{Context, Error, http};
use tidemark_core::{model::principal::Principal, wire::conflicts::ConflictEntry};

pub(crate) async fn get(
    context: &Context,
    request: &Request,
    principal: &Principal,
) -> Result<ConflictEntry, Error> {
    let id = http::path_parameter(request, "id")?;
    conflicts::get(context, principal, &id).await
}
