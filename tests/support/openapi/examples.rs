//! Examples of requests are the bodies of the samples in `events/`. Examples of responses are
//! recorded: `responses.json` contains the responses of the system to
//! `tests/system/openapi/responses.rs`.

use std::{fs, path::Path};

use lambda_http::Request;
use serde_json::{Map, Value, json};
use tidemark_aws::http;
use tidemark_core::{model::limits::BODY_BYTES_MAX, wire::gzip};

use super::Operation;

/// The placeholder for a token that differs between deployments.
const SINCE_TOKEN: &str = "tm1_the-next_token-of-an-earlier-pull";

/// Returns the examples of an operation, by the name of their sample.
pub(super) fn of(operation: &Operation) -> Map<String, Value> {
    let examples = operation.samples.iter().map(|sample| {
        let request = request(sample);
        let route = http::route(&request).unwrap();
        assert_eq!(
            (route.method, route.path),
            operation.route,
            "events/{sample}.json"
        );
        ((*sample).to_owned(), json!({"value": body(&request)}))
    });
    examples.collect()
}

fn request(sample: &str) -> Request {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../events/{sample}.json"));
    let event =
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("events/{sample}.json: {error}"));
    crate::request(&event.replace("${SINCE_TOKEN}", SINCE_TOKEN))
}

fn body(request: &Request) -> Value {
    let packed = request.body().starts_with(&[0x1f, 0x8b]);
    let body = if packed {
        gzip::gunzip(request.body(), BODY_BYTES_MAX).unwrap()
    } else {
        request.body().to_vec()
    };
    serde_json::from_slice(&body).unwrap()
}

/// Returns the recorded examples of an operation's responses with this status, by name. Examples
/// under `*` apply to every operation.
pub(super) fn of_response(operation: &Operation, status: u16) -> Map<String, Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("support/openapi/responses.json");
    let recorded: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let of = |operation: &str| {
        recorded[operation][status.to_string()]
            .as_object()
            .cloned()
            .unwrap_or_default()
    };
    of("*")
        .into_iter()
        .chain(of(operation.id))
        .map(|(name, value)| (name, json!({"value": value})))
        .collect()
}
