//! Admin: returns conflicts (§5.1), the audit log (§7.1), the status of the change log (§7.2) and
//! the state of devices (§4.8). It only reads. Most routes require the role admin; users may read
//! their own conflicts and devices.

mod audit;
mod conflict;
mod conflicts;
mod devices;
mod status;

use lambda_http::{Body, Request, Response};
use serde::Serialize;
use tidemark_aws::{Context, Error, dead_letters::DeadLetters, http};
use tidemark_core::wire::{
    ack::DevicesResponse,
    audit::AuditList,
    conflicts::{ConflictEntry, ConflictList},
    problem::{Problem, ProblemCode},
    status::StatusResponse,
};

/// The response of any route of this function.
#[derive(Serialize)]
#[serde(untagged)]
enum ApiResponse {
    Conflicts(ConflictList),
    Conflict(Box<ConflictEntry>),
    Audit(AuditList),
    Status(StatusResponse),
    Devices(DevicesResponse),
}

/// Serves the routes of the function `admin`.
pub async fn handle(
    context: &Context,
    dead_letters: &DeadLetters,
    request: Request,
) -> Response<Body> {
    let context = &context.for_invocation();
    let response = read(context, dead_letters, &request);
    http::serve(context, "admin", &request, response).await
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
        "/api/v1/mobile/conflicts/{id}" => {
            ApiResponse::Conflict(Box::new(conflict::get(context, request, principal).await?))
        }
        "/api/v1/mobile/audit" => {
            ApiResponse::Audit(audit::list(context, request, principal).await?)
        }
        "/api/v1/mobile/status" => {
            ApiResponse::Status(status::get(context, dead_letters, request, principal).await?)
        }
        "/api/v1/mobile/devices" => {
            ApiResponse::Devices(devices::list(context, request, principal).await?)
        }
        _ => return Err(Problem::new(ProblemCode::NotFound, "there is no such route").into()),
    })
}
