//! Parses the event of an API Gateway to a request. Each field is parsed separately. A field that
//! cannot be parsed is treated as absent. If the request cannot be processed without it, the request
//! carries the problem that [`crate::http::serve`] returns.

use std::{borrow::Cow, collections::HashMap};

use aws_lambda_events::apigw::{ApiGatewayProxyRequestContext, ApiGatewayV2httpRequestContext};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use lambda_http::{
    Body, Context as LambdaContext, Request, RequestExt as _,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri},
    request::RequestContext,
};
use tidemark_core::wire::problem::{Problem, ProblemCode};

use super::{
    fields::{RawFields, field, many, nested, object, text, texts},
    shape::Shape,
};

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

fn body(fields: &RawFields<'_>) -> Result<Body, Problem> {
    let Some(sent) = fields
        .get("body")
        .copied()
        .filter(|body| body.get() != "null")
    else {
        return Ok(Body::Empty);
    };

    let unreadable = |detail: &str| Problem::malformed("$", detail);
    let sent = text(sent).ok_or_else(|| unreadable("the body is not text"))?;
    let is_base64_encoded = fields
        .get("isBase64Encoded")
        .is_some_and(|value| value.get() == "true");
    if !is_base64_encoded {
        return Ok(Body::from(sent.into_owned()));
    }

    let bytes = BASE64
        .decode(sent.as_bytes())
        .map_err(|_| unreadable("the body is declared as base64 and is not valid base64"))?;
    Ok(Body::from(bytes))
}

/// Returns all values of all headers. Skips headers that HTTP does not allow. A REST API sends both
/// forms of headers, an HTTP API only the form with joined values.
fn headers(fields: &RawFields<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for source in ["multiValueHeaders", "headers"] {
        let known = headers.clone();
        for (name, values) in &nested(fields, source) {
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                continue;
            };
            if known.contains_key(&name) {
                continue;
            }
            for value in many(values) {
                // `append` would panic if the map is full, so further headers are skipped.
                let _ = HeaderValue::from_bytes(value.as_bytes())
                    .map(|value| headers.try_append(&name, value));
            }
        }
    }

    headers
}

/// Returns the query parameters with all their values. The map of an HTTP API joins repeated
/// parameters with commas, so the raw query string is parsed instead; an invalid escape in it is
/// kept literally.
fn query(fields: &RawFields<'_>) -> HashMap<String, Vec<String>> {
    let mut query: HashMap<String, Vec<String>> = HashMap::new();
    if let Some(raw) = field(fields, "rawQueryString") {
        for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
            query
                .entry(name.into_owned())
                .or_default()
                .push(value.into_owned());
        }
        return query;
    }

    for source in ["multiValueQueryStringParameters", "queryStringParameters"] {
        for (name, values) in &nested(fields, source) {
            let values = || many(values).into_iter().map(Cow::into_owned).collect();
            query.entry(name.clone()).or_insert_with(values);
        }
    }
    query.retain(|_, values| !values.is_empty());
    query
}

/// Returns the parts of the request context that the functions use: request id, route and stage.
fn request_context(
    shape: Shape,
    gateway: &RawFields<'_>,
    fields: &RawFields<'_>,
) -> RequestContext {
    let owned = |name: &str| field(gateway, name).map(Cow::into_owned);

    match shape {
        Shape::Rest => {
            let mut context = ApiGatewayProxyRequestContext::default();
            context.request_id = owned("requestId");
            context.resource_path = owned("resourcePath");
            context.stage = owned("stage");
            RequestContext::ApiGatewayV1(context)
        }
        Shape::Http => {
            let mut context = ApiGatewayV2httpRequestContext::default();
            context.request_id = owned("requestId");
            context.route_key =
                owned("routeKey").or_else(|| field(fields, "routeKey").map(Cow::into_owned));
            context.stage = owned("stage");
            RequestContext::ApiGatewayV2(context)
        }
    }
}
