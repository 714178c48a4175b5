//! The schemas of the wire types. This module adds what the derive macro does not know: the bounds
//! of `limits.rs`, and that a response has exactly the described fields.

mod bounds;
mod problem;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tidemark_core::wire::problem::ProblemBody;

use super::{
    OPERATIONS,
    rewrite::{close, for_generators, plain},
    unions,
    wire_type::WireType,
};

use problem::add_problem_members;

/// The name of the schema of all rejections.
pub const PROBLEM: &str = "Problem";
/// The name of the schema of the problem of one item of a bulk request, which lacks a payload.
const REJECTED_ITEM: &str = "RejectedItem";

fn text() -> Value {
    json!({"type": "string"})
}

/// Returns every schema to which an operation refers, by name.
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

    let mut schemas = collect(requests.iter().chain(&responses));
    bounds::apply(&mut schemas);
    unions::expand(&mut schemas);

    let requested = reachable(&schemas, &requests);
    let returned = reachable(&schemas, &responses);
    schemas.retain(|name, _| requested.contains(name) || returned.contains(name));
    close_responses(&mut schemas, &requested, &returned);

    for name in [PROBLEM, REJECTED_ITEM] {
        add_problem_members(schemas.get_mut(name).unwrap());
    }
    let rejected = &mut schemas.get_mut(REJECTED_ITEM).unwrap()["properties"];
    rejected.as_object_mut().unwrap().remove("server_payload");
    schemas.values_mut().for_each(for_generators);
    schemas
}

/// Returns the schemas of these types and of all types to which they refer, by name.
fn collect<'a>(types: impl Iterator<Item = &'a WireType>) -> BTreeMap<String, Value> {
    let mut found = Vec::new();
    for wire_type in types {
        (wire_type.collect)(&mut found);
    }

    let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
    for (name, schema) in found {
        let schema = plain(serde_json::to_value(schema).unwrap());
        let other = schemas.insert(name.clone(), schema.clone());
        assert!(
            other.is_none_or(|other| other == schema),
            "two wire types have the name {name}: rename one with schema(as = …)"
        );
    }
    schemas
}

/// Closes the schemas of objects in responses. Panics if one of them is part of requests as well.
fn close_responses(
    schemas: &mut BTreeMap<String, Value>,
    requested: &BTreeSet<String>,
    returned: &BTreeSet<String>,
) {
    for name in returned {
        let schema = schemas.get_mut(name).unwrap();
        if schema.get("properties").is_some() {
            assert!(
                !requested.contains(name),
                "{name} is part of requests, which are open, and of responses, which are closed"
            );
            close(schema);
        }
    }
}

/// Returns the schemas that are reachable from these types, including the types.
fn reachable(schemas: &BTreeMap<String, Value>, from: &[WireType]) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut pending: Vec<String> = from.iter().map(WireType::name).collect();
    while let Some(name) = pending.pop() {
        let schema = schemas
            .get(&name)
            .unwrap_or_else(|| panic!("there is no schema {name}"));
        if reached.insert(name) {
            references(schema, &mut pending);
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
