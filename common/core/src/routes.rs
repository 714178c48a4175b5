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
    Route { method: "POST", path: "/api/v1/mobile/sync/ack", function: "ack" },
    Route { method: "GET", path: "/api/v1/mobile/sync/limits", function: "pull" },
    Route { method: "GET", path: "/api/v1/mobile/devices", function: "ack" },
    Route { method: "GET", path: "/api/v1/mobile/conflicts", function: "conflicts" },
    Route { method: "GET", path: "/api/v1/mobile/conflicts/{id}", function: "conflicts" },
    Route { method: "POST", path: "/api/v1/mobile/conflicts/{id}/resolve", function: "resolve" },
    Route { method: "POST", path: "/api/v1/mobile/media/presign", function: "presign" },
    Route { method: "GET", path: "/api/v1/mobile/batches/{id}", function: "batches" },
    Route { method: "POST", path: "/api/v1/mobile/batches/{id}/replay", function: "batches" },
    Route { method: "GET", path: "/api/v1/mobile/audit", function: "conflicts" },
];
