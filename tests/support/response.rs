//! The response of a function, and the route of a request.

use lambda_http::{
    Body, Response,
    http::{HeaderMap, HeaderValue, header},
};
use serde_json::Value;
use tidemark_core::wire::{
    gzip,
    routes::{ROUTES, Route},
};

/// An upper bound for the bytes of a decompressed response.
const RESPONSE_TEXT_BYTES_MAX: usize = 8 << 20;

/// The response of a function to a request.
#[derive(Debug, Clone)]
pub struct ApiResponse {
    /// The HTTP status of the response.
    pub status: u16,
    /// The headers of the response.
    pub headers: HeaderMap,
    /// The body as text, decompressed.
    pub text: String,
}

impl ApiResponse {
    /// Reads a response, and decompresses it if it is gzip.
    pub fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = match parts.headers.get(header::CONTENT_ENCODING) {
            None => body.to_vec(),
            Some(encoding) => {
                assert_eq!(
                    (encoding, matches!(body, Body::Binary(_))),
                    (&HeaderValue::from_static("gzip"), true)
                );
                gzip::gunzip(&body, RESPONSE_TEXT_BYTES_MAX).unwrap()
            }
        };

        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8(body).unwrap(),
        }
    }

    /// Returns the body, decoded from JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Returns the decoded body of a response whose status must be 200.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }
}

/// Returns the route of a request to a path below `/api/v1/mobile/`.
pub(crate) fn route(method: &str, path: &str) -> &'static Route {
    let path = format!(
        "/api/v1/mobile/{}",
        path.split('?').next().unwrap_or_default()
    );
    let fits = |route: &&Route| route.method == method && route.is_of(&path);
    ROUTES
        .iter()
        .find(fits)
        .expect("no route matches the request")
}
