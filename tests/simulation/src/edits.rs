//! What the simulation reads from the edits and copies of a client. Every payload that a user
//! enters contains the mark of its edit, so that the oracle recognizes the edits in a version of a
//! row.

use std::collections::BTreeMap;

use serde_json::Value;
use tidemark_client::{Client, Edit, ResourceName};

/// Returns the mark of the edit with this number: a field of every payload to which the edit was
/// applied.
pub fn mark(number: u64) -> String {
    format!("e{number}")
}

/// Returns whether the payload contains the edit's mark. A delete has no payload, and an update
/// that repeats a displayed value is not marked.
pub fn is_marked(edit: &Edit) -> bool {
    item(edit)["payload"].get(mark(edit.number())).is_some()
}

/// Returns the item of an edit, decoded.
pub fn item(edit: &Edit) -> Value {
    serde_json::from_str(edit.item().get()).unwrap()
}

/// Returns the payloads of the copies of a device, without pending edits.
pub fn shown(client: &Client) -> BTreeMap<ResourceName, String> {
    client
        .copies()
        .iter()
        .filter_map(|(name, copy)| Some((name.clone(), copy.payload.as_ref()?.get().to_owned())))
        .collect()
}
