//! The stable codes of conflicts and errors of items (§3.4).

use crate::model::keyword::keywords;

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
