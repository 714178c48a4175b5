//! Requests whose work is measured: for every route an ordinary request, and the valid requests
//! that are known to cause the most work. The system tests compare counters of their work with
//! bounds, and `bench work` measures their CPU time.

mod conflicts;
mod lists;
mod observer;
mod pull;
mod push;
mod push_many;
mod text;

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use lambda_http::{
    Body, Response,
    http::{HeaderMap, HeaderValue, header},
};
use serde_json::Value;
use tidemark::engine::{Engine, http::Hook};

use crate::{ApiResponse, Stack, response::route};
pub use observer::{NestedHooks, Traffic, TrafficCounter};

/// The amount of data that is stored before a request is sent.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Number of rows of [`LARGE_BYTES`].
    pub large_rows: usize,
    /// Number of pushes in the change log, each of which changes eight large rows.
    pub pushes: usize,
    /// Number of edits of one conflict.
    pub edits: usize,
    /// Number of entries of a list.
    pub entries: usize,
}

impl Scale {
    /// The largest scale that is measured.
    pub const FULL: Self = Self {
        large_rows: 50,
        pushes: 300,
        edits: 100,
        entries: 200,
    };
    /// A scale that a test in a debug build prepares within seconds. A defect violates bounds on
    /// passes and bytes at this scale, too.
    pub const SMALL: Self = Self {
        large_rows: 8,
        pushes: 3,
        edits: 16,
        entries: 12,
    };
}

/// Bytes of a large payload, slightly below the maximum size of a payload.
pub const LARGE_BYTES: usize = 340_000;

/// A request that is prepared and measured.
pub struct Case {
    /// The method and the path of its route below `/api/v1/mobile/`.
    pub route: (&'static str, &'static str),
    /// A description of the request.
    pub name: &'static str,
    /// For a request that causes much work, the name of the ordinary request to compare it with.
    pub ordinary: Option<&'static str>,
    /// The policy of the resource types, in place of the template's catalog.
    pub policy: Option<&'static str>,
    /// Stores the data that the request needs, and returns the request.
    pub prepare: for<'a> fn(&'a Stack, Scale) -> LocalBoxFuture<'a, Request>,
}

/// A request that is ready to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// The HTTP method of the request.
    pub method: &'static str,
    /// The path below `/api/v1/mobile/`, including the query.
    pub path: String,
    /// The bearer token of the caller.
    pub token: String,
    /// The body, which may be gzip.
    pub body: Vec<u8>,
    /// The status that every result of a push must have.
    pub status: Option<&'static str>,
}

impl Case {
    /// Creates a deployment for this case whose calls pass through `hook`.
    pub fn stack(&self, hook: Arc<dyn Hook>) -> Stack {
        match self.policy {
            None => Stack::hooked(hook),
            Some(policy) => {
                let catalog = format!(
                    "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\nunique = ['code']\npolicy = '{policy}'"
                );
                Stack::configured_over(Engine::memory().unwrap(), hook, &[("CATALOG", &catalog)])
            }
        }
    }
}

impl Request {
    fn get(path: impl Into<String>, token: String) -> Self {
        Self {
            method: "GET",
            path: path.into(),
            token,
            body: Vec::new(),
            status: None,
        }
    }

    fn post(path: impl Into<String>, token: String, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: "POST",
            path: path.into(),
            token,
            body: body.into(),
            status: None,
        }
    }

    fn expecting(self, status: &'static str) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }

    /// Returns the event that API Gateway makes of the request.
    pub fn event(&self, stack: &Stack) -> String {
        let mut headers = HeaderMap::new();
        let bearer = format!("Bearer {}", self.token);
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_str(&bearer).unwrap(),
        );
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        stack
            .event_with(self.method, &self.path, &headers, &self.body)
            .to_string()
    }

    /// Delivers the event to the function of the route and returns the response.
    pub async fn deliver(&self, stack: &Stack, event: &str) -> Response<Body> {
        let function = route(self.method, &self.path).function;
        stack.deliver_request(function, crate::request(event)).await
    }

    /// Checks that the response is the expected one, and returns the size of its body in bytes.
    pub fn check(&self, response: Response<Body>) -> usize {
        let bytes = response.body().as_ref().len();
        let response = ApiResponse::read(response);
        assert_eq!(
            response.status, 200,
            "{} {}: {}",
            self.method, self.path, response.text
        );

        let Some(status) = self.status else {
            return bytes;
        };

        let response: Value = response.json();
        let results = response["results"].as_array().unwrap();
        let other = results.iter().find(|result| result["status"] != status);
        assert!(
            other.is_none() && !results.is_empty(),
            "{other:?} is not {status}"
        );
        bytes
    }
}

/// Returns all cases. An ordinary case precedes the cases that are compared with it.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [
        push::CASES,
        push_many::CASES,
        pull::CASES,
        conflicts::CASES,
        lists::CASES,
    ]
    .into_iter()
    .flatten()
}
