//! The schemas of the wire types. What the derive cannot know is added here: the bounds of
//! `limits.rs`, and that an answer holds what is described and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tidemark_core::{limits, protocol::problem::ProblemBody};
use utoipa::{
    ToSchema,
    openapi::{RefOr, schema::Schema},
};

use super::{OPERATIONS, unions};

/// The schema that every refusal has.
pub const PROBLEM: &str = "Problem";

/// A query parameter, or a member of a problem: what no wire type holds.
pub struct ExtraSchema {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// Its schema.
    pub schema: fn() -> Value,
}

/// One of them.
pub const fn named(
    name: &'static str,
    meaning: &'static str,
    schema: fn() -> Value,
) -> ExtraSchema {
    ExtraSchema {
        name,
        meaning,
        schema,
    }
}

/// Members that a problem may have beyond those of its type (`Problem::with`).
const PROBLEM_MEMBERS: &[ExtraSchema] = &[
    named(
        "allowed_types",
        "Of `media_type_not_allowed`: the types that are.",
        || json!({"type": "array", "items": {"type": "string"}}),
    ),
    named(
        "bytes_max",
        "Of `media_too_large`: the bound.",
        || json!({"type": "integer"}),
    ),
    named("field", "Of `unique_violation`: the unique field.", text),
    named(
        "holder_channel",
        "Of `unique_violation`: where the resource lives that holds the value.",
        text,
    ),
    named(
        "holder_id",
        "Of `unique_violation`: the resource that holds the value, if the caller may read it.",
        text,
    ),
    named(
        "reason",
        "Of `unprocessable`: which rule would be broken.",
        || reference("ItemCode"),
    ),
    named(
        "resolution",
        "Of `already_resolved`: how the conflict was decided.",
        || reference("Resolution"),
    ),
    named(
        "resolved_at",
        "Of `already_resolved`: when.",
        || json!({"type": "string", "format": "date-time"}),
    ),
    named("resolved_by", "Of `already_resolved`: by whom.", text),
    named(
        "server_deleted",
        "Of `version_changed`: whether the resource is deleted.",
        || json!({"type": "boolean"}),
    ),
    named(
        "server_payload",
        "Of `version_changed`: what the server holds.",
        || json!({"type": ["object", "null"]}),
    ),
    named(
        "server_version",
        "Of `version_changed`: the version by now.",
        || json!({"type": "integer"}),
    ),
];

fn text() -> Value {
    json!({"type": "string"})
}

/// Bounds that stand in `limits.rs`: schema, field, keyword, value. Bytes bound letters from above,
/// so a name's bytes are its `maxLength`.
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
        limits::NOTE_LETTERS_MAX as u64,
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

