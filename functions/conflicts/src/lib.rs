//! Reading conflicts (§5), the audit log (§7), and how the change log stands (§7.2).

mod audit;
mod status;

use lambda_http::{Body, Request, Response};
use serde::Serialize;
use tidemark_aws::{Failure, Platform, delivery, edge, tables::conflicts::Place};
use tidemark_core::{
    conflict::{Conflict, ConflictStatus},
    cursor,
    delivery::Awaited,
    ids,
    principal::Principal,
    protocol::{
        conflicts::{AuditList, ConflictEntry, ConflictList, fit},
        problem::{Problem, ProblemCode},
        status::StatusResponse,
    },
};

/// Any of the answers.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    List(ConflictList),
    Conflict(Box<ConflictEntry>),
    Audit(AuditList),
    Status(Box<StatusResponse>),
}

/// Answers `GET /conflicts`, `GET /conflicts/{id}`, `GET /audit` and `GET /status`.
pub async fn handle(platform: &Platform, request: Request) -> Response<Body> {
    let platform = &platform.for_invocation();
    edge::serve(platform, "conflicts", &request, read(platform, &request)).await
}

async fn read(platform: &Platform, request: &Request) -> Result<Answer, Failure> {
    let principal = platform.verifier.principal(request).await?;
    match edge::route(request)?.path {
        path if path.ends_with("/conflicts/{id}") => conflict(platform, request, &principal).await,
        path if path.ends_with("/status") => status::show(platform, request, &principal)
            .await
            .map(|status| Answer::Status(Box::new(status))),
        path if path.ends_with("/audit") => audit::list(platform, request, &principal)
            .await
            .map(Answer::Audit),
        _ => list(platform, request, &principal).await.map(Answer::List),
    }
}

/// One status of a tenant's conflicts, a page at a time, in the order they were detected.
async fn list(
    platform: &Platform,
    request: &Request,
    principal: &Principal,
) -> Result<ConflictList, Failure> {
    edge::admin(principal)?;
    let status = match edge::query_parameter(request, "status") {
        None | Some("open") => ConflictStatus::Open,
        Some("resolved") => ConflictStatus::Resolved,
        Some(_) => return Err(Problem::malformed("status", "must be open or resolved").into()),
    };
    let query = format!("conflicts?status={}", status.as_str());
    let after: Option<Place> = after(request, &query)?;
    let limit = edge::list_limit(request)?;
    let (mut conflicts, next) = platform
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

/// One conflict, for admins and for the user whose edits stand in it. To others it does not exist.
/// Its id is a digest, which does not tell whose it is, so it is read before its user is compared.
async fn conflict(
    platform: &Platform,
    request: &Request,
    principal: &Principal,
) -> Result<Answer, Failure> {
    let id = edge::path_parameter(request, "id")?;
    if !ids::is_conflict(&id) {
        return Err(edge::not_found().into());
    }
    let own = Some(principal.user.as_str()).filter(|_| !principal.is_admin());
    let conflict = platform
        .tables
        .conflicts
        .read(&principal.tenant, own, &id)
        .await?
        .ok_or_else(edge::not_found)?;
    let delivered = is_delivered(platform, principal, &conflict).await?;
    let mut entry = ConflictEntry::whole(conflict);
    if let Some(outcome) = &mut entry.outcome {
        outcome.delivered = delivered;
    }
    Ok(Answer::Conflict(Box::new(entry)))
}

/// Whether the outcome has reached the device whose edits stand in the conflict; `None` where there
/// is none to reach it.
async fn is_delivered(
    platform: &Platform,
    principal: &Principal,
    conflict: &Conflict,
) -> Result<Option<bool>, Failure> {
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
    let awaited = Awaited {
        resource,
        server_version,
        made_at,
    };
    delivery::is_delivered(
        platform,
        &principal.tenant,
        &conflict.user,
        &conflict.device_id,
        &awaited,
    )
    .await
    .map(Some)
}

/// The answer to a cursor that reads, and names nothing of this list.
fn invalid_cursor() -> Problem {
    Problem::new(
        ProblemCode::InvalidCursor,
        "not a cursor of this list: begin it without one",
    )
    .at("cursor")
}

/// Where a list goes on.
fn after<const N: usize>(request: &Request, query: &str) -> Result<Option<[String; N]>, Problem> {
    let cursor = edge::query_parameter(request, "cursor").map(|text| cursor::decode(query, text));
    cursor
        .transpose()
        .map_err(|error| Problem::new(ProblemCode::InvalidCursor, error.to_string()).at("cursor"))
}
