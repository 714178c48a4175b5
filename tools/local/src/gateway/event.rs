//! Builds the JSON events that API Gateway passes to a function, for a REST API (payload 1.0) and
//! an HTTP API (payload 2.0). The functions are pure. They follow the developer guide field by
//! field, including the differences: REST keeps header names and repeated values, HTTP converts
//! names to lower case and joins values.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use http::{HeaderMap, header};
use serde_json::{Map, Value, json};
use tidemark_core::wire::routes::Route;

const ACCOUNT: &str = "000000000000";
const API: &str = "tidemark";

/// A request that matched a route.
#[derive(Debug, Clone)]
pub struct Inbound<'a> {
    /// Route that the request matched.
    pub route: &'a Route,
    /// Path as it was requested.
    pub path: &'a str,
    /// Query string as received, still encoded, without the question mark.
    pub query: &'a str,
    /// Decoded values of the path's placeholders, with their names.
    pub path_parameters: &'a [(String, String)],
    /// Headers of the request.
    pub headers: &'a HeaderMap,
    /// Body of the request.
    pub body: &'a [u8],
    /// Unique id of the request.
    pub request_id: &'a str,
    /// IP address of the client.
    pub source_ip: IpAddr,
    /// Time at which the request arrived.
    pub at: DateTime<Utc>,
}

/// Returns the decoded values of this route's placeholders in a path, with their names. `{name+}`
/// matches the rest of the path. Bytes that are not UTF-8 after decoding become replacement
/// characters.
#[must_use]
pub fn placeholders(route: &Route, path: &str) -> Vec<(String, String)> {
    let given: Vec<&str> = path.split('/').collect();
    let placeholders = route.path.split('/').enumerate();
    let named = placeholders.filter_map(|(at, part)| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        match name.strip_suffix('+') {
            Some(name) => Some((name, given.get(at..)?.join("/"))),
            None => Some((name, (*given.get(at)?).to_owned())),
        }
    });
    named
        .map(|(name, given)| (name.to_owned(), percent_decoded(&given, false)))
        .collect()
}

/// Returns the event of a REST API with a Lambda proxy integration.
#[must_use]
pub fn rest_event(inbound: &Inbound<'_>, stage: &str) -> Value {
    let Inbound { route, headers, .. } = inbound;
    let (single, multiple) = (last_values(pairs(headers)), all_values(pairs(headers)));
    let (query, query_multiple) = (
        last_values(queries(inbound.query)),
        all_values(queries(inbound.query)),
    );
    let (body, is_base64) = rest_body(inbound);

    json!({
        "resource": route.path,
        "path": inbound.path,
        "httpMethod": route.method,
        "headers": single,
        "multiValueHeaders": multiple,
        "queryStringParameters": or_null(query),
        "multiValueQueryStringParameters": or_null(query_multiple),
        "pathParameters": path_parameters(inbound),
        "stageVariables": null,
        "requestContext": {
            "resourceId": "local",
            "resourcePath": route.path,
            "httpMethod": route.method,
            "path": format!("/{stage}{}", inbound.path),
            "accountId": ACCOUNT,
            "apiId": API,
            "protocol": "HTTP/1.1",
            "stage": stage,
            "domainName": text(headers, header::HOST),
            "requestId": inbound.request_id,
            "extendedRequestId": inbound.request_id,
            "requestTime": request_time(inbound.at),
            "requestTimeEpoch": inbound.at.timestamp_millis(),
            "identity": { "sourceIp": inbound.source_ip.to_string(), "userAgent": text(headers, header::USER_AGENT) },
        },
        "body": body,
        "isBase64Encoded": is_base64,
    })
}