/// A wire type: its name, its schema and those it refers to.
#[derive(Clone, Copy)]
pub struct WireType {
    name: fn() -> String,
    collect: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl WireType {
    /// The type `T`.
    pub const fn of<T: ToSchema>() -> Self {
        Self {
            name: || T::name().into_owned(),
            collect: |schemas| {
                schemas.push((T::name().into_owned(), T::schema()));
                T::schemas(schemas);
            },
        }
    }

    /// Its name in the document.
    pub fn name(&self) -> String {
        (self.name)()
    }
}

/// A reference to a schema by its name.
pub fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Every schema that an operation names, by name.
pub(super) fn components() -> BTreeMap<String, Value> {
    let problem = WireType::of::<ProblemBody<'static>>();
    let requests: Vec<_> = OPERATIONS
        .iter()
        .filter_map(|operation| operation.request.wire_type())
        .collect();
    let responses: Vec<_> = OPERATIONS
        .iter()
        .map(|operation| operation.response)
        .chain([problem])
        .collect();
    let mut found = Vec::new();
    for wire_type in requests.iter().chain(&responses) {
        (wire_type.collect)(&mut found);
    }
    let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
    for (name, schema) in found {
        let schema = plain(serde_json::to_value(schema).unwrap());
        let other = schemas.insert(name.clone(), schema.clone());
        assert!(
            other.is_none_or(|other| other == schema),
            "two wire types are called {name}: name one by schema(as = …)"
        );
    }
    for (schema, field, keyword, bound) in BOUNDS {
        field_of(&mut schemas, schema, field)[*keyword] = (*bound).into();
    }
    unions::expand(&mut schemas);
    let (asked, answered) = (
        reachable(&schemas, &requests),
        reachable(&schemas, &responses),
    );
    schemas.retain(|name, _| asked.contains(name) || answered.contains(name));
    for name in answered {
        let schema = schemas.get_mut(&name).unwrap();
        if schema.get("properties").is_some() {
            assert!(
                !asked.contains(&name),
                "{name} stands in requests, which are open, and in answers, which are closed"
            );
            close(schema);
        }
    }
    for ExtraSchema {
        name,
        meaning,
        schema,
    } in PROBLEM_MEMBERS
    {
        let mut member = schema();
        member["description"] = (*meaning).into();
        schemas.get_mut(PROBLEM).unwrap()["properties"][*name] = member;
    }
    schemas.values_mut().for_each(for_generators);
    schemas
}

/// Writes a schema in the words that every generator reads. OpenAPI 3.1 allows both of what is
/// replaced here:
///
/// - Keywords beside a `$ref` are dropped by most generators, which treat it as the Reference
///   Object of OpenAPI 3.0. They go to `allOf`.
/// - An object without `properties` is any object to a validator, and one without fields to a
///   generator. `additionalProperties` says which.
pub(super) fn for_generators(schema: &mut Value) {
    match schema {
        Value::Object(keywords) => {
            keywords.values_mut().for_each(for_generators);
            let is_object = |kind: &Value| {
                kind == "object"
                    || kind
                        .as_array()
                        .is_some_and(|kinds| kinds.iter().any(|it| it == "object"))
            };
            let is_free = !keywords.contains_key("properties")
                && !keywords.contains_key("additionalProperties");
            if is_free && keywords.get("type").is_some_and(is_object) {
                keywords.insert("additionalProperties".to_owned(), true.into());
            }
            if keywords.len() > 1
                && let Some(target) = keywords.remove("$ref")
            {
                keywords.insert("allOf".to_owned(), json!([{"$ref": target}]));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(for_generators),
        _ => {}
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

/// An answer has the fields described and no others. One that need not be there is left out rather
/// than `null`; one that may be `null` is always there (`schema(required)`).
fn close(schema: &mut Value) {
    let required: BTreeSet<String> =
        serde_json::from_value(schema["required"].clone()).unwrap_or_default();
    schema["additionalProperties"] = false.into();
    for (name, field) in schema["properties"].as_object_mut().unwrap() {
        if !required.contains(name) {
            forbid_null(field);
        }
    }
}

/// Takes `null` out of what a field may be.
pub(super) fn forbid_null(field: &mut Value) {
    let is_null = |schema: &Value| schema["type"] == "null";
    if let Some(kinds) = field["type"].as_array() {
        let kinds: Vec<_> = kinds
            .iter()
            .filter(|kind| *kind != "null")
            .cloned()
            .collect();
        field["type"] = if kinds.len() == 1 {
            kinds[0].clone()
        } else {
            kinds.into()
        };
    } else if let Some(choices) = field["oneOf"].as_array()
        && choices.iter().any(is_null)
    {
        let choices: Vec<_> = choices
            .iter()
            .filter(|choice| !is_null(choice))
            .cloned()
            .collect();
        assert_eq!(choices.len(), 1, "{field}");
        let described = field.get("description").cloned();
        *field = choices[0].clone();
        if let Some(described) = described {
            field["description"] = described;
        }
    }
}

/// The schemas that these types lead to, themselves included.
fn reachable(schemas: &BTreeMap<String, Value>, from: &[WireType]) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut behind: Vec<String> = from.iter().map(WireType::name).collect();
    while let Some(name) = behind.pop() {
        let schema = schemas
            .get(&name)
            .unwrap_or_else(|| panic!("there is no schema {name}"));
        if reached.insert(name) {
            references(schema, &mut behind);
        }
    }
    reached
}

fn references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field
                    .as_str()
                    .and_then(|text| text.strip_prefix("#/components/schemas/"))
                {
                    Some(target) if name == "$ref" => found.push(target.to_owned()),
                    _ => references(field, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|element| references(element, found)),
        _ => {}
    }
}

/// A schema whose descriptions are for readers who do not have the code: links to items of it are
/// their names.
fn plain(schema: Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let fields = fields
                .into_iter()
                .map(|(name, field)| match (name.as_str(), field) {
                    ("description", Value::String(text)) => (
                        name,
                        text.replace("[`", "`")
                            .replace("`]", "`")
                            .replace('\n', " ")
                            .into(),
                    ),
                    (_, field) => (name, plain(field)),
                });
            fields.collect::<serde_json::Map<_, _>>().into()
        }
        Value::Array(list) => list.into_iter().map(plain).collect::<Vec<_>>().into(),
        scalar => scalar,
    }
}
