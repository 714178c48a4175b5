//! Examples of requests: the bodies of the samples in `events/`.

use std::{fs, path::Path};

use lambda_http::{Request, http::header};
use serde_json::{Map, Value, json};
use tidemark_aws::edge;
use tidemark_core::{gzip, limits::BODY_BYTES_MAX};

use super::Operation;

/// What stands for a token that each deployment makes anew.
const SINCE_TOKEN: &str = "tm1_the-next_token-of-an-earlier-pull";

/// The examples of an operation, by the name of their sample.
pub(super) fn of(operation: &Operation) -> Map<String, Value> {
    let examples = operation.samples.iter().map(|sample| {
        let request = request(sample);
        let route = edge::route(&request).unwrap();
        assert_eq!((route.method, route.path), operation.route, "events/{sample}.json");
        ((*sample).to_owned(), json!({"value": body(&request)}))
    });
    examples.collect()
}

fn request(sample: &str) -> Request {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../events/{sample}.json"));
    let event = fs::read_to_string(&file).unwrap_or_else(|error| panic!("events/{sample}.json: {error}"));
    lambda_http::request::from_str(&event.replace("${SINCE_TOKEN}", SINCE_TOKEN)).unwrap()
}

fn body(request: &Request) -> Value {
    let packed = request.headers().contains_key(header::CONTENT_ENCODING);
    let body = if packed { gzip::gunzip(request.body(), BODY_BYTES_MAX).unwrap() } else { request.body().to_vec() };
    serde_json::from_slice(&body).unwrap()
}
