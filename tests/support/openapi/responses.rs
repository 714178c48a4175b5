//! The responses of an operation in the document.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidemark_core::wire::problem::ProblemCode;

use super::{Operation, examples, schemas, wire_type};

pub(super) fn responses(operation: &Operation) -> Map<String, Value> {
    let (schema, examples) = (
        wire_type::reference(&operation.response.name()),
        examples::of_response(operation, 200),
    );
    let response = json!({"application/json": {"schema": schema, "examples": examples}});
    let mut responses = Map::from_iter([(
        "200".to_owned(),
        json!({"description": operation.answered, "content": response}),
    )]);
    if operation.is_tagged() {
        responses["200"]["headers"] = entity_tag();
        let description = "The client has the current response. The response has no body.";
        responses.insert(
            "304".to_owned(),
            json!({"description": description, "headers": entity_tag()}),
        );
    }

    let mut rejections: BTreeMap<u16, Vec<ProblemCode>> = BTreeMap::new();
    for code in operation.rejections() {
        rejections.entry(code.status()).or_default().push(code);
    }
    for (status, codes) in rejections {
        responses.insert(status.to_string(), rejection(operation, status, &codes));
    }
    responses
}

/// Returns the description of the header with the entity tag.
fn entity_tag() -> Value {
    let description = "The entity tag of the response, for `If-None-Match` (§8)";
    json!({"ETag": {"description": description, "required": true, "schema": {"type": "string"}}})
}

fn rejection(operation: &Operation, status: u16, codes: &[ProblemCode]) -> Value {
    let described: Vec<_> = codes
        .iter()
        .map(|code| format!("`{}`: {}.", word(*code), code.title()))
        .collect();
    let words: Vec<_> = codes.iter().map(|code| word(*code)).collect();

    // Generators ignore keywords beside a `$ref`, so that `code` and `status` are restricted in a
    // separate schema.
    let narrowed = json!({
        "type": "object",
        "properties": {"code": {"type": "string", "enum": words}, "status": {"type": "integer", "enum": [status]}},
        "required": ["code", "status"],
    });
    let schema = json!({"allOf": [wire_type::reference(schemas::PROBLEM), narrowed]});
    let content = json!({"schema": schema, "examples": examples::of_response(operation, status)});
    let mut rejection = json!({"description": described.join(" "), "content": {"application/problem+json": content}});

    let header = match status {
        401 => Some(("WWW-Authenticate", "`Bearer`", "string")),
        415 => Some((
            "Accept-Encoding",
            "The supported content coding: `gzip`",
            "string",
        )),
        503 => Some(("Retry-After", "Seconds to wait", "integer")),
        _ => None,
    };

    if let Some((name, description, kind)) = header {
        rejection["headers"] =
            json!({name: {"description": description, "required": true, "schema": {"type": kind}}});
    }
    rejection
}

/// Returns a code as the wire format writes it.
pub fn word(code: ProblemCode) -> String {
    serde_json::to_value(code)
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned()
}
