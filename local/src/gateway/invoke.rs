//! Lambda's Invoke API, as `aws lambda invoke --endpoint-url http://127.0.0.1:9080` and the SDKs
//! call it: how an operator reaches a function that takes requests without the API in front. On
//! AWS, IAM says who may invoke. Here whoever reaches the port may: it listens on this machine
//! only, and pages in a browser, which could reach it too, are refused by the
//! [guard](super::Guard).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::json;
use serde_json::value::RawValue;
use tidemark_core::routes::Route;

use super::event::placeholders;
use super::{LAMBDA_PAYLOAD_BYTES_MAX, json_response};
use crate::BoxFuture;

/// Where the Invoke API stands.
pub const PATH: &str = "/2015-03-31/functions/{name}/invocations";

/// The same as a route.
const ROUTE: Route = Route {
    method: "POST",
    path: PATH,
    function: "",
};

/// A function that may be invoked directly: an event in, its answer out, or why it failed.
pub type Invocation =
    Arc<dyn Fn(Box<RawValue>) -> BoxFuture<'static, Result<Box<RawValue>, String>> + Send + Sync>;

/// The functions that may be invoked directly, by name.
pub type Invocations = BTreeMap<&'static str, Invocation>;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
const INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-amz-invocation-type");
const EXECUTED_VERSION: HeaderName = HeaderName::from_static("x-amz-executed-version");

/// Answers an invocation.
pub(super) async fn invoke(
    State(invocations): State<Arc<Invocations>>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    // Not by an extractor, which refuses a name that is no UTF-8 in words of its own.
    let name = placeholders(&ROUTE, parts.uri.path())
        .pop()
        .map_or_else(String::new, |(_, name)| name);
    if let Some(rejected) = rejection(&parts.headers) {
        return rejected;
    }
    let Some(function) = invocations.get(name.as_str()) else {
        let message =
            format!("Function not found: arn:aws:lambda:us-east-1:000000000000:function:{name}");
        return reject(StatusCode::NOT_FOUND, "ResourceNotFoundException", &message);
    };
    let Ok(event) = to_bytes(body, LAMBDA_PAYLOAD_BYTES_MAX).await else {
        let message = format!(
            "Request must be smaller than {LAMBDA_PAYLOAD_BYTES_MAX} bytes for the InvokeFunction operation"
        );
        return reject(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestTooLargeException",
            &message,
        );
    };
    let event = match event.trim_ascii() {
        b"" => b"{}",
        event => event,
    };
    match serde_json::from_slice(event) {
        Ok(event) => response(&name, function, event).await,
        Err(error) => {
            let message = format!("Could not parse request body into json: {error}");
            reject(
                StatusCode::BAD_REQUEST,
                "InvalidRequestContentException",
                &message,
            )
        }
    }
}

/// How a function may not be invoked.
fn rejection(headers: &HeaderMap) -> Option<Response> {
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

/// A function that fails or panics is answered with 200 too, and a header that says so.
async fn response(name: &str, function: &Invocation, event: Box<RawValue>) -> Response {
    let failure = match tokio::spawn(function(event)).await {
        Ok(Ok(response)) => return executed(response.get().to_owned()),
        Ok(Err(failure)) => failure,
        Err(error) => error.to_string(),
    };
    tracing::error!(function = name, %failure, "a function died");
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

fn reject(status: StatusCode, error: &'static str, message: &str) -> Response {
    let mut response = json_response(
        status,
        json!({ "Type": "User", "Message": message }).to_string(),
    );
    response
        .headers_mut()
        .insert(ERROR_TYPE, HeaderValue::from_static(error));
    response
}
