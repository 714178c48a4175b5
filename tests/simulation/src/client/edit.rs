//! An edit that a user made, and the name of the resource that it is about.

use serde_json::Value;

/// The name of a resource on a device. The id of a resource that the device created is its temp id
/// until the server reports another id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The channel of the resource.
    pub channel: String,
    /// The type of the resource.
    pub resource_type: String,
    /// The id of the resource, or its temp id.
    pub id: String,
}

/// Returns whether an id is a temp id of a device.
pub fn is_temp_id(id: &str) -> bool {
    id.starts_with("tmp-")
}

/// An edit that a user made.
#[derive(Debug, Clone)]
pub struct Edit {
    /// The unique number of the edit.
    pub number: u64,
    /// The resource that the edit is about.
    pub name: Name,
    /// The item as the push sends it.
    pub item: Value,
    /// The payload of a create or an update as JSON text, without the id.
    pub content: String,
    /// The base version of the edit, whether it is sent or not.
    pub base: u64,
}

impl Edit {
    /// Returns the action of the item.
    pub fn action(&self) -> &str {
        self.item["action"].as_str().unwrap_or_default()
    }

    /// Returns whether the payload contains the edit's mark. A delete has no payload, and an update
    /// that repeats a displayed value is not marked.
    pub fn is_marked(&self) -> bool {
        self.item["payload"].get(self.mark()).is_some()
    }

    /// Returns the field that marks every payload to which the edit was applied.
    pub fn mark(&self) -> String {
        mark(self.number)
    }
}

/// Returns the mark of the edit with this number.
pub fn mark(number: u64) -> String {
    format!("e{number}")
}
