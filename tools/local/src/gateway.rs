//! The HTTP front of the system, in the shape of API Gateway. It converts HTTP requests into the
//! events of functions and their responses into HTTP, with the limits and the error messages of API
//! Gateway. It never inspects a body or a token.
//!
//! The same port serves the console at `/console`, and the embedded engines: `POST /` with DynamoDB's `x-amz-target` header, so
//! that `aws dynamodb scan --table-name resources --endpoint-url http://127.0.0.1:9080 --region
//! us-east-1` returns the stored items (with any credentials), `/media/…`, path-style S3, and
//! Lambda's Invoke API for the functions that operators invoke. [`Guard`] precedes all of them and
//! rejects other hosts and pages of other sites.

mod dynamodb;
pub mod event;
mod guard;
pub mod invoke;
mod response;
mod router;

pub use dynamodb::router as dynamodb_router;
pub use guard::Guard;
pub use router::{Front, RouteError, router};

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::response::Response;
use tidemark_aws::entry;

use crate::BoxFuture;

use response::{failed, is_too_long, json_response, message, not_found, respond, too_long};

/// Largest request body in bytes that API Gateway accepts.
pub const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Largest event or response of a function in bytes of JSON that Lambda accepts.
pub const LAMBDA_PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Name of the stage in the events of a REST API.
const STAGE: &str = "local";

/// A function behind the API.
pub type Function = Arc<
    dyn Fn(lambda_http::Request) -> BoxFuture<'static, http::Response<lambda_http::Body>>
        + Send
        + Sync,
>;

/// The functions behind the API by name.
pub type Functions = BTreeMap<&'static str, Function>;

/// The API Gateway product to emulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ApiKind {
    /// REST API: payload 1.0, what `template.yaml` deploys.
    #[default]
    Rest,
    /// HTTP API: payload 2.0.
    Http,
}

/// Sends a request through a function like API Gateway. The event is passed as text, and the
/// function runs in its own task, which continues if the client disconnects and isolates a panic.
pub async fn invoke(kind: ApiKind, inbound: &event::Inbound<'_>, function: &Function) -> Response {
    let event = match kind {
        ApiKind::Rest => event::rest_event(inbound, STAGE),
        ApiKind::Http => event::http_event(inbound),
    };
    let event = event.to_string();
    if inbound.body.len() > BODY_BYTES_MAX || event.len() > LAMBDA_PAYLOAD_BYTES_MAX {
        return too_long(kind);
    }

    // On Lambda the function's process parses the event; here its task does.
    let function = Arc::clone(function);
    let call = async move {
        let (request, _) = entry::request(&event, lambda_http::Context::default());
        function(request).await
    };

    match tokio::spawn(call).await {
        Ok(response) => respond(response),
        Err(error) => failed(inbound.route.function, &error),
    }
}

/// Requests come from this machine only, because the listener is bound to it.
const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[cfg(test)]
mod tests;
