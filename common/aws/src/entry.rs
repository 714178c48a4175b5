//! The one way by which an event of API Gateway becomes a request, and a response becomes what API
//! Gateway takes. The Lambda adapter of `lambda_http` builds an address from `Host`,
//! `X-Forwarded-Proto`, the path and the query, and panics where that is none, or where a body is
//! no base64; so every function behind the API is run through here, and what a client sends cannot
//! end its process (§8).
//!
//! Each field of the event is read by itself. What does not read is left out, as if it had not been
//! sent; where a request means nothing without it, the request carries the problem that
//! [`crate::http::serve`] answers with.

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
    json::Json,
    protocol::problem::{Problem, ProblemCode},
};

/// Base64 as API Gateway writes it; padding that is missing is no reason to refuse a body.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Which fields an event of API Gateway has at least one of.
const GATEWAY_FIELDS: [&str; 3] = ["requestContext", "httpMethod", "routeKey"];

/// What is wrong with a request whose event did not read: it is answered with this problem,
/// whatever it asks for.
#[derive(Debug, Clone)]
pub(crate) struct Unreadable(pub(crate) Problem);

/// Which of API Gateway's two products sent an event, and so which shape its response has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A REST API: payload 1.0.
    Rest,
    /// An HTTP API: payload 2.0.
    Http,
}

/// Runs a function behind the API until Lambda ends the process.
///
/// # Errors
/// The runtime API fails, which ends the process.
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

/// Answers one event of API Gateway.
///
/// # Errors
/// The response does not serialise, which each does.
pub async fn response<F>(
    event: LambdaEvent<Json>,
    handle: impl FnOnce(Request) -> F,
) -> serde_json::Result<Json>
where
    F: Future<Output = Response<Body>>,
{
    let LambdaEvent { payload, context } = event;
    let (request, shape) = request(payload.get(), context);
    // Megabytes, which go when they were read.
    drop(payload);
    // Boxed, because the compiler counts how deep futures stand in each other.
    respond(shape, Box::pin(handle(request)).await)
}

/// Whether an event is API Gateway's, and not one that somebody sends with the Invoke API.
pub fn is_gateway_event(event: &RawValue) -> bool {
    object(event.get()).is_some_and(|fields| {
        GATEWAY_FIELDS
            .iter()
            .any(|field| fields.contains_key(*field))
    })
}

/// The request that an event carries. It never fails: an event that makes no sense makes a request
/// that is refused.
pub fn request(event: &str, context: LambdaContext) -> (Request, Shape) {
    let fields = object(event).unwrap_or_default();
    let gateway = nested(&fields, "requestContext");
    let http = nested(&gateway, "http");
    let shape = match fields
        .get("version")
        .and_then(|version| text(version))
        .as_deref()
    {
        Some("2.0") => Shape::Http,
        _ if fields.contains_key("routeKey") || gateway.contains_key("http") => Shape::Http,
        _ => Shape::Rest,
    };
    let (method, path) = match shape {
        Shape::Rest => (
            field(&fields, "httpMethod").or_else(|| field(&gateway, "httpMethod")),
            field(&fields, "path"),
        ),
        Shape::Http => (
            field(&http, "method"),
            field(&fields, "rawPath").or_else(|| field(&http, "path")),
        ),
    };
    let method = method.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
    let (body, rejected) = match (body(&fields), &method) {
        (_, None) => (
            Body::Empty,
            Some(Problem::new(
                ProblemCode::NotFound,
                "there is no such route",
            )),
        ),
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

/// A response as API Gateway takes it from a function.
///
/// # Errors
/// The response does not serialise, which each does.
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

/// An object's fields, each still text.
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

/// A text, borrowed from the event where it has no escapes: a body of megabytes is base64, which
/// has none.
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

/// One text, or a list of texts.
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
        .map_err(|_| unreadable("the body is declared as base64 and is none"))?;
    Ok(Body::from(bytes))
}

/// All values of all headers. Those that HTTP does not allow are left out. A REST API sends both
/// forms, an HTTP API the joined one.
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
                // More headers than fit are left out, too: the map would panic.
                let _ = HeaderValue::from_bytes(value.as_bytes())
                    .map(|value| headers.try_append(&name, value));
            }
        }
    }
    headers
}

/// The parameters of the query, with all their values. An HTTP API's map joins repeated ones with
/// commas, so its text is read instead; an escape in it that is none stands for itself.
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

/// What the functions ask of a request's context: its id, and the route it came by.
fn request_context(
    shape: Shape,
    gateway: &RawFields<'_>,
    fields: &RawFields<'_>,
) -> RequestContext {
    let told = |name: &str| field(gateway, name).map(Cow::into_owned);
    match shape {
        Shape::Rest => {
            let mut context = ApiGatewayProxyRequestContext::default();
            context.request_id = told("requestId");
            context.resource_path = told("resourcePath");
            context.stage = told("stage");
            RequestContext::ApiGatewayV1(context)
        }
        Shape::Http => {
            let mut context = ApiGatewayV2httpRequestContext::default();
            context.request_id = told("requestId");
            context.route_key =
                told("routeKey").or_else(|| field(fields, "routeKey").map(Cow::into_owned));
            context.stage = told("stage");
            RequestContext::ApiGatewayV2(context)
        }
    }
}
