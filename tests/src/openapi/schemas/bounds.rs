//! Bounds from `limits.rs` in the schemas of requests. The derive macro of `utoipa` accepts only
//! literals, so the bounds are added afterwards.

use std::collections::BTreeMap;

use serde_json::Value;
use tidemark_core::model::limits;

/// Each bound: schema, field, keyword, value. `maxLength` counts characters. A string has at most
/// as many characters as bytes, so every string within a bound in bytes also satisfies the
/// `maxLength`; the converse does not hold for non-ASCII strings.
const BOUNDS: &[(&str, &str, &str, u64)] = &[
    ("PushRequest", "device_id", "minLength", 1),
    (
        "PushRequest",
        "device_id",
        "maxLength",
        limits::NAME_BYTES_MAX as u64,
    ),
    ("PushRequest", "batch_id", "minLength", 1),
    (
        "PushRequest",
        "batch_id",
        "maxLength",
        limits::NAME_BYTES_MAX as u64,
    ),
    ("PushRequest", "items", "minItems", 1),
    (
        "PushRequest",
        "items",
        "maxItems",
        limits::BATCH_ITEMS_MAX as u64,
    ),
    ("PushItem", "client_temp_id", "minLength", 1),
    (
        "PushItem",
        "client_temp_id",
        "maxLength",
        limits::NAME_BYTES_MAX as u64,
    ),
    (
        "PushItem",
        "payload",
        "maxProperties",
        limits::PAYLOAD_FIELDS_MAX as u64,
    ),
    ("PushItem", "client_version", "maximum", limits::VERSION_MAX),
    ("PushItem", "base_version", "maximum", limits::VERSION_MAX),
    (
        "PullRequest",
        "since_token",
        "maxLength",
        limits::TOKEN_BYTES_MAX as u64,
    ),
    ("PullRequest", "device_id", "minLength", 1),
    (
        "PullRequest",
        "device_id",
        "maxLength",
        limits::NAME_BYTES_MAX as u64,
    ),
    ("PullRequest", "limit", "minimum", 1),
    (
        "PullRequest",
        "limit",
        "maximum",
        limits::PAGE_CHANGES_MAX as u64,
    ),
    (
        "AckRequest",
        "ack_token",
        "maxLength",
        limits::TOKEN_BYTES_MAX as u64,
    ),
    ("AckRequest", "device_id", "minLength", 1),
    (
        "AckRequest",
        "device_id",
        "maxLength",
        limits::NAME_BYTES_MAX as u64,
    ),
    ("AckRequest", "app_version", "minLength", 1),
    (
        "AckRequest",
        "app_version",
        "maxLength",
        limits::NAME_BYTES_MAX as u64,
    ),
    (
        "ResolveRequest",
        "payload",
        "maxProperties",
        limits::PAYLOAD_FIELDS_MAX as u64,
    ),
    (
        "ResolveRequest",
        "note",
        "maxLength",
        limits::NOTE_CHARS_MAX as u64,
    ),
    ("PresignRequest", "filename", "minLength", 1),
    (
        "PresignRequest",
        "filename",
        "maxLength",
        limits::NAME_BYTES_MAX as u64,
    ),
    ("PresignRequest", "content_type", "minLength", 1),
    (
        "PresignRequest",
        "content_type",
        "maxLength",
        limits::NAME_BYTES_MAX as u64,
    ),
    ("PresignRequest", "content_length", "minimum", 1),
    (
        "PresignRequest",
        "content_length",
        "maximum",
        limits::MEDIA_BYTES_MAX,
    ),
];

/// Adds each bound of [`BOUNDS`] to the schema of its field.
pub(super) fn apply(schemas: &mut BTreeMap<String, Value>) {
    for (schema, field, keyword, bound) in BOUNDS {
        field_of(schemas, schema, field)[*keyword] = (*bound).into();
    }
}

fn field_of<'a>(
    schemas: &'a mut BTreeMap<String, Value>,
    schema: &str,
    field: &str,
) -> &'a mut Value {
    let properties = schemas
        .get_mut(schema)
        .and_then(|schema| schema.get_mut("properties"));
    let found = properties.and_then(|properties| properties.get_mut(field));
    found.unwrap_or_else(|| panic!("{schema} has no field {field}: correct BOUNDS"))
}
