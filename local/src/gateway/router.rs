//! Which request goes where: health, the API's routes, the embedded DynamoDB at `POST /`, the
//! embedded S3 below its bucket's name, Lambda's Invoke API.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{MethodFilter, any, get, on, options, post};
use http::{Method, StatusCode};
use tidemark_core::routes::Route;

use super::event::{Inbound, placeholders};
use super::invoke::{self, Invocations};
use super::{
    ApiKind, BODY_BYTES_MAX, Function, Functions, Guard, SOURCE, dynamodb, invoke as call,
    is_too_long, json_response, message, not_found, too_long,
};
use crate::engine::Engine;
use crate::store::{BUCKET, DEAD_LETTER_BUCKET, Store};

/// What stands behind the front.
#[derive(Clone)]
pub struct Front {
    /// Which product to imitate.
    pub kind: ApiKind,
    /// The embedded DynamoDB.
    pub engine: Engine,
    /// The embedded S3.
    pub store: Store,
    /// Says the time, for the events.
    pub clock: tidemark_aws::Clock,
    /// The functions that operators invoke.
    pub invocations: Invocations,
    /// Who may ask for anything.
    pub guard: Guard,
}

/// Why a route cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// No function of that name is linked in.
    #[error(
        "route {method} {path} names the function {function:?}, which this build does not have"
    )]
    UnknownFunction {
        /// Method.
        method: &'static str,
        /// Path.
        path: &'static str,
        /// Function.
        function: &'static str,
    },
    /// HTTP has no such method, or routers cannot match it.
    #[error("route {method} {path} has a method that cannot be served")]
    Method {
        /// Method.
        method: &'static str,
        /// Path.
        path: &'static str,
    },
}

/// The router of the whole system.
///
/// # Errors
/// A route names a function that is not among `functions`: better told at start than at the first
/// call.
pub fn router(
    front: Front,
    routes: &'static [Route],
    functions: &Functions,
) -> Result<Router, RouteError> {
    let invocations = post(invoke::invoke).with_state(Arc::new(front.invocations.clone()));
    let guard = front.guard.clone();
    let front = Arc::new(front);
    let mut router = Router::new()
        .route(
            "/health",
            get(async || json_response(StatusCode::OK, r#"{"status":"ok"}"#)),
        )
        .route("/", dynamodb::entry_point(front.engine.clone()))
        .route(invoke::PATH, invocations);
    for bucket in [BUCKET, DEAD_LETTER_BUCKET] {
        router = router
            .route(&format!("/{bucket}"), any(s3))
            .route(&format!("/{bucket}/"), any(s3))
            .route(&format!("/{bucket}/{{*key}}"), any(s3));
    }
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
            .and_then(|method| MethodFilter::try_from(method).ok());
        let filter = filter.ok_or(RouteError::Method { method, path })?;
        let serve = async move |State(front): State<Arc<Front>>, request: Request| {
            api(&front, route, &function, request).await
        };
        router = router.route(path, on(filter, serve));
    }
    for (path, (function, responses)) in preflights(routes, functions) {
        let route = Route {
            method: "OPTIONS",
            path,
            function,
        };
        let serve = async move |State(front): State<Arc<Front>>, request: Request| {
            api(&front, &route, &responses, request).await
        };
        router = router.route(path, options(serve));
    }
    let router = router
        .fallback(async || not_found())
        .method_not_allowed_fallback(async || not_found());
    Ok(guard.before(router.with_state(front)))
}

/// The function that answers `OPTIONS` for each path, which is that of its first route.
fn preflights(
    routes: &'static [Route],
    functions: &Functions,
) -> BTreeMap<&'static str, (&'static str, Function)> {
    let mut preflights = BTreeMap::new();
    for Route { path, function, .. } in routes {
        if let Some(responses) = functions.get(function) {
            preflights
                .entry(*path)
                .or_insert_with(|| (*function, Arc::clone(responses)));
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

/// Counted, not random: a request id only has to be told apart from the others of this run.
fn request_id() -> String {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    format!("local-{:08}", REQUESTS.fetch_add(1, Ordering::Relaxed))
}
