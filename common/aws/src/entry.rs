//! Converts API Gateway events to requests, and responses to the format that API Gateway expects.
//! The Lambda adapter of `lambda_http` builds a URI from `Host`, `X-Forwarded-Proto`, the path and
//! the query, and panics if the URI is invalid or a body is not valid base64. Therefore every
//! function behind the API uses this module, so that a client's input cannot end its process (§8).
//!
//! Each field of the event is parsed separately. A field that cannot be parsed is treated as
//! absent. If the request cannot be processed without it, the request carries the problem that
//! [`crate::http::serve`] returns.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use aws_lambda_events::apigw::{
    ApiGatewayProxyRequestContext, ApiGatewayProxyResponse, ApiGatewayV2httpRequestContext,
    ApiGatewayV2httpResponse,
};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use lambda_http::{
    Body, Context as LambdaContext, LambdaEvent, Request, RequestExt as _, Response,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri},
    request::RequestContext,
    service_fn,
};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use tidemark_core::{
    model::json::Json,
    wire::problem::{Problem, ProblemCode},
};

/// Base64 as API Gateway encodes it. Missing padding is accepted.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The fields that identify an API Gateway event. Each event has at least one of them.
const GATEWAY_FIELDS: [&str; 3] = ["requestContext", "httpMethod", "routeKey"];

/// Marks a request whose event could not be parsed. The response is this problem for any route.
#[derive(Debug, Clone)]
pub(crate) struct Unreadable(pub(crate) Problem);

/// The API Gateway product that sent an event, which determines the format of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A REST API with payload format 1.0.
    Rest,
    /// An HTTP API with payload format 2.0.
    Http,
}

/// Runs a function behind the API until Lambda ends the process.
///
/// # Errors
/// Returns the error of the runtime API if it fails, which ends the process.
pub async fn run<F>(handle: impl Fn(Request) -> F) -> Result<(), lambda_http::Error>
where
    F: Future<Output = Response<Body>>,
{
    let response = async |event: LambdaEvent<Json>| {
        response(event, &handle)
            .await
            .map_err(lambda_http::Error::from)
    };
    lambda_http::lambda_runtime::run(service_fn(response)).await
}

/// Handles one API Gateway event and returns its response.
///
/// # Errors
/// Returns an error if the response cannot be serialized, which does not occur.
pub async fn response<F>(
    event: LambdaEvent<Json>,
    handle: impl FnOnce(Request) -> F,
) -> serde_json::Result<Json>
where
    F: Future<Output = Response<Body>>,
{
    let LambdaEvent { payload, context } = event;
    let (request, shape) = request(payload.get(), context);
    // Frees megabytes that are not needed after parsing.
    drop(payload);
    // Boxed to reduce the nesting depth of futures, which the compiler limits.
    respond(shape, Box::pin(handle(request)).await)
}

/// Returns whether an event comes from API Gateway and not from a direct invocation.
pub fn is_gateway_event(event: &RawValue) -> bool {
    object(event.get()).is_some_and(|fields| {
        GATEWAY_FIELDS
            .iter()
            .any(|field| fields.contains_key(*field))
    })
}

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

/// Serializes a response in the format that API Gateway expects from a function.
///
/// # Errors
/// Returns an error if the response cannot be serialized, which does not occur.
pub fn respond(shape: Shape, response: Response<Body>) -> serde_json::Result<Json> {
    let (parts, body) = response.into_parts();
    let status = i64::from(parts.status.as_u16());
    let is_base64_encoded = matches!(body, Body::Binary(_));
    let body = Some(body).filter(|body| matches!(body, Body::Text(_) | Body::Binary(_)));

    match shape {
        Shape::Rest => {
            let mut response = ApiGatewayProxyResponse::default();
            response.status_code = status;
            response.multi_value_headers = parts.headers;
            response.body = body;
            response.is_base64_encoded = is_base64_encoded;
            to_raw_value(&response)
        }
        Shape::Http => {
            let mut response = ApiGatewayV2httpResponse::default();
            response.status_code = status;
            response.headers = parts.headers;
            response.body = body;
            response.is_base64_encoded = is_base64_encoded;
            to_raw_value(&response)
        }
    }
}

/// The fields of a JSON object, each still unparsed.
type RawFields<'a> = BTreeMap<String, &'a RawValue>;

fn object(text: &str) -> Option<RawFields<'_>> {
    serde_json::from_str(text).ok()
}

fn nested<'a>(fields: &RawFields<'a>, name: &str) -> RawFields<'a> {
    fields
        .get(name)
        .and_then(|value| object(value.get()))
        .unwrap_or_default()
}

/// Returns a string, borrowed from the event if it contains no escapes. A large body is base64,
/// which contains none.
fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str(value.get())
        .ok()
        .map(|Text(text)| text)
}

fn field<'a>(fields: &RawFields<'a>, name: &str) -> Option<Cow<'a, str>> {
    let value: &'a RawValue = fields.get(name).copied()?;
    text(value)
}

/// Returns the strings of a single string or of a list of strings.
fn many(value: &RawValue) -> Vec<Cow<'_, str>> {
    match serde_json::from_str::<Vec<&RawValue>>(value.get()) {
        Ok(list) => list.into_iter().filter_map(text).collect(),
        Err(_) => text(value).into_iter().collect(),
    }
}

fn texts(fields: &RawFields<'_>) -> HashMap<String, String> {
    fields
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), text(value)?.into_owned())))
        .collect()
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
