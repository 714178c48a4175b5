//! Routes the requests to the API.

use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use http::{Method, StatusCode};
use tidemark_core::wire::routes::Route;

use super::super::event::{Inbound, placeholders};
use super::super::{
    BODY_BYTES_MAX, Function, Functions, SOURCE, invoke as call, is_too_long, message, too_long,
};
use super::{Front, RouteError, request_id};

/// Adds the API's routes with their functions.
pub(super) fn with_api(
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
            handle(&front, route, &function, request).await
        };
        router = router.route(path, on(filter, serve));
    }
    Ok(router)
}

/// Responds to a request of a route with its function.
pub(super) async fn handle(
    front: &Front,
    route: &Route,
    function: &Function,
    request: Request,
) -> Response {
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
