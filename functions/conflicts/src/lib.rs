//! Conflicts: returns conflicts (§5), the audit log (§7) and the status of the change log (§7.2).

mod audit;
mod status;

use lambda_http::{Body, Request, Response};
use serde::Serialize;
use tidemark_app::delivery;
use tidemark_aws::{Context, Error, http, tables::conflicts::ConflictCursor};
use tidemark_core::{
    model::{
        conflict::{Conflict, ConflictStatus},
        ids,
        principal::Principal,
    },
    rules::delivery::AwaitedVersion,
    wire::{
        conflicts::{AuditList, ConflictEntry, ConflictList, fit},
        cursor,
        problem::{Problem, ProblemCode},
        status::StatusResponse,
    },
};

/// The response of any route of this function.
#[derive(Serialize)]
#[serde(untagged)]
enum ApiResponse {
    List(ConflictList),
    Conflict(Box<ConflictEntry>),
    Audit(AuditList),
    Status(Box<StatusResponse>),
}

/// Serves `GET /conflicts`, `GET /conflicts/{id}`, `GET /audit` and `GET /status`.
pub async fn handle(context: &Context, request: Request) -> Response<Body> {
    let context = &context.for_invocation();
    http::serve(context, "conflicts", &request, read(context, &request)).await
}

async fn read(context: &Context, request: &Request) -> Result<ApiResponse, Error> {
    let principal = context.verifier.principal(request).await?;
    match http::route(request)?.path {
        path if path.ends_with("/conflicts/{id}") => conflict(context, request, &principal).await,
        path if path.ends_with("/status") => status::show(context, request, &principal)
            .await
            .map(|status| ApiResponse::Status(Box::new(status))),
        path if path.ends_with("/audit") => audit::list(context, request, &principal)
            .await
            .map(ApiResponse::Audit),
        _ => list(context, request, &principal)
            .await
            .map(ApiResponse::List),
    }
}

/// Lists a tenant's conflicts with one status, in the order of their detection, one page per
/// request.
async fn list(
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

    let query = format!("conflicts?status={}", status.as_str());
    let after: Option<ConflictCursor> = after(request, &query)?;
    let limit = http::list_limit(request)?;

    let (mut conflicts, next) = context
        .tables
        .conflicts
        .list(&principal.tenant, status, after, limit)
        .await?;
    fit(&mut conflicts);
    let next_cursor = next.map(|[detected_at, id]| cursor::encode(&query, [&detected_at, &id]));
    Ok(ConflictList {
        conflicts,
        next_cursor,
    })
}

/// Returns a conflict to admins and to the user whose edits it contains. Other callers get a 404.
/// The id is a digest that does not contain the user, so the conflict is read before its user is
/// compared.
async fn conflict(
    context: &Context,
    request: &Request,
    principal: &Principal,
) -> Result<ApiResponse, Error> {
    let id = http::path_parameter(request, "id")?;
    if !ids::is_conflict(&id) {
        return Err(http::not_found().into());
    }
    let own = Some(principal.user.as_str()).filter(|_| !principal.is_admin());

    let conflict = context
        .tables
        .conflicts
        .read(&principal.tenant, own, &id)
        .await?
        .ok_or_else(http::not_found)?;

    let delivered = is_delivered(context, principal, &conflict).await?;
    let mut entry = ConflictEntry::whole(conflict);
    if let Some(outcome) = &mut entry.outcome {
        outcome.delivered = delivered;
    }
    Ok(ApiResponse::Conflict(Box::new(entry)))
}

/// Returns whether the outcome has reached the device whose edits the conflict contains, or `None`
/// if the outcome wrote no version that a pull delivers.
async fn is_delivered(
    context: &Context,
    principal: &Principal,
    conflict: &Conflict,
) -> Result<Option<bool>, Error> {
    let Some(outcome) = conflict
        .outcome
        .as_ref()
        .filter(|outcome| outcome.server_version > 0)
    else {
        return Ok(None);
    };

    let (resource, server_version, made_at) = (
        &conflict.resource,
        outcome.server_version,
        outcome.resolved_at,
    );
    let awaited = AwaitedVersion {
        resource,
        server_version,
        made_at,
    };

    delivery::is_delivered(
        context,
        &principal.tenant,
        &conflict.user,
        &conflict.device_id,
        &awaited,
    )
    .await
    .map(Some)
}

/// Returns the problem for a cursor that can be decoded and is not valid in this list.
fn invalid_cursor() -> Problem {
    Problem::new(
        ProblemCode::InvalidCursor,
        "not a cursor of this list: start the list without a cursor",
    )
    .at("cursor")
}

/// Returns the position after which the list continues, from the query parameter `cursor`.
fn after<const N: usize>(request: &Request, query: &str) -> Result<Option<[String; N]>, Problem> {
    let cursor = http::query_parameter(request, "cursor").map(|text| cursor::decode(query, text));
    cursor
        .transpose()
        .map_err(|error| Problem::new(ProblemCode::InvalidCursor, error.to_string()).at("cursor"))
}
