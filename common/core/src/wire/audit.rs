//! The audit log (§7): a page of entries.

mod entry;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    model::{
        audit::{AuditAction, Via},
        json::Json,
        resolution::Resolution,
    },
    wire::{batches::RunsAsBody, push::ItemResultBody, serialize_timestamp, text},
};

/// A page of the audit log.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditList {
    /// The entries, in the requested order.
    pub entries: Vec<AuditEntryBody>,
    /// The `cursor` of the next page; `null` on the last page of the order `newest`. With the order
    /// `oldest` it is always present.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub next_cursor: Option<String>,
}

/// One entry of the audit log.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = AuditEntry))]
pub struct AuditEntryBody {
    /// The id of the entry; ids sort by time.
    pub id: String,
    /// The time of the action.
    #[serde(serialize_with = "serialize_timestamp")]
    pub at: DateTime<Utc>,
    /// The kind of the action.
    #[serde(with = "text")]
    pub action: AuditAction,
    /// The author: a user, an operator, or `policy:<name>`.
    pub by: String,
    /// The interface through which the action was made.
    #[serde(with = "text")]
    pub via: Via,
    /// The user whose edits the action concerns.
    pub user: String,
    /// The device whose edits the action concerns.
    pub device_id: String,
    /// For a replay or a correction: the id of the batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<String>,
    /// For an action of a bulk request: the id that the entries of the request share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bulk_id: Option<String>,
    /// For a replay or a correction: the claims that it runs with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_as: Option<RunsAsBody>,
    /// For an admin's push: the resources that it writes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<WrittenResourceBody>,
    /// For a resolution: the id of the conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict_id: Option<String>,
    /// For a resolution: the channel of the resource. For a repair: the repaired channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// For a resolution: the type of the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// For a resolution: the id of the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// For a resolution: how the conflict was resolved.
    #[serde(skip_serializing_if = "Option::is_none", with = "text::option")]
    pub resolution: Option<Resolution>,
    /// For a resolution or a correction: the note that accompanies it. For a repair: what the
    /// repair does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The state before the action; `null` if there was none.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<AuditDetails>))]
    pub before: Option<Json>,
    /// The state after the action; `null` if the resource does not exist.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<AuditDetails>))]
    pub after: Option<Json>,
}

/// A resource that an admin's push writes.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = WrittenResource))]
pub struct WrittenResourceBody {
    /// The channel of the resource.
    pub channel: String,
    /// The type of the resource.
    pub resource_type: String,
    /// The id of the resource.
    pub resource_id: String,
    /// The version that the push makes.
    pub server_version: u64,
    /// Whether the push deletes the resource.
    pub deleted: bool,
}

/// The state of a resource in an audit entry.
#[cfg(feature = "openapi")]
#[derive(Serialize, utoipa::ToSchema)]
pub struct AuditedResource {
    /// The version of the resource.
    pub server_version: u64,
    /// Whether the resource is deleted.
    pub deleted: bool,
    /// The payload; for a deleted resource its last payload.
    #[schema(value_type = Object)]
    pub payload: Json,
}

/// The state of a corrected item in an audit entry.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditedItem {
    /// The item: before the correction as the device sent it, and after it with the payload of the
    /// correction. `null` if it has more than 400 KiB.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<Object>))]
    pub item: Option<Json>,
    /// The result of the item, without its payload; `null` before the corrected item was processed.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub result: Option<ItemResultBody>,
}

/// The details of an action: for a resolution the resource, for a replay its results without
/// payloads, for a correction the item.
#[cfg(feature = "openapi")]
#[derive(Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum AuditDetails {
    /// The resource, for a resolution.
    Resource(AuditedResource),
    /// The item results, for a replay.
    Results(Vec<ItemResultBody>),
    /// The item with its result, for a correction.
    Item(AuditedItem),
}
