//! Generates `openapi.json` from the wire types, the routes and the samples in `events/`, and
//! checks that the document describes every response. A new operation needs one entry in the table
//! in `operations.rs`.

mod check;
mod examples;
mod operations;
mod responses;
mod rewrite;
mod schemas;
mod unions;
mod wire_type;

pub use check::{check, validator};
pub use operations::{OPERATIONS, Operation, RequestBody};

use std::{collections::BTreeMap, sync::OnceLock};

use serde_json::{Map, Value, json};
use tidemark_core::wire::routes::Route;

use responses::responses;
pub use responses::word;
use wire_type::ExtraSchema;

const DESCRIPTION: &str = "Devices push what they edited offline and pull what others changed. Requests and responses are \
specified in docs/protocol.md, to whose sections (§) the descriptions refer; docs/errors.md explains each code.\n\nBodies may \
be sent as gzip (`content-encoding: gzip`), and larger responses are sent as gzip to clients that accept it. Fields of a request \
that are not described here are ignored. A response has exactly the fields described here; a later version may add fields.\
\n\nEvery response has the headers `Cache-Control: no-store` and `X-Content-Type-Options: nosniff`. Pages of the origins that the deployment \
allows may read responses, with the headers `ETag`, `Retry-After` and `x-amzn-RequestId`; `OPTIONS` succeeds on every path, without a token.\
\n\nThe gateway itself generates responses, which are not problems: for unknown routes, for bodies over 10 MB, for too \
many requests (429), and for a function that died (502).";

const IF_NONE_MATCH: &str = "The `ETag` of an earlier response to the same request, or a list of them. If the response would have one \
of them, its status is 304 (§8).";

/// Returns the OpenAPI document, which is generated once.
pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for operation in OPERATIONS {
            let (method, path) = operation.route;
            paths.entry(path).or_default().insert(method.to_ascii_lowercase(), describe(operation));
        }

        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Tidemark",
                "description": DESCRIPTION,
                "version": env!("CARGO_PKG_VERSION"),
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "servers": [
                { "url": "http://127.0.0.1:9080", "description": "`cargo run`" },
                {
                    "url": "https://{api}.execute-api.{region}.amazonaws.com/{stage}",
                    "description": "A deployment of template.yaml",
                    "variables": {
                        "api": { "default": "api-id" },
                        "region": { "default": "eu-central-1" },
                        "stage": { "default": "v1" },
                    },
                },
            ],
            "security": [{ "bearer": [] }],
            "paths": paths,
            "components": {
                "schemas": schemas::components(),
                "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } },
            },
        })
    })
}

/// Returns the operation of a route.
pub fn operation(route: &Route) -> Option<&'static Operation> {
    OPERATIONS
        .iter()
        .find(|operation| operation.route == (route.method, route.path))
}

fn describe(operation: &Operation) -> Value {
    let (_, path) = operation.route;
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": responses(operation),
    });

    let in_path = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(
        |name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}),
    );
    let in_query = operation
        .query
        .iter()
        .map(|ExtraSchema { name, meaning, schema }| json!({"name": name, "in": "query", "required": false, "description": meaning, "schema": schema()}));
    let in_header = operation
        .is_tagged()
        .then(|| json!({"name": "If-None-Match", "in": "header", "required": false, "description": IF_NONE_MATCH, "schema": {"type": "string"}}));
    let parameters: Vec<_> = in_path.chain(in_query).chain(in_header).collect();

    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }

    if let Some(request) = operation.request.wire_type() {
        let schema = wire_type::reference(&request.name());
        let examples = examples::of(operation);
        let required = matches!(operation.request, RequestBody::Required(_));
        described["requestBody"] = json!({"required": required, "content": {"application/json": {"schema": schema, "examples": examples}}});
    }
    described
}
