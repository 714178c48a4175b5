//! Responses of the gateway, and the sizes that it accepts.

use std::error::Error as _;

use axum::body::Body;
use axum::response::Response;
use http::{StatusCode, header};
use serde_json::json;

use super::{ApiKind, LAMBDA_PAYLOAD_BYTES_MAX};

pub(super) fn failed(function: &str, error: &dyn std::fmt::Display) -> Response {
    tracing::error!(function, %error, "function failed");
    message(StatusCode::BAD_GATEWAY, "Internal server error")
}

pub(super) fn respond(response: http::Response<lambda_http::Body>) -> Response {
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
pub(super) fn not_found() -> Response {
    message(StatusCode::NOT_FOUND, "Not Found")
}

pub(super) fn too_long(kind: ApiKind) -> Response {
    let text = match kind {
        ApiKind::Rest => "Request Too Long",
        ApiKind::Http => "Request Entity Too Large",
    };
    message(StatusCode::PAYLOAD_TOO_LARGE, text)
}

/// Returns whether a body was not read because it is too long, and not because the connection broke
/// or the request is malformed.
pub(super) fn is_too_long(error: &axum::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

pub(super) fn message(status: StatusCode, text: &str) -> Response {
    json_response(status, json!({ "message": text }).to_string())
}

pub(super) fn json_response(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}
