//! Resolved conflicts in the rows of resources.

use serde::{Deserialize, Serialize};
use tidemark_core::{
    model::resolution::{ConflictResolution, Resolution},
    wire::text,
};

/// A resolved conflict, as rows of resources and tombstones contain it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredResolution {
    id: String,
    #[serde(with = "text")]
    resolution: Resolution,
    server_version: u64,
}

impl From<&ConflictResolution> for StoredResolution {
    fn from(resolved: &ConflictResolution) -> Self {
        Self {
            id: resolved.id.clone(),
            resolution: resolved.resolution,
            server_version: resolved.server_version,
        }
    }
}

impl From<StoredResolution> for ConflictResolution {
    fn from(row: StoredResolution) -> Self {
        Self {
            id: row.id,
            resolution: row.resolution,
            server_version: row.server_version,
        }
    }
}
