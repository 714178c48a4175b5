//! Routes the requests to the console.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::routing::any;
use tidemark_core::wire::routes::{CONSOLE_ROUTES, Route};

use super::super::{Functions, not_found};
use super::{Front, api};

/// The methods that a gateway passes to the console.
const METHODS: [&str; 4] = ["GET", "HEAD", "OPTIONS", "POST"];

/// Adds the paths of the console, if its function is linked.
pub(super) fn with_console(
    router: Router<Arc<Front>>,
    functions: &Functions,
) -> Router<Arc<Front>> {
    let [root, below] = CONSOLE_ROUTES;
    let Some(function) = functions.get(root.function) else {
        return router;
    };

    let paths = [
        ("/console", root),
        ("/console/", root),
        ("/console/{*proxy}", below),
    ];
    paths.into_iter().fold(router, |router, (path, route)| {
        let function = Arc::clone(function);
        let serve = async move |State(front): State<Arc<Front>>, request: Request| {
            let method = METHODS
                .into_iter()
                .find(|method| request.method().as_str() == *method);
            let Some(method) = method else {
                return not_found();
            };
            let route = Route { method, ..route };
            api::handle(&front, &route, &function, request).await
        };
        router.route(path, any(serve))
    })
}
