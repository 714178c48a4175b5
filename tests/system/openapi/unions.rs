//! The unions of `openapi.json`: the variants exclude each other's fields, and a discriminator
//! names the variant, so that generated clients can narrow them.

#![expect(clippy::unwrap_used, reason = "a failed precondition fails the test")]

use serde_json::{Value, json};
use tidemark_tests::{Item, openapi};

/// Returns whether a value matches a schema of the document.
fn fits(schema: &str, value: &Value) -> bool {
    openapi::validator(&format!("#/components/schemas/{schema}")).is_valid(value)
}

/// Returns an `ItemResult` of each variant: `ok`, `conflict` and `error`.
fn item_results() -> [Value; 3] {
    [
        json!({"index": 0, "client_temp_id": null, "status": "ok", "server_id": "m", "server_version": 1}),
        json!({"index": 0, "client_temp_id": null, "status": "conflict", "server_id": "m", "server_version": null,
            "conflict_id": "conf-1", "code": "id_taken", "error": "…"}),
        json!({"index": 0, "client_temp_id": null, "status": "error", "server_id": null, "server_version": null,
            "code": "not_found", "error": "…", "retryable": false}),
    ]
}

/// Returns a `Change` with a payload and a delete.
fn changes() -> [Value; 2] {
    let deleted = json!({"id": "m", "resource_type": "meter", "channel": "tenant", "action": "delete", "server_version": 1,
        "changed_at": "2026-01-01T00:00:00.000Z"});
    let created = with(
        &with(&deleted, "action", "create".into()),
        "payload",
        json!({}),
    );
    [created, deleted]
}

/// Returns a `PushItem` that updates a resource, and one that deletes it.
fn push_items() -> [Value; 2] {
    [
        Item::update("meter", "m", 0, json!({})).into(),
        Item::delete("meter", "m", 0).into(),
    ]
}

fn manual_merge() -> Value {
    json!({"resolution": "manual_merge", "payload": {"a": 1}})
}

fn field_pick() -> Value {
    json!({"resolution": "field_pick", "fields": {"a": "client"}, "expected_server_version": 7})
}

/// Returns a copy of an object with this field.
fn with(value: &Value, name: &str, field: Value) -> Value {
    let mut value = value.clone();
    value[name] = field;
    value
}

/// Returns a copy of an object without a field that it has.
fn without(value: &Value, name: &str) -> Value {
    let mut value = value.clone();
    value.as_object_mut().unwrap().remove(name).unwrap();
    value
}

/// Returns values of unions that have the fields of another variant, or lack those of their own.
fn mixed_variants() -> [(&'static str, Value); 15] {
    let ([ok, conflict, error], [created, deleted]) = (item_results(), changes());
    let [update, _] = push_items();
    let accept = json!({"resolution": "accept_client", "payload": {}});
    [
        ("ItemResult", with(&ok, "code", "id_taken".into())),
        ("ItemResult", with(&ok, "retryable", true.into())),
        ("ItemResult", with(&ok, "server_id", Value::Null)),
        ("ItemResult", without(&conflict, "conflict_id")),
        ("ItemResult", with(&conflict, "merged", true.into())),
        ("ItemResult", without(&error, "retryable")),
        ("ItemResult", with(&error, "conflict_id", "conf-1".into())),
        ("ItemResult", with(&ok, "status", "else".into())),
        ("Change", without(&created, "payload")),
        ("Change", with(&deleted, "payload", json!({}))),
        ("ResolveRequest", without(&manual_merge(), "payload")),
        ("ResolveRequest", without(&field_pick(), "fields")),
        (
            "ResolveRequest",
            without(&field_pick(), "expected_server_version"),
        ),
        ("ResolveRequest", accept),
        ("PushItem", without(&update, "payload")),
    ]
}

#[test]
fn union_variants_accept_only_their_fields() {
    let resolutions = [
        manual_merge(),
        json!({"resolution": "accept_client"}),
        json!({"resolution": "accept_server", "payload": null}),
        field_pick(),
    ];
    let by_temp_id = Item::new("meter", "delete", 0).temp_id("t").into();
    for (schema, values) in [
        ("ItemResult", item_results().to_vec()),
        ("Change", changes().to_vec()),
        ("ResolveRequest", resolutions.to_vec()),
        ("PushItem", push_items().to_vec()),
        ("PushItem", vec![by_temp_id]),
    ] {
        for value in values {
            assert!(fits(schema, &value), "{schema}: {value}");
        }
    }

    for (schema, value) in mixed_variants() {
        assert!(!fits(schema, &value), "{schema}: {value}");
    }
}

#[test]
fn unions_name_their_discriminator() {
    let schemas = &openapi::document()["components"]["schemas"];
    for (name, by, count) in [
        ("PushItem", "action", 3),
        ("ItemResult", "status", 3),
        ("Change", "action", 3),
        ("ConflictEntry", "status", 2),
        ("ResolveRequest", "resolution", 4),
        ("BulkResolveResult", "status", 4),
        ("AuditEntry", "action", 6),
        ("BatchReplayResult", "status", 3),
    ] {
        let discriminator = &schemas[name]["discriminator"];
        assert_eq!(
            (
                &discriminator["propertyName"],
                schemas[name]["oneOf"].as_array().unwrap().len()
            ),
            (&by.into(), count),
            "{name}"
        );

        for (value, target) in discriminator["mapping"].as_object().unwrap() {
            let variant = &schemas[target.as_str().unwrap().rsplit('/').next().unwrap()];
            assert_eq!(variant["properties"][by]["enum"], json!([value]), "{name}");
            assert!(
                variant["required"].as_array().unwrap().contains(&by.into()),
                "{name}"
            );
        }
    }
}
