//! Admin: returns conflicts (§5.1), the audit log (§7.1), the status of the change log (§7.2) and
//! the state of devices (§4.8). It only reads. Most routes require the role admin or viewer; users
//! may read their own conflicts and devices, and whom their token identifies (§1).

mod audit;
mod batches;
mod conflict;
mod conflicts;
mod devices;
mod me;
mod query;
mod status;

use lambda_http::{Body, Request, Response};
use serde::Serialize;
use tidemark_aws::{Context, Error, dead_letters::DeadLetters, http};
use tidemark_core::wire::{
    ack::DevicesResponse,
    audit::AuditList,
    batches::BatchList,
    conflicts::{ConflictEntry, ConflictList, ConflictSummaryResponse},
    me::MeResponse,
    problem::{Problem, ProblemCode},
    status::StatusResponse,
};

/// The response of any route of this function.
#[derive(Serialize)]
#[serde(untagged)]
enum ApiResponse {
    Conflicts(ConflictList),
    Conflict(Box<ConflictEntry>),
    ConflictSummary(ConflictSummaryResponse),
    Audit(AuditList),
    Batches(BatchList),
    Status(StatusResponse),
    Devices(DevicesResponse),
    Me(MeResponse),
}

impl ApiResponse {
    /// Returns the response without the values that change with the time of the request, or `None`
    /// if it has no such values.
    fn without_ages(self) -> Option<Self> {
        match self {
            Self::Status(status) => Some(Self::Status(status.without_ages())),
            Self::Devices(devices) => Some(Self::Devices(devices.without_ages())),
            Self::ConflictSummary(summary) => Some(Self::ConflictSummary(summary.without_ages())),
            _ => None,
        }
    }
}

/// Serves the routes of the function `admin`.
pub async fn handle(
    context: &Context,
    dead_letters: &DeadLetters,
    request: Request,
) -> Response<Body> {
    let context = &context.for_invocation();
    let response = read(context, dead_letters, &request);
    http::serve_read(
        context,
        "admin",
        &request,
        ApiResponse::without_ages,
        response,
    )
    .await
}

async fn read(
    context: &Context,
    dead_letters: &DeadLetters,
    request: &Request,
) -> Result<ApiResponse, Error> {
    let principal = &context.verifier.principal(request).await?;
    Ok(match http::route(request)?.path {
        "/api/v1/mobile/conflicts" => {
            ApiResponse::Conflicts(conflicts::list(context, request, principal).await?)
        }
        "/api/v1/mobile/conflicts/summary" => {
            ApiResponse::ConflictSummary(conflicts::summary(context, principal).await?)
        }
        "/api/v1/mobile/conflicts/{id}" => {
            ApiResponse::Conflict(Box::new(conflict::get(context, request, principal).await?))
        }
        "/api/v1/mobile/audit" => {
            ApiResponse::Audit(audit::list(context, request, principal).await?)
        }
        "/api/v1/mobile/batches" => {
            ApiResponse::Batches(batches::list(context, request, principal).await?)
        }
        "/api/v1/mobile/status" => {
            ApiResponse::Status(status::get(context, dead_letters, request, principal).await?)
        }
        "/api/v1/mobile/devices" => {
            ApiResponse::Devices(devices::list(context, request, principal).await?)
        }
        "/api/v1/mobile/me" => ApiResponse::Me(me::get(principal)),
        _ => return Err(Problem::new(ProblemCode::NotFound, "there is no such route").into()),
    })
}
