//! Every HTTP route and the function behind it. The local gateway is built from this table, and `template.yaml` is tested against it.

/// One route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// HTTP method, upper case.
    pub method: &'static str,
    /// Path from the root of the API; `{name}` stands for one segment.
    pub path: &'static str,
    /// The binary that answers it.
    pub function: &'static str,
}

/// Every route of the API.
pub const ROUTES: &[Route] = &[
    Route { method: "POST", path: "/api/v1/mobile/sync/push", function: "push" },
    Route { method: "POST", path: "/api/v1/mobile/sync/pull", function: "pull" },
];
