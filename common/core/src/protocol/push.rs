//! Push (§3): a device sends its queued edits in a batch.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Action, deserialize_name, deserialize_name_option,
    number::{deserialize_whole, deserialize_whole_option},
    serialize_timestamp,
};
use crate::{
    conflict::Resolution,
    json::Json,
    limits::{BATCH_ITEMS_MAX, VERSION_MAX},
};

/// A push.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushRequest {
    /// Which device of the caller.
    #[serde(deserialize_with = "deserialize_name")]
    pub device_id: String,
    /// Where the device's pulls stand.
    #[serde(default)]
    pub client_sync_token: Option<String>,
    /// The client's name for this batch: sent again, it is answered as the first time.
    #[serde(default, deserialize_with = "deserialize_name_option")]
    pub batch_id: Option<String>,
    /// The edits, 1 to 50, oldest first. Each is read by itself, so that a broken one is an error
    /// at its index.
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
            "a batch holds at most {BATCH_ITEMS_MAX} items, this one {count}: send the rest in a batch of its own"
        ))),
    }
}

/// One edit, as sent.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushItem {
    /// Of a create: the client's name for what it makes. Of others: names what they address when
    /// the payload has no `id`.
    #[serde(default, deserialize_with = "deserialize_name_option")]
    pub client_temp_id: Option<String>,
    /// A type of the catalog.
    pub resource_type: String,
    /// What to do.
    pub action: Action,
    /// A create's content, an update's merge patch; `id` in it is the address. A delete may leave
    /// it out.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub payload: Option<Json>,
    /// The version the edit was made on (§3.3).
    #[serde(deserialize_with = "deserialize_whole::<_, 0, VERSION_MAX>")]
    pub client_version: u64,
    /// The last `server_version` the device really received.
    #[serde(
        default,
        deserialize_with = "deserialize_whole_option::<_, 0, VERSION_MAX>"
    )]
    pub base_version: Option<u64>,
    /// The channel; left out, the type's default.
    #[serde(default)]
    pub channel: Option<String>,
}

/// The answer to a push.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushResponse {
    /// The server's id of the batch.
    pub batch_id: String,
    /// When it was decided.
    #[serde(serialize_with = "serialize_timestamp")]
    pub processed_at: DateTime<Utc>,
    /// Safe to pull from: it skips no change that the device has not pulled (§3.13).
    pub server_sync_token: String,
    /// One per item, in their order.
    pub results: Vec<ItemResult>,
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Applied, now or before, or it changed nothing.
    Ok,
    /// Kept for a decision: it stands in `conflicts`.
    Conflict,
    /// Not applied.
    Error,
}

/// The answer to one item.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ItemResult {
    /// Which item of the batch, from 0.
    pub index: usize,
    /// As sent.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub client_temp_id: Option<String>,
    /// What became of it.
    pub status: Status,
    /// The resource, where it is known.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub server_id: Option<String>,
    /// The version the edit made, or the one that stands against it.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub server_version: Option<u64>,
    /// The edit was merged with what others wrote (§5, `field_merge`): `server_payload` is what is
    /// stored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merged: bool,
    /// Of a conflict: its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict_id: Option<String>,
    /// What the server holds, where the device may not have it: of a conflict, and of an edit on an
    /// older base that changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub server_payload: Option<Json>,
    /// The payload was left out: the answer would be too large (§3.12), or the item is answered
    /// again and the server holds something newer, or has deleted the resource (§3.6). Pull before
    /// using `server_version` as a base.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub server_payload_omitted: bool,
    /// Of a conflict: the server's resource is deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub server_deleted: bool,
    /// Of a conflict that is decided already, by a policy or before the item was sent again: how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// Of a create that was applied: this device's open conflicts about earlier creates of the
    /// resource, 10 at most. They are resolved now, because this create takes their place (§3.9).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub superseded_conflicts: Vec<String>,
    /// Of a `unique_violation`: the resource that holds the value, if the caller may read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_id: Option<String>,
    /// Stable, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ItemCode>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Of an error: whether sending the item again, unchanged, may succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
}

impl ItemResult {
    /// The item was applied, now or before, or changed nothing.
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

    /// Whether the item is to be tried when its batch is sent again (§3.6).
    pub fn is_retryable(&self) -> bool {
        self.retryable == Some(true)
    }
}

/// Why an item was not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ItemCode {
    /// Conflict: someone else wrote a version the edit was not made on.
    VersionMismatch,
    /// Conflict: another create was sent under this temp id before.
    TempIdReused,
    /// Conflict: the id the create asks for is taken.
    IdTaken,
    /// Conflict: this device created the resource before, with other content.
    AlreadyCreated,
    /// Conflict: another resource holds the value of a unique field.
    UniqueViolation,
    /// Error: the item has not the shape of an item.
    InvalidItem,
    /// Error: the catalog lacks the type.
    UnknownType,
    /// Error: items of this type name their channel.
    ChannelRequired,
    /// Error: no channel has that name.
    InvalidChannel,
    /// Error: the caller may not use the channel.
    ChannelForbidden,
    /// Error: neither `payload.id` nor `client_temp_id` says which resource.
    IdRequired,
    /// Error: `payload.id` is no text of 1 to 256 bytes.
    InvalidId,
    /// Error: the payload is no object, or no JSON that can be stored.
    InvalidPayload,
    /// Error: the payload, as sent or merged, is over 350 KB.
    PayloadTooLarge,
    /// Error: the payload has over 500 top-level fields.
    TooManyFields,
    /// Error: the payload is nested over 64 deep.
    PayloadTooDeep,
    /// Error: a field the catalog requires is missing or `null`.
    RequiredFieldMissing,
    /// Error: no such resource in the channel.
    NotFound,
    /// Error: the resource is deleted, and the device knew.
    ResourceDeleted,
    /// Error: an earlier item failed, on the same resource or on one it refers to, in this batch or
    /// an earlier one. Retryable if that one is.
    DependsOnFailedItem,
    /// Error: a media key is none that this user was given.
    InvalidMediaKey,
    /// Error: the payload names over 50 media keys.
    TooManyMedia,
    /// Error, retryable: nothing was uploaded yet under a media key, or not what was promised.
    MediaMissing,
    /// Error, retryable: others wrote the resource at the same moment, again and again.
    Contended,
    /// Error, retryable: the table would not take the write now.
    Unavailable,
    /// Error, retryable: the device has as many open conflicts as it may have.
    TooManyConflicts,
}