/// Returns the event of an HTTP API with payload format 2.0, in which empty fields are absent
/// instead of null.
#[must_use]
pub fn http_event(inbound: &Inbound<'_>) -> Value {
    let Inbound { route, headers, .. } = inbound;
    let route_key = format!("{} {}", route.method, route.path);
    let (body, is_base64) = http_body(inbound);
    let mut event = json!({
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": inbound.path,
        "rawQueryString": inbound.query,
        "headers": joined(pairs(headers).filter(|(name, _)| name != header::COOKIE.as_str())),
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": API,
            "domainName": text(headers, header::HOST),
            "domainPrefix": API,
            "http": {
                "method": route.method,
                "path": inbound.path,
                "protocol": "HTTP/1.1",
                "sourceIp": inbound.source_ip.to_string(),
                "userAgent": text(headers, header::USER_AGENT),
            },
            "requestId": inbound.request_id,
            "routeKey": route_key,
            "stage": "$default",
            "time": request_time(inbound.at),
            "timeEpoch": inbound.at.timestamp_millis(),
        },
        "isBase64Encoded": is_base64,
    });

    let cookies: Vec<_> = headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(cookies)
        .collect();
    let optional = [
        (
            "cookies",
            if cookies.is_empty() {
                Value::Null
            } else {
                cookies.into()
            },
        ),
        (
            "queryStringParameters",
            or_null(joined(queries(inbound.query))),
        ),
        ("pathParameters", path_parameters(inbound)),
        ("body", body),
    ];

    for (name, value) in optional {
        if !value.is_null() {
            event[name] = value;
        }
    }
    event
}

/// Encodes every body in base64, because `template.yaml` declares every media type as binary.
fn rest_body(inbound: &Inbound<'_>) -> (Value, bool) {
    if inbound.body.is_empty() {
        return (Value::Null, false);
    }
    (STANDARD.encode(inbound.body).into(), true)
}

/// Returns UTF-8 text unchanged, and encodes other bytes and compressed bodies in base64.
fn http_body(inbound: &Inbound<'_>) -> (Value, bool) {
    if inbound.body.is_empty() {
        return (Value::Null, false);
    }
    let encoding = text(inbound.headers, header::CONTENT_ENCODING);
    match std::str::from_utf8(inbound.body) {
        Ok(text) if encoding.is_empty() || encoding == "identity" => (text.into(), false),
        _ => (STANDARD.encode(inbound.body).into(), true),
    }
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (String, String)> {
    headers.iter().map(|(name, value)| {
        (
            name.to_string(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    })
}

fn queries(query: &str) -> impl Iterator<Item = (String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decoded(name, true), percent_decoded(value, true))
        })
}

/// Keeps the last of repeated values, as the single-value maps of REST do.
fn last_values(pairs: impl Iterator<Item = (String, String)>) -> Map<String, Value> {
    pairs.map(|(name, value)| (name, value.into())).collect()
}

fn all_values(pairs: impl Iterator<Item = (String, String)>) -> Map<String, Value> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in pairs {
        values.entry(name).or_default().push(value);
    }
    values
        .into_iter()
        .map(|(name, values)| (name, values.into()))
        .collect()
}

/// Joins repeated values with commas, as the maps of HTTP do.
fn joined(pairs: impl Iterator<Item = (String, String)>) -> Map<String, Value> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in pairs {
        values
            .entry(name)
            .and_modify(|all| *all = format!("{all},{value}"))
            .or_insert(value);
    }
    values
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect()
}

fn path_parameters(inbound: &Inbound<'_>) -> Value {
    or_null(last_values(inbound.path_parameters.iter().cloned()))
}

fn cookies(value: &http::HeaderValue) -> Vec<String> {
    String::from_utf8_lossy(value.as_bytes())
        .split("; ")
        .map(str::to_owned)
        .collect()
}

fn or_null(map: Map<String, Value>) -> Value {
    if map.is_empty() {
        Value::Null
    } else {
        map.into()
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Formats a time like API Gateway: `12/Mar/2020:19:03:58 +0000`.
fn request_time(at: DateTime<Utc>) -> String {
    at.format("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

/// Decodes percent escapes such as `%41`. A percent sign without two hexadecimal digits is kept. In
/// a form, `+` is a space.
fn percent_decoded(text: &str, is_form: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();

    while let Some((&first, tail)) = rest.split_first() {
        let digit = |at: usize| {
            tail.get(at)
                .and_then(|byte| char::from(*byte).to_digit(16))
                .and_then(|digit| u8::try_from(digit).ok())
        };
        rest = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(high << 4 | low);
                &tail[2..]
            }
            (b'+', ..) if is_form => {
                bytes.push(b' ');
                tail
            }
            _ => {
                bytes.push(first);
                tail
            }
        };
    }

    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
