//! Every HTTP route and the function that serves it. The local gateway is built from this table,
//! and `template.yaml` is tested against it.

/// One route of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method, in upper case.
    pub method: &'static str,
    /// The path from the root of the API; `{name}` matches one segment.
    pub path: &'static str,
    /// The function (binary) that serves the route.
    pub function: &'static str,
}

impl Route {
    /// Returns whether `path` matches this route.
    pub fn is_of(&self, path: &str) -> bool {
        let (route, path) = (self.path.split('/'), path.split('/'));
        route.clone().count() == path.clone().count()
            && route
                .zip(path)
                .all(|(own, given)| own.starts_with('{') || own == given)
    }
}

/// Every route of the API.
pub const ROUTES: &[Route] = &[
    Route {
        method: "POST",
        path: "/api/v1/mobile/sync/push",
        function: "push",
    },
    Route {
        method: "POST",
        path: "/api/v1/mobile/sync/pull",
        function: "pull",
    },
    Route {
        method: "POST",
        path: "/api/v1/mobile/sync/ack",
        function: "ack",
    },
    Route {
        method: "GET",
        path: "/api/v1/mobile/sync/limits",
        function: "pull",
    },
    Route {
        method: "GET",
        path: "/api/v1/mobile/me",
        function: "admin",
    },
    Route {
        method: "GET",
        path: "/api/v1/mobile/devices",
        function: "admin",
    },
    Route {
        method: "GET",
        path: "/api/v1/mobile/conflicts",
        function: "admin",
    },
    // Requests match the first of several routes, so this one precedes that of an id.
    Route {
        method: "GET",
        path: "/api/v1/mobile/conflicts/summary",
        function: "admin",
    },
    Route {
        method: "GET",
        path: "/api/v1/mobile/conflicts/{id}",
        function: "admin",
    },
    Route {
        method: "POST",
        path: "/api/v1/mobile/conflicts/resolve",
        function: "resolve",
    },
    Route {
        method: "POST",
        path: "/api/v1/mobile/conflicts/{id}/resolve",
        function: "resolve",
    },
    Route {
        method: "POST",
        path: "/api/v1/mobile/media/presign",
        function: "presign",
    },
    Route {
        method: "GET",
        path: "/api/v1/mobile/batches",
        function: "admin",
    },
    Route {
        method: "POST",
        path: "/api/v1/mobile/batches/replay",
        function: "batches",
    },
    Route {
        method: "GET",
        path: "/api/v1/mobile/batches/{id}",
        function: "batches",
    },
    Route {
        method: "POST",
        path: "/api/v1/mobile/batches/{id}/replay",
        function: "batches",
    },
    Route {
        method: "POST",
        path: "/api/v1/mobile/batches/{id}/items/{index}/correct",
        function: "batches",
    },
    Route {
        method: "GET",
        path: "/api/v1/mobile/audit",
        function: "admin",
    },
    Route {
        method: "GET",
        path: "/api/v1/mobile/status",
        function: "admin",
    },
];

/// The routes of the console. They are not part of the API: their responses are pages for a
/// browser. `ANY` matches every method, and `{proxy+}` matches one or more segments.
pub const CONSOLE_ROUTES: [Route; 2] = [
    Route {
        method: "ANY",
        path: "/console",
        function: "console",
    },
    Route {
        method: "ANY",
        path: "/console/{proxy+}",
        function: "console",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_match_routes_by_segments() {
        let of = |path: &str| -> Vec<_> {
            ROUTES
                .iter()
                .filter(|route| route.is_of(path))
                .map(|route| route.path)
                .collect()
        };

        assert_eq!(of("/api/v1/mobile/sync/push"), ["/api/v1/mobile/sync/push"]);
        assert_eq!(
            of("/api/v1/mobile/conflicts/conf-1/resolve"),
            ["/api/v1/mobile/conflicts/{id}/resolve"]
        );
        assert_eq!(
            of("/api/v1/mobile/conflicts/conf-1"),
            ["/api/v1/mobile/conflicts/{id}"]
        );

        assert_eq!(
            of("/api/v1/mobile/conflicts/summary").first(),
            Some(&"/api/v1/mobile/conflicts/summary")
        );

        for path in [
            "",
            "/",
            "/api/v1/mobile/sync",
            "/api/v1/mobile/sync/push/",
            "/v1/api/v1/mobile/sync/push",
        ] {
            assert!(of(path).is_empty(), "{path}");
        }
    }
}
