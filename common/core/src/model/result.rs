//! The result of an item of a push (§3.4).

use crate::model::{json::Json, keyword::keywords, limits::sentence, resolution::Resolution};

/// The status of a processed item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The edit was applied, now or before, or changed nothing.
    Ok,
    /// The edit conflicts. It is stored in a conflict until it is resolved.
    Conflict,
    /// The edit was not applied.
    Error,
}

keywords!(Status, "status", Ok => "ok", Conflict => "conflict", Error => "error");

/// The result of one item.
#[derive(Debug, Clone)]
pub struct ItemResult {
    /// The index of the item in the batch, starting at 0.
    pub index: usize,
    /// The `client_temp_id` of the item, as sent.
    pub client_temp_id: Option<String>,
    /// Whether the item was applied, conflicts or failed.
    pub status: Status,
    /// The id of the resource, if it is known.
    pub server_id: Option<String>,
    /// The version that the edit created; for a conflict, the version that it conflicts with.
    pub server_version: Option<u64>,
    /// Whether the edit was merged with the changes of others (§5, `field_merge`). `server_payload`
    /// is the stored result.
    pub merged: bool,
    /// The id of the conflict that contains the edit.
    pub conflict_id: Option<String>,
    /// The server's current payload, if the device may not have it: for a conflict, and for an edit
    /// with an older base that changed nothing.
    pub server_payload: Option<Json>,
    /// Whether `server_payload` is omitted, because the response would be too large (§3.12), or
    /// because this is a repeated response and the resource has changed or was deleted since
    /// (§3.6). The device must pull before it uses `server_version` as a base.
    pub server_payload_omitted: bool,
    /// For a conflict, whether the server's resource is deleted.
    pub server_deleted: bool,
    /// For a conflict that is already resolved, by a policy or before the item was sent again, how
    /// it was resolved.
    pub resolution: Option<Resolution>,
    /// For an applied create, the ids of this device's open conflicts about earlier creates of the
    /// resource, at most 10. They are resolved, because this create supersedes them (§3.9).
    pub superseded_conflicts: Vec<String>,
    /// For a `unique_violation`, the id of the resource that holds the value, if the caller may
    /// read it.
    pub holder_id: Option<String>,
    /// The stable code of a conflict or error, for programs.
    pub code: Option<ItemCode>,
    /// The description of a conflict or error, for people.
    pub error: Option<String>,
    /// For an error, whether the item may succeed when it is sent again unchanged.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

keywords!(
    ItemCode, "code",
    VersionMismatch => "version_mismatch",
    TempIdReused => "temp_id_reused",
    IdTaken => "id_taken",
    AlreadyCreated => "already_created",
    UniqueViolation => "unique_violation",
    InvalidItem => "invalid_item",
    UnknownType => "unknown_type",
    ChannelRequired => "channel_required",
    InvalidChannel => "invalid_channel",
    ChannelForbidden => "channel_forbidden",
    IdRequired => "id_required",
    InvalidId => "invalid_id",
    InvalidPayload => "invalid_payload",
    PayloadTooLarge => "payload_too_large",
    TooManyFields => "too_many_fields",
    PayloadTooDeep => "payload_too_deep",
    RequiredFieldMissing => "required_field_missing",
    NotFound => "not_found",
    ResourceDeleted => "resource_deleted",
    DependsOnFailedItem => "depends_on_failed_item",
    InvalidMediaKey => "invalid_media_key",
    TooManyMedia => "too_many_media",
    MediaMissing => "media_missing",
    Contended => "contended",
    Unavailable => "unavailable",
    TooManyConflicts => "too_many_conflicts",
);

/// The reason why an item is rejected.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// The stable code for programs.
    pub code: ItemCode,
    /// The error message for people.
    pub error: String,
}

impl Rejection {
    /// Creates a rejection with a code for programs and a message for people.
    pub fn new(code: ItemCode, error: impl Into<String>) -> Self {
        Self {
            code,
            error: sentence(error),
        }
    }

    /// Returns the error result that reports the rejection.
    pub fn into_result(
        self,
        index: usize,
        client_temp_id: Option<String>,
        server_id: Option<String>,
        retryable: bool,
    ) -> ItemResult {
        ItemResult {
            status: Status::Error,
            server_id,
            code: Some(self.code),
            error: Some(self.error),
            retryable: Some(retryable),
            ..ItemResult::ok(index, client_temp_id, String::new(), None)
        }
    }
}
