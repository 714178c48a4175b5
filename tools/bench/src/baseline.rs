//! The baseline: a minimal implementation of push and pull. It is one process that serves HTTP over
//! SQLite, with a transaction per request that is committed before the response, as durable as in
//! the embedded engine. It has no token verification, resource types, channels other than users,
//! streams or retries. Of a conflict it stores only the rejected edit.

mod store;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, header},
    routing::post,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
pub use store::Store;

/// An edit of one resource as an element of a push.
#[derive(Debug, Deserialize)]
pub struct Edit {
    client_version: u64,
    payload: Box<RawValue>,
}

#[derive(Deserialize)]
struct Push {
    device_id: String,
    items: Vec<Edit>,
}

/// The result of one edit.
#[derive(Debug, Serialize)]
pub struct Outcome {
    status: &'static str,
    server_id: String,
    server_version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_payload: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct BaselinePush {
    results: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Pull {
    since_token: Option<String>,
    limit: usize,
}

/// A resource in its current state.
#[derive(Debug, Serialize)]
pub struct Change {
    id: String,
    server_version: u64,
    payload: Box<RawValue>,
}

#[derive(Serialize)]
struct Page {
    next_token: String,
    changes: Vec<Change>,
    has_more: bool,
}

/// Returns the router with the routes for push and pull.
pub fn router(store: Store) -> Router {
    let routes = Router::new()
        .route("/api/v1/mobile/sync/push", post(push))
        .route("/api/v1/mobile/sync/pull", post(pull));
    routes.with_state(Arc::new(store))
}

async fn push(State(store): State<Arc<Store>>, headers: HeaderMap, body: Bytes) -> String {
    let push: Push = serde_json::from_slice(&body).unwrap();
    let results = store.push(user(&headers), &push.device_id, &push.items);
    serde_json::to_string(&BaselinePush { results }).unwrap()
}

async fn pull(State(store): State<Arc<Store>>, headers: HeaderMap, body: Bytes) -> String {
    let pull: Pull = serde_json::from_slice(&body).unwrap();
    let since = pull
        .since_token
        .and_then(|token| token.parse().ok())
        .unwrap_or_default();
    let (changes, position) = store.pull(user(&headers), since, pull.limit);
    let has_more = changes.len() == pull.limit;
    serde_json::to_string(&Page {
        next_token: position.to_string(),
        changes,
        has_more,
    })
    .unwrap()
}

fn user(headers: &HeaderMap) -> &str {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}
