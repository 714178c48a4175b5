//! Push (§3): a device sends its queued edits in a batch.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Action, deserialize_name, deserialize_name_option,
    number::{deserialize_whole, deserialize_whole_option},
    serialize_timestamp,
};
use crate::model::{
    conflict::Resolution,
    json::Json,
    limits::{BATCH_ITEMS_MAX, VERSION_MAX},
};

/// A batch of edits from a device.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushRequest {
    /// The id of the caller's device, 1 to 256 bytes.
    #[serde(deserialize_with = "deserialize_name")]
    pub device_id: String,
    /// The last `next_token` that the device pulled, or the last `server_sync_token` that it
    /// received.
    #[serde(default)]
    pub client_sync_token: Option<String>,
    /// The client's id of this batch, 1 to 256 bytes. A batch that is sent again with the same id
    /// and items is idempotent: it gets its first response, and only items with a retryable error
    /// are processed again (§3.6).
    #[serde(default, deserialize_with = "deserialize_name_option")]
    pub batch_id: Option<String>,
    /// The edits, 1 to 50, oldest first. Each item is validated by itself: an invalid item gets an
    /// error result at its index.
    #[serde(deserialize_with = "deserialize_items")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<PushItem>))]
    pub items: Vec<Json>,
}

fn deserialize_items<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Json>, D::Error> {
    let items = Vec::<Json>::deserialize(deserializer)?;
    match items.len() {
        1..=BATCH_ITEMS_MAX => Ok(items),
        0 => Err(serde::de::Error::custom("a batch holds at least one item")),
        count => Err(serde::de::Error::custom(format!(
            "a batch holds at most {BATCH_ITEMS_MAX} items, but this one has {count}: send the rest in another batch"
        ))),
    }
}

/// An edit of one resource.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushItem {
    /// For a create, the client's name for the new resource. For an update or delete, the name of
    /// the resource to change if the payload has no `id`. 1 to 256 bytes.
    #[serde(default, deserialize_with = "deserialize_name_option")]
    pub client_temp_id: Option<String>,
    /// The resource type, as defined in the catalog.
    pub resource_type: String,
    /// The kind of change.
    pub action: Action,
    /// The content of a create, or the JSON merge patch of an update. Its `id` identifies the
    /// resource. Optional for a delete.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub payload: Option<Json>,
    /// The version that the edit was made on (§3.3).
    #[serde(deserialize_with = "deserialize_whole::<_, 0, VERSION_MAX>")]
    pub client_version: u64,
    /// The last `server_version` whose content the device has received (§3.3).
    #[serde(
        default,
        deserialize_with = "deserialize_whole_option::<_, 0, VERSION_MAX>"
    )]
    pub base_version: Option<u64>,
    /// The channel of the resource. Default: the default channel of the type.
    #[serde(default)]
    pub channel: Option<String>,
}

/// The results of a batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushResponse {
    /// The server's id of the batch.
    pub batch_id: String,
    /// The time at which the batch was processed.
    #[serde(serialize_with = "serialize_timestamp")]
    pub processed_at: DateTime<Utc>,
    /// A token from which the device can pull without missing a change (§3.13).
    pub server_sync_token: String,
    /// One result for each item, in their order.
    pub results: Vec<ItemResult>,
}

/// The status of a processed item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The edit was applied, now or before, or changed nothing.
    Ok,
    /// The edit conflicts. It is stored in a conflict until it is resolved.
    Conflict,
    /// The edit was not applied.
    Error,
}

