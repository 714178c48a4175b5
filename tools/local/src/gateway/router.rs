//! Routes requests: health, the API's routes, the console, the embedded DynamoDB at `POST /`, the
//! embedded S3 under the names of its buckets, and Lambda's Invoke API.

mod api;
mod console;
mod preflights;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{any, get, post};
use http::StatusCode;
use tidemark_core::wire::routes::Route;

use super::invoke::{self, Invocations};
use super::{ApiKind, Functions, Guard, dynamodb, json_response, not_found};
use crate::engine::Engine;
use crate::store::{BUCKET, DEAD_LETTER_BUCKET, Store};

use api::with_api;
use console::with_console;
use preflights::with_preflights;

/// Everything to which the front routes requests.
#[derive(Clone)]
pub struct Front {
    /// API Gateway product to emulate.
    pub kind: ApiKind,
    /// Engine of the embedded DynamoDB.
    pub engine: Engine,
    /// Store of the embedded S3.
    pub store: Store,
    /// Clock for the times in events.
    pub clock: tidemark_aws::Clock,
    /// Functions that operators invoke directly.
    pub invocations: Invocations,
    /// Access check for all requests.
    pub guard: Guard,
}

/// Reasons why a route cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The function of a route is not linked into this build.
    #[error(
        "route {method} {path} names the function {function:?}, which this build does not have"
    )]
    UnknownFunction {
        /// HTTP method of the route.
        method: &'static str,
        /// Path of the route.
        path: &'static str,
        /// Name of the function.
        function: &'static str,
    },
    /// HTTP or the router does not support the method of a route.
    #[error("route {method} {path} has a method that cannot be served")]
    Method {
        /// HTTP method of the route.
        method: &'static str,
        /// Path of the route.
        path: &'static str,
    },
}

/// Returns the router of the whole system.
///
/// # Errors
/// Returns an error if a route names a function that `functions` lacks, or has a method that cannot
/// be served. A wrong route thus fails at the start instead of at its first call.
pub fn router(
    front: Front,
    routes: &'static [Route],
    functions: &Functions,
) -> Result<Router, RouteError> {
    let guard = front.guard.clone();
    let router = with_buckets(fixed_routes(&front));
    let router = with_api(router, routes, functions)?;
    let router = with_preflights(router, routes, functions);
    let router = with_console(router, functions);

    let router = router
        .fallback(async || not_found())
        .method_not_allowed_fallback(async || not_found());
    Ok(guard.before(router.with_state(Arc::new(front))))
}

/// Returns the routes that do not depend on the API: health, DynamoDB and Invoke.
fn fixed_routes(front: &Front) -> Router<Arc<Front>> {
    let invocations = post(invoke::invoke).with_state(Arc::new(front.invocations.clone()));
    Router::new()
        .route(
            "/health",
            get(async || json_response(StatusCode::OK, r#"{"status":"ok"}"#)),
        )
        .route("/", dynamodb::entry_point(front.engine.clone()))
        .route(invoke::PATH, invocations)
}

/// Adds the paths of the buckets and of their objects.
fn with_buckets(router: Router<Arc<Front>>) -> Router<Arc<Front>> {
    [BUCKET, DEAD_LETTER_BUCKET]
        .into_iter()
        .fold(router, |router, bucket| {
            router
                .route(&format!("/{bucket}"), any(s3))
                .route(&format!("/{bucket}/"), any(s3))
                .route(&format!("/{bucket}/{{*key}}"), any(s3))
        })
}

async fn s3(State(front): State<Arc<Front>>, request: Request) -> Response {
    front.store.serve(request).await
}

/// Returns a request id. A counter suffices, because an id must be unique only within one run.
fn request_id() -> String {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    format!("local-{:08}", REQUESTS.fetch_add(1, Ordering::Relaxed))
}
