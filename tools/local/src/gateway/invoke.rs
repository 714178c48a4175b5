//! Lambda's Invoke API, as `aws lambda invoke --endpoint-url http://127.0.0.1:9080` and the SDKs
//! call it. Operators use it to invoke a function without the API in front. On AWS, IAM controls
//! who may invoke. Here every program that reaches the port may: the runner listens on this machine
//! only, and the [guard](super::Guard) rejects pages in a browser.

mod response;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderName, StatusCode};
use serde_json::value::RawValue;
use tidemark_core::wire::routes::Route;

use super::LAMBDA_PAYLOAD_BYTES_MAX;
use super::event::placeholders;
use crate::BoxFuture;

use response::{reject, rejection, response};

/// Path of the Invoke API.
pub const PATH: &str = "/2015-03-31/functions/{name}/invocations";

/// The same path as a route.
const ROUTE: Route = Route {
    method: "POST",
    path: PATH,
    function: "",
};

/// A function that may be invoked directly. It takes an event and returns its response or an error
/// message.
pub type Invocation =
    Arc<dyn Fn(Box<RawValue>) -> BoxFuture<'static, Result<Box<RawValue>, String>> + Send + Sync>;

/// The functions that may be invoked directly, by name.
pub type Invocations = BTreeMap<&'static str, Invocation>;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
const INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-amz-invocation-type");
const EXECUTED_VERSION: HeaderName = HeaderName::from_static("x-amz-executed-version");

/// Handles an invocation and returns Lambda's response.
pub(super) async fn invoke(
    State(invocations): State<Arc<Invocations>>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    // An axum extractor would reject a name that is not UTF-8 with its own message.
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
