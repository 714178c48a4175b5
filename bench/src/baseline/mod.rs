//! The floor: the least that could do a push and a pull. One process, HTTP over SQLite, and a
//! transaction for each request that is durable when it is answered, as durable as in the embedded
//! engine. It verifies no token, has no types, no channels but users, no stream, no retries and no
//! conflicts beyond keeping the refused edit.

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

/// The edit of one resource, as a push has it.
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

/// What became of an edit.
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

/// A resource in its newest state.
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

/// The two routes.
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
