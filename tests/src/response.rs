//! What a function answers, and the routes that requests take.

use lambda_http::{
    Body, Response,
    http::{HeaderMap, HeaderValue, header},
};
use serde_json::Value;
use tidemark_core::{
    gzip,
    routes::{ROUTES, Route},
};

/// More than any answer unpacks to.
const RESPONSE_TEXT_BYTES_MAX: usize = 8 << 20;

/// What a function answered.
#[derive(Debug, Clone)]
pub struct ApiResponse {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl ApiResponse {
    /// Reads a response, which may be gzip.
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

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The body as JSON, of an answer that must be 200.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }
}

/// The route of a request to a path below `/api/v1/mobile/`.
pub(crate) fn route(method: &str, path: &str) -> &'static Route {
    let path = format!(
        "/api/v1/mobile/{}",
        path.split('?').next().unwrap_or_default()
    );
    let fits = |route: &&Route| route.method == method && route.is_of(&path);
    ROUTES.iter().find(fits).expect("a route")
}
