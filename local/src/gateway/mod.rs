//! The front of the system, shaped like API Gateway: it turns HTTP into the events functions get,
//! and their answers into HTTP, with API Gateway's own limits and its own words for them. It never
//! looks into a body or a token.
//!
//! The same port serves the embedded engines: `POST /` with DynamoDB's `x-amz-target` header, so
//! that `aws dynamodb scan --table-name resources --endpoint-url http://127.0.0.1:9080 --region
//! us-east-1` shows what is stored (any credentials do), `/media/…`, path-style S3, and Lambda's
//! Invoke API for the functions that operators invoke. Before all of them stands [`Guard`], which
//! refuses other hosts and pages of other sites.

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

/// API Gateway's bound on a request body.
pub const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Lambda's bound on an event, and on an answer, as JSON.
pub const LAMBDA_PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

/// The stage that a REST API's events name.
const STAGE: &str = "local";

/// A function behind the API.
pub type Function = Arc<
    dyn Fn(lambda_http::Request) -> BoxFuture<'static, http::Response<lambda_http::Body>>
        + Send
        + Sync,
>;

/// The functions by name.
pub type Functions = BTreeMap<&'static str, Function>;

/// Which of API Gateway's two products to imitate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ApiKind {
    /// REST API: payload 1.0, what `template.yaml` deploys.
    #[default]
    Rest,
    /// HTTP API: payload 2.0.
    Http,
}

/// Sends a request through a function, as API Gateway does: the event as text, the function in a
/// task of its own, which goes on when the client hangs up and takes nothing down when it panics.
pub async fn invoke(kind: ApiKind, inbound: &event::Inbound<'_>, function: &Function) -> Response {
    let event = match kind {
        ApiKind::Rest => event::rest_event(inbound, STAGE),
        ApiKind::Http => event::http_event(inbound),
    };
    let event = event.to_string();
    if inbound.body.len() > BODY_BYTES_MAX || event.len() > LAMBDA_PAYLOAD_BYTES_MAX {
        return too_long(kind);
    }
    // The event is read inside the function's process on Lambda: inside the task too.
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
    tracing::error!(function, %error, "a function died");
    message(StatusCode::BAD_GATEWAY, "Internal server error")
}

fn respond(response: http::Response<lambda_http::Body>) -> Response {
    if payload_bytes(response.body()) > LAMBDA_PAYLOAD_BYTES_MAX {
        tracing::error!("a function answered more than Lambda's 6 MB");
        return message(StatusCode::BAD_GATEWAY, "Internal server error");
    }
    response.map(|body| match body {
        lambda_http::Body::Text(text) => Body::from(text),
        lambda_http::Body::Binary(bytes) => Body::from(bytes),
        _ => Body::empty(),
    })
}

/// How long the body is in Lambda's answer: escaped as a JSON string, or as base64.
fn payload_bytes(body: &lambda_http::Body) -> usize {
    match body {
        lambda_http::Body::Text(text) => tidemark_core::limits::escaped_bytes(text),
        lambda_http::Body::Binary(bytes) => bytes.len().div_ceil(3) * 4,
        _ => 0,
    }
}

/// What API Gateway says when the route does not exist. (A REST API says 403 "Missing
/// Authentication Token", which sends newcomers looking for a token; here both kinds say what they
/// mean.)
fn not_found() -> Response {
    message(StatusCode::NOT_FOUND, "Not Found")
}

fn too_long(kind: ApiKind) -> Response {
    let words = match kind {
        ApiKind::Rest => "Request Too Long",
        ApiKind::Http => "Request Entity Too Large",
    };
    message(StatusCode::PAYLOAD_TOO_LARGE, words)
}

/// Whether a body was not read because it is too long, and not because it broke off or is no HTTP.
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

fn message(status: StatusCode, words: &str) -> Response {
    json_response(status, json!({ "message": words }).to_string())
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

/// Requests come from this machine only: the listener is bound to it.
const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[cfg(test)]
mod tests;
