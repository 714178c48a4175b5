//! Bounds from `limits.rs` in the schemas of requests. The derive macro of `utoipa` accepts only
//! literals, so the bounds are added afterwards.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidemark_core::model::limits;

/// Adds its bounds to the schema of each bounded field.
///
/// `maxLength` counts characters. A string has at most as many characters as bytes, so every string
/// within a bound in bytes also satisfies the `maxLength`; the converse does not hold for non-ASCII
/// strings.
pub(super) fn apply(schemas: &mut BTreeMap<String, Value>) {
    let name = json!({"minLength": 1, "maxLength": limits::NAME_BYTES_MAX});
    let token = json!({"maxLength": limits::TOKEN_BYTES_MAX});
    let fields = json!({"maxProperties": limits::PAYLOAD_FIELDS_MAX});
    let version = json!({"maximum": limits::VERSION_MAX});
    let items = json!({"minItems": 1, "maxItems": limits::BATCH_ITEMS_MAX});
    let page = json!({"minimum": 1, "maximum": limits::PAGE_CHANGES_MAX});
    let media = json!({"minimum": 1, "maximum": limits::MEDIA_BYTES_MAX});

    for (schema, field, bounds) in [
        ("PushRequest", "device_id", &name),
        ("PushRequest", "batch_id", &name),
        ("PushRequest", "items", &items),
        ("PushItem", "client_temp_id", &name),
        ("PushItem", "payload", &fields),
        ("PushItem", "client_version", &version),
        ("PushItem", "base_version", &version),
        ("PullRequest", "since_token", &token),
        ("PullRequest", "device_id", &name),
        ("PullRequest", "limit", &page),
        ("AckRequest", "ack_token", &token),
        ("AckRequest", "device_id", &name),
        ("AckRequest", "app_version", &name),
        ("PresignRequest", "filename", &name),
        ("PresignRequest", "content_type", &name),
        ("PresignRequest", "content_length", &media),
    ] {
        bound(schemas, schema, field, bounds);
    }
    apply_to_admin_requests(schemas);
}

/// Adds the bounds of the requests of admins.
fn apply_to_admin_requests(schemas: &mut BTreeMap<String, Value>) {
    let name = json!({"minLength": 1, "maxLength": limits::NAME_BYTES_MAX});
    let fields = json!({"maxProperties": limits::PAYLOAD_FIELDS_MAX});
    let version = json!({"maximum": limits::VERSION_MAX});
    let note = json!({"maxLength": limits::NOTE_CHARS_MAX});
    let bulk = json!({"minItems": 1, "maxItems": limits::BULK_CONFLICTS_MAX});
    let batches = json!({"minItems": 1, "maxItems": limits::REPLAYED_BATCHES_MAX});

    for (schema, field, bounds) in [
        ("ResolveRequest", "payload", &fields),
        ("ResolveRequest", "fields", &fields),
        ("ResolveRequest", "note", &note),
        ("BulkResolveRequest", "conflicts", &bulk),
        ("BulkResolveRequest", "fields", &fields),
        ("BulkResolveRequest", "note", &note),
        ("BulkResolveItem", "id", &name),
        ("ReplayBatchesRequest", "batch_ids", &batches),
        ("CorrectRequest", "payload", &fields),
        ("CorrectRequest", "base_version", &version),
        ("CorrectRequest", "note", &note),
    ] {
        bound(schemas, schema, field, bounds);
    }
}

/// Adds bounds to the schema of a field.
fn bound(schemas: &mut BTreeMap<String, Value>, schema: &str, field: &str, bounds: &Value) {
    let schema = field_of(schemas, schema, field);
    for (keyword, bound) in bounds.as_object().into_iter().flatten() {
        schema[keyword] = bound.clone();
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
    found.unwrap_or_else(|| panic!("{schema} has no field {field}: correct the bounds"))
}
