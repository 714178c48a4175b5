//! Routes requests: health, the API's routes, the embedded DynamoDB at `POST /`, the embedded S3
//! under the names of its buckets, and Lambda's Invoke API.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{MethodFilter, any, get, on, options, post};
use http::{Method, StatusCode};
use tidemark_core::wire::routes::Route;

use super::event::{Inbound, placeholders};
use super::invoke::{self, Invocations};
use super::{
    ApiKind, BODY_BYTES_MAX, Function, Functions, Guard, SOURCE, dynamodb, invoke as call,
    is_too_long, json_response, message, not_found, too_long,
};
use crate::engine::Engine;
use crate::store::{BUCKET, DEAD_LETTER_BUCKET, Store};

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

/// Adds the API's routes with their functions.
fn with_api(
    mut router: Router<Arc<Front>>,
    routes: &'static [Route],
    functions: &Functions,
) -> Result<Router<Arc<Front>>, RouteError> {
    for route in routes {
        let Route {
            method,
            path,
            function,
        } = *route;
        let function = functions
            .get(function)
            .ok_or(RouteError::UnknownFunction {
                method,
                path,
                function,
            })?
            .clone();
        let filter = Method::from_bytes(method.as_bytes())
            .ok()
            .and_then(|method| MethodFilter::try_from(method).ok())
            .ok_or(RouteError::Method { method, path })?;

        let serve = async move |State(front): State<Arc<Front>>, request: Request| {
            api(&front, route, &function, request).await
        };
        router = router.route(path, on(filter, serve));
    }
    Ok(router)
}

/// Adds `OPTIONS` to the path of each route, for the preflight requests of browsers.
fn with_preflights(
    mut router: Router<Arc<Front>>,
    routes: &'static [Route],
    functions: &Functions,
) -> Router<Arc<Front>> {
    for (path, (function, handler)) in preflights(routes, functions) {
        let route = Route {
            method: "OPTIONS",
            path,
            function,
        };
        let serve = async move |State(front): State<Arc<Front>>, request: Request| {
            api(&front, &route, &handler, request).await
        };
        router = router.route(path, options(serve));
    }
    router
}

/// Returns the function that handles `OPTIONS` for each path, which is the function of its first
/// route.
fn preflights(
    routes: &'static [Route],
    functions: &Functions,
) -> BTreeMap<&'static str, (&'static str, Function)> {
    let mut preflights = BTreeMap::new();
    for Route { path, function, .. } in routes {
        if let Some(handler) = functions.get(function) {
            preflights
                .entry(*path)
                .or_insert_with(|| (*function, Arc::clone(handler)));
        }
    }
    preflights
}

async fn api(front: &Front, route: &Route, function: &Function, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match to_bytes(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) if is_too_long(&error) => return too_long(front.kind),
        Err(_) => return message(StatusCode::BAD_REQUEST, "Bad Request"),
    };

    let path_parameters = placeholders(route, parts.uri.path());
    let request_id = request_id();
    let inbound = Inbound {
        route,
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        path_parameters: &path_parameters,
        headers: &parts.headers,
        body: &body,
        request_id: &request_id,
        source_ip: SOURCE,
        at: front.clock.now(),
    };

    call(front.kind, &inbound, function).await
}

async fn s3(State(front): State<Arc<Front>>, request: Request) -> Response {
    front.store.serve(request).await
}

/// Returns a request id. A counter suffices, because an id must be unique only within one run.
fn request_id() -> String {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    format!("local-{:08}", REQUESTS.fetch_add(1, Ordering::Relaxed))
}
