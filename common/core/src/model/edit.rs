//! Edits: the kinds of change that a device makes to a resource (§3.2), and the items in which a
//! device sends them (§3.3).

use crate::model::{
    json::{Fields, Json},
    keyword::keywords,
    result::Rejection,
};

/// The kind of change that an edit makes to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Creates the resource with the payload as its content.
    Create,
    /// Changes the resource by a JSON merge patch.
    Update,
    /// Marks the resource as deleted.
    Delete,
}

keywords!(Action, "action", Create => "create", Update => "update", Delete => "delete");

/// An item of a push, as the client sent it. An invalid item has the members that could be parsed.
#[derive(Debug, Clone)]
pub struct SentItem {
    /// The `client_temp_id`, if it is valid.
    pub client_temp_id: Option<String>,
    /// The `resource_type`, which the catalog may lack.
    pub resource_type: Option<String>,
    /// The `channel` as sent.
    pub channel: Option<String>,
    /// Whether the item is a create.
    pub is_create: bool,
    /// The payload of a valid item.
    pub payload: Option<Json>,
    /// The top-level fields of the payload, if it is an object.
    pub fields: Option<Fields>,
    /// The `was` of a valid item as sent, which may be any JSON value.
    pub was: Option<Json>,
    /// The remaining parts of the edit, or the reason why the item is invalid.
    pub edit: Result<SentEdit, Rejection>,
}

/// The action of a sent edit and the versions it was made on (§3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentEdit {
    /// The kind of change.
    pub action: Action,
    /// The `client_version` as sent.
    pub client_version: u64,
    /// The `base_version` as sent.
    pub base_version: Option<u64>,
}
