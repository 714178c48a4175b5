//! The HTTP entry point of the embedded DynamoDB: `POST /` with the operation in a header, as the
//! SDKs and the AWS CLI send it.

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{MethodRouter, post};
use http::{HeaderValue, StatusCode, header};

use super::{Guard, is_too_long, json_response, message, not_found};
use crate::engine::Engine;

/// Largest request body in bytes that DynamoDB accepts.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Returns the router of an engine that runs alone on this port.
pub fn router(engine: Engine, port: u16) -> Router {
    let router = Router::new().route("/", entry_point(engine));
    let router = router
        .fallback(async || not_found())
        .method_not_allowed_fallback(async || not_found());
    Guard::without_pages(port).before(router)
}

/// Returns the handler that serves DynamoDB requests at `/` in any router.
pub(super) fn entry_point<S: Clone + Send + Sync + 'static>(engine: Engine) -> MethodRouter<S> {
    post(response).with_state(engine)
}

async fn response(State(engine): State<Engine>, request: Request) -> Response {
    let target = request
        .headers()
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .unwrap_or_default();
    let operation = ["DynamoDB_20120810.", "DynamoDBStreams_20120810."]
        .iter()
        .find_map(|p| target.strip_prefix(p));
    let Some(operation) = operation.map(str::to_owned) else {
        return not_found();
    };

    let body = match to_bytes(request.into_body(), BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) if is_too_long(&error) => {
            return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        }
        Err(_) => return message(StatusCode::BAD_REQUEST, "Bad Request"),
    };

    let reply = engine.call(&operation, &body);
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_response(status, reply.body);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-amz-json-1.0"),
    );
    response
}
