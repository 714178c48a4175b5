//! Changes of single schemas: for readers without the code, for generators, and for responses,
//! which have exactly the described fields.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Returns the schema with descriptions for readers without the code: intra-doc links and line
/// breaks are removed.
pub(super) fn plain(schema: Value) -> Value {
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

/// Rewrites a schema for generators, which do not support all of OpenAPI 3.1:
///
/// - Most generators drop keywords beside a `$ref`, because they treat it as the Reference Object
///   of OpenAPI 3.0. The reference moves into an `allOf`.
/// - An object without `properties` is any object to a validator, but an object without fields to a
///   generator. `additionalProperties` states that any object is meant.
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

/// Closes the schema of a response, which has exactly the described fields. An optional field is
/// omitted rather than `null`; a field that may be `null` is always present (`schema(required)`).
pub(super) fn close(schema: &mut Value) {
    let required: BTreeSet<String> =
        serde_json::from_value(schema["required"].clone()).unwrap_or_default();
    schema["additionalProperties"] = false.into();
    for (name, field) in schema["properties"].as_object_mut().unwrap() {
        if !required.contains(name) {
            forbid_null(field);
        }
    }
}

/// Removes `null` from the types of a field.
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
