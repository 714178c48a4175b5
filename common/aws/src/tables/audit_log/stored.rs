//! The JSON text of an entry, which its rows store packed. Fields that only some actions have are
//! omitted from other entries.

mod convert;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use tidemark_core::{
    model::{
        audit::{AuditAction, Via},
        json::Json,
        resolution::Resolution,
        time::timestamp,
    },
    wire::text,
};

/// An entry as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredEntry {
    id: String,
    #[serde(serialize_with = "serialize_time")]
    at: DateTime<Utc>,
    #[serde(with = "text")]
    action: AuditAction,
    by: String,
    #[serde(with = "text")]
    via: Via,
    user: String,
    device_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batch_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bulk_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runs_as: Option<StoredRunsAs>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    resources: Vec<StoredResource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conflict_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource_id: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "text::option"
    )]
    resolution: Option<Resolution>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    before: Option<Json>,
    after: Option<Json>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredRunsAs {
    user: String,
    roles: Vec<String>,
    groups: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredResource {
    channel: String,
    resource_type: String,
    resource_id: String,
    server_version: u64,
    deleted: bool,
}

fn serialize_time<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp(*at))
}

#[cfg(test)]
mod tests;