/// The result of one item.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ItemResult {
    /// The index of the item in the batch, starting at 0.
    pub index: usize,
    /// The `client_temp_id` of the item, as sent.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub client_temp_id: Option<String>,
    /// Whether the item was applied, conflicts or failed.
    pub status: Status,
    /// The id of the resource, if it is known.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub server_id: Option<String>,
    /// The version that the edit created; for a conflict, the version that it conflicts with.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub server_version: Option<u64>,
    /// Whether the edit was merged with the changes of others (§5, `field_merge`). `server_payload`
    /// is the stored result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merged: bool,
    /// The id of the conflict that contains the edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict_id: Option<String>,
    /// The server's current payload, if the device may not have it: for a conflict, and for an edit
    /// with an older base that changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub server_payload: Option<Json>,
    /// Whether `server_payload` is omitted, because the response would be too large (§3.12), or
    /// because this is a repeated response and the resource has changed or was deleted since
    /// (§3.6). The device must pull before it uses `server_version` as a base.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub server_payload_omitted: bool,
    /// For a conflict, whether the server's resource is deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub server_deleted: bool,
    /// For a conflict that is already resolved, by a policy or before the item was sent again, how
    /// it was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// For an applied create, the ids of this device's open conflicts about earlier creates of the
    /// resource, at most 10. They are resolved, because this create supersedes them (§3.9).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub superseded_conflicts: Vec<String>,
    /// For a `unique_violation`, the id of the resource that holds the value, if the caller may
    /// read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_id: Option<String>,
    /// The stable code of a conflict or error, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ItemCode>,
    /// The description of a conflict or error, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// For an error, whether the item may succeed when it is sent again unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
}

impl ItemResult {
    /// Returns the result of an item that was applied, now or before, or changed nothing.
    pub fn ok(
        index: usize,
        client_temp_id: Option<String>,
        server_id: String,
        server_version: Option<u64>,
    ) -> Self {
        Self {
            index,
            client_temp_id,
            status: Status::Ok,
            server_id: Some(server_id),
            server_version,
            merged: false,
            conflict_id: None,
            resolution: None,
            superseded_conflicts: Vec::new(),
            holder_id: None,
            server_payload: None,
            server_payload_omitted: false,
            server_deleted: false,
            code: None,
            error: None,
            retryable: None,
        }
    }

    /// Returns whether the item is processed again when its batch is sent again (§3.6).
    pub fn is_retryable(&self) -> bool {
        self.retryable == Some(true)
    }
}

/// The reason why an item was not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ItemCode {
    /// Conflict: another writer wrote a version that the edit was not made on.
    VersionMismatch,
    /// Conflict: another create was sent before with this temp id.
    TempIdReused,
    /// Conflict: the id that the create requests is taken.
    IdTaken,
    /// Conflict: this device created the resource before, with other content.
    AlreadyCreated,
    /// Conflict: another resource holds the value of a unique field.
    UniqueViolation,
    /// Error: the item does not match the schema of an item.
    InvalidItem,
    /// Error: the catalog has no such resource type.
    UnknownType,
    /// Error: items of this type must name their channel.
    ChannelRequired,
    /// Error: the channel name is invalid.
    InvalidChannel,
    /// Error: the caller may not use the channel.
    ChannelForbidden,
    /// Error: neither `payload.id` nor `client_temp_id` identifies the resource.
    IdRequired,
    /// Error: `payload.id` is not text of 1 to 256 bytes, or a create requests an id of the form
    /// that the server derives.
    InvalidId,
    /// Error: the payload is not an object, or contains text that is not valid Unicode.
    InvalidPayload,
    /// Error: the payload, as sent or merged, is larger than 350 KB.
    PayloadTooLarge,
    /// Error: the payload has more than 500 top-level fields.
    TooManyFields,
    /// Error: the payload is nested more than 64 levels deep.
    PayloadTooDeep,
    /// Error: a field that the catalog requires is missing or `null`.
    RequiredFieldMissing,
    /// Error: the resource does not exist in the channel.
    NotFound,
    /// Error: the resource is deleted, and the device had received the delete.
    ResourceDeleted,
    /// Error: the item depends on an earlier item that failed, on the same resource or on a
    /// resource that it refers to, in this batch or an earlier one. Retryable if that item is.
    DependsOnFailedItem,
    /// Error: a media field contains a key that was not issued to this user.
    InvalidMediaKey,
    /// Error: the payload names more than 50 media keys.
    TooManyMedia,
    /// Error, retryable: the upload of a media key is missing or differs from what was promised.
    MediaMissing,
    /// Error, retryable: concurrent updates of the resource repeatedly prevented the write.
    Contended,
    /// Error, retryable: the table or the object store is unavailable.
    Unavailable,
    /// Error, retryable: the device has reached the limit of open conflicts.
    TooManyConflicts,
}
