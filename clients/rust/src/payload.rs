//! Payloads as JSON text.

use indexmap::IndexMap;
use serde_json::value::{RawValue, to_raw_value};
use tidemark_core::rules::patch;

/// The field of a payload that contains the id of the resource (§3.1).
const ID: &str = "id";

/// Returns the text of an object without its `id`. Of a repeated field, the last value counts (§2).
pub(crate) fn without_id(text: &str) -> serde_json::Result<Box<RawValue>> {
    let mut fields: IndexMap<String, &RawValue> = serde_json::from_str(text)?;
    fields.shift_remove(ID);
    to_raw_value(&fields)
}

/// Returns the text of an object with this `id` as its first field.
pub(crate) fn with_id(content: &RawValue, id: &str) -> serde_json::Result<Box<RawValue>> {
    let (id, rest): (_, IndexMap<String, &RawValue>) =
        (to_raw_value(id)?, serde_json::from_str(content.get())?);
    let mut fields: IndexMap<&str, &RawValue> = IndexMap::from([(ID, &*id)]);
    fields.extend(rest.iter().map(|(field, value)| (field.as_str(), *value)));
    to_raw_value(&fields)
}

/// Applies a merge patch as the server does (§3.2).
pub(crate) fn merge(payload: &RawValue, patch: &RawValue) -> Box<RawValue> {
    patch::merge(payload, patch).0
}
