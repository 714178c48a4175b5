//! Parses the event of an API Gateway to a request. Each field is parsed separately. A field that
//! cannot be parsed is treated as absent. If the request cannot be processed without it, the request
//! carries the problem that [`crate::http::serve`] returns.

mod content;
mod context;

use std::borrow::Cow;

use base64::{
    alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use lambda_http::{
    Body, Context as LambdaContext, Request, RequestExt as _,
    http::{Method, Uri},
};
use tidemark_core::wire::problem::{Problem, ProblemCode};

use super::{
    fields::{RawFields, field, nested, object, text, texts},
    shape::Shape,
};

use content::{body, headers, query};
use context::request_context;

/// Base64 as API Gateway encodes it. Missing padding is accepted.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Marks a request whose event could not be parsed. The response is this problem for any route.
#[derive(Debug, Clone)]
pub(crate) struct Unreadable(pub(crate) Problem);

/// Returns the request that an event contains. Never fails: an invalid event results in a request
/// that [`crate::http::serve`] rejects.
pub fn request(event: &str, context: LambdaContext) -> (Request, Shape) {
    let fields = object(event).unwrap_or_default();
    let gateway = nested(&fields, "requestContext");

    let shape = shape(&fields, &gateway);
    let (method, path) = method_and_path(shape, &fields, &gateway);
    let (body, rejected) = match (body(&fields), &method) {
        (_, None) => (Body::Empty, Some(no_such_route())),
        (Ok(body), Some(_)) => (body, None),
        (Err(problem), Some(_)) => (Body::Empty, Some(problem)),
    };

    let mut request = Request::new(body);
    *request.method_mut() = method.unwrap_or_default();
    *request.uri_mut() = Uri::builder()
        .path_and_query(path.as_deref().unwrap_or("/"))
        .build()
        .unwrap_or_default();
    *request.headers_mut() = headers(&fields);
    if let Some(problem) = rejected {
        request.extensions_mut().insert(Unreadable(problem));
    }

    let request = request
        .with_request_context(request_context(shape, &gateway, &fields))
        .with_path_parameters(texts(&nested(&fields, "pathParameters")))
        .with_query_string_parameters(query(&fields))
        .with_lambda_context(context);
    (request, shape)
}

/// Returns the API Gateway product that sent an event. Events without a version are distinguished
/// by the fields that only an HTTP API sends.
fn shape(fields: &RawFields<'_>, gateway: &RawFields<'_>) -> Shape {
    let version = fields.get("version").and_then(|version| text(version));
    match version.as_deref() {
        Some("2.0") => Shape::Http,
        _ if fields.contains_key("routeKey") || gateway.contains_key("http") => Shape::Http,
        _ => Shape::Rest,
    }
}

/// Returns the method, if the event contains a valid one, and the path of a request.
fn method_and_path<'a>(
    shape: Shape,
    fields: &RawFields<'a>,
    gateway: &RawFields<'a>,
) -> (Option<Method>, Option<Cow<'a, str>>) {
    let (method, path) = match shape {
        Shape::Rest => (
            field(fields, "httpMethod").or_else(|| field(gateway, "httpMethod")),
            field(fields, "path"),
        ),
        Shape::Http => {
            let http = nested(gateway, "http");
            (
                field(&http, "method"),
                field(fields, "rawPath").or_else(|| field(&http, "path")),
            )
        }
    };
    let method = method.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
    (method, path)
}

fn no_such_route() -> Problem {
    Problem::new(ProblemCode::NotFound, "there is no such route")
}
