//! The response to an invocation.

use super::super::json_response;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;
use serde_json::value::RawValue;

use super::{ERROR_TYPE, EXECUTED_VERSION, FUNCTION_ERROR, INVOCATION_TYPE, Invocation};

/// Returns an error response for other invocation types than `RequestResponse`.
pub(super) fn rejection(headers: &HeaderMap) -> Option<Response> {
    let kind = headers
        .get(INVOCATION_TYPE)
        .map_or("RequestResponse", |kind| kind.to_str().unwrap_or("?"));
    if kind == "RequestResponse" {
        return None;
    }
    let message = format!("The local runner invokes with RequestResponse only, not {kind}");
    Some(reject(
        StatusCode::BAD_REQUEST,
        "InvalidParameterValueException",
        &message,
    ))
}

/// Runs the function. If it fails or panics, the response has status 200 too, and a header that
/// marks the error.
pub(super) async fn response(name: &str, function: &Invocation, event: Box<RawValue>) -> Response {
    let failure = match tokio::spawn(function(event)).await {
        Ok(Ok(response)) => return executed(response.get().to_owned()),
        Ok(Err(failure)) => failure,
        Err(error) => error.to_string(),
    };
    tracing::error!(function = name, %failure, "function failed");
    let mut response =
        executed(json!({ "errorType": "Runtime.ExitError", "errorMessage": failure }).to_string());
    response
        .headers_mut()
        .insert(FUNCTION_ERROR, HeaderValue::from_static("Unhandled"));
    response
}

fn executed(payload: String) -> Response {
    let mut response = json_response(StatusCode::OK, payload);
    response
        .headers_mut()
        .insert(EXECUTED_VERSION, HeaderValue::from_static("$LATEST"));
    response
}

pub(super) fn reject(status: StatusCode, error: &'static str, message: &str) -> Response {
    let mut response = json_response(
        status,
        json!({ "Type": "User", "Message": message }).to_string(),
    );
    response
        .headers_mut()
        .insert(ERROR_TYPE, HeaderValue::from_static(error));
    response
}
