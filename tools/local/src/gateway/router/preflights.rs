//! Routes the preflight requests of browsers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::{Function, Functions};
use axum::Router;
use axum::extract::{Request, State};
use axum::routing::options;
use tidemark_core::wire::routes::Route;

use super::{Front, api};

/// Adds `OPTIONS` to the path of each route, for the preflight requests of browsers.
pub(super) fn with_preflights(
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
            api::handle(&front, &route, &handler, request).await
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
