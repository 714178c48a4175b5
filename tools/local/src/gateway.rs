//! The HTTP front of the system, in the shape of API Gateway. It converts HTTP requests into the
//! events of functions and their responses into HTTP, with the limits and the error messages of API
//! Gateway. It never inspects a body or a token.
//!
//! The same port serves the embedded engines: `POST /` with DynamoDB's `x-amz-target` header, so
//! that `aws dynamodb scan --table-name resources --endpoint-url http://127.0.0.1:9080 --region
//! us-east-1` returns the stored items (with any credentials), `/media/…`, path-style S3, and
//! Lambda's Invoke API for the functions that operators invoke. [`Guard`] precedes all of them and
//! rejects other hosts and pages of other sites.

mod dynamodb;
pub mod event;
mod guard;
pub mod invoke;
mod router;

pub use dynamodb::router as dynamodb_router;
pub use guard::Guard;
pub use router::{Front, RouteError, router};

use std::collections::BTreeMap;
use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::{StatusCode, header};
use serde_json::json;
use tidemark_aws::entry;

use crate::BoxFuture;

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

fn failed(function: &str, error: &dyn std::fmt::Display) -> Response {
    tracing::error!(function, %error, "function failed");
    message(StatusCode::BAD_GATEWAY, "Internal server error")
}

fn respond(response: http::Response<lambda_http::Body>) -> Response {
    if payload_bytes(response.body()) > LAMBDA_PAYLOAD_BYTES_MAX {
        tracing::error!("function response exceeds Lambda's limit of 6 MB");
        return message(StatusCode::BAD_GATEWAY, "Internal server error");
    }
    response.map(|body| match body {
        lambda_http::Body::Text(text) => Body::from(text),
        lambda_http::Body::Binary(bytes) => Body::from(bytes),
        _ => Body::empty(),
    })
}

/// Returns the size in bytes of the body in Lambda's response, escaped as a JSON string or encoded
/// in base64.
fn payload_bytes(body: &lambda_http::Body) -> usize {
    match body {
        lambda_http::Body::Text(text) => tidemark_core::model::limits::escaped_bytes(text),
        lambda_http::Body::Binary(bytes) => bytes.len().div_ceil(3) * 4,
        _ => 0,
    }
}

/// Returns API Gateway's response to an unknown route. A real REST API returns 403 "Missing
/// Authentication Token", which misleads newcomers to look for a token; here both kinds return 404.
fn not_found() -> Response {
    message(StatusCode::NOT_FOUND, "Not Found")
}

fn too_long(kind: ApiKind) -> Response {
    let text = match kind {
        ApiKind::Rest => "Request Too Long",
        ApiKind::Http => "Request Entity Too Large",
    };
    message(StatusCode::PAYLOAD_TOO_LARGE, text)
}

/// Returns whether a body was not read because it is too long, and not because the connection broke
/// or the request is malformed.
fn is_too_long(error: &axum::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn message(status: StatusCode, text: &str) -> Response {
    json_response(status, json!({ "message": text }).to_string())
}

fn json_response(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}

/// Requests come from this machine only, because the listener is bound to it.
const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[cfg(test)]
mod tests;
