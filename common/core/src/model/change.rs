//! Changes of resources, as a pull returns them (§4).

use chrono::{DateTime, Utc};

use crate::model::{edit::Action, json::Json, resolution::ChangeResolution, resource::ResourceKey};

/// The change of a resource between two pulls of a device.
#[derive(Debug, Clone)]
pub struct PulledChange {
    /// The resource that changed.
    pub key: ResourceKey,
    /// The kind of change.
    pub action: Action,
    /// The complete payload of the resource; `None` for a delete.
    pub payload: Option<Json>,
    /// The version of the resource after the change.
    pub server_version: u64,
    /// The time of the change.
    pub changed_at: DateTime<Utc>,
    /// The conflicts about the resource that were resolved in between, oldest first.
    pub resolved_conflicts: Vec<ChangeResolution>,
}
