//! The body, the headers and the query of a request.

use base64::Engine as _;
use lambda_http::{
    Body,
    http::{HeaderMap, HeaderName, HeaderValue, header},
};
use std::{borrow::Cow, collections::HashMap};
use tidemark_core::wire::problem::Problem;

use super::super::fields::{RawFields, field, many, nested, text};
use super::BASE64;

pub(super) fn body(fields: &RawFields<'_>) -> Result<Body, Problem> {
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
/// forms of headers, an HTTP API only the form with joined values, and the cookies in a list.
pub(super) fn headers(fields: &RawFields<'_>) -> HeaderMap {
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

    let cookies = fields.get("cookies").map(|cookies| many(cookies));
    let cookies = cookies.unwrap_or_default().join("; ");
    if !cookies.is_empty() && !headers.contains_key(header::COOKIE) {
        let _ = HeaderValue::from_bytes(cookies.as_bytes())
            .map(|cookies| headers.try_append(header::COOKIE, cookies));
    }
    headers
}

/// Returns the query parameters with all their values. The map of an HTTP API joins repeated
/// parameters with commas, so the raw query string is parsed instead; an invalid escape in it is
/// kept literally.
pub(super) fn query(fields: &RawFields<'_>) -> HashMap<String, Vec<String>> {
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
