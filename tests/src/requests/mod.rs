//! Requests whose work is measured: of every route an ordinary one, and the valid ones that are
//! known to make the most work. The system tests compare counters of their work with bounds, and
//! `bench work` measures their CPU time.

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
pub use observer::{Both, Observer, Traffic};

/// How much is stored before a request is sent.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Rows of [`LARGE_BYTES`].
    pub large_rows: usize,
    /// Pushes that change eight large rows each, as the log has them.
    pub pushes: usize,
    /// Edits of one conflict.
    pub edits: usize,
    /// Entries of a list.
    pub entries: usize,
}

impl Scale {
    /// The largest that is measured.
    pub const FULL: Self = Self {
        large_rows: 50,
        pushes: 300,
        edits: 100,
        entries: 200,
    };
    /// What a test in a debug build prepares within seconds. Bounds that count passes and bytes
    /// fail all the same.
    pub const SMALL: Self = Self {
        large_rows: 8,
        pushes: 3,
        edits: 16,
        entries: 12,
    };
}

/// Bytes of a large payload: the largest that is accepted has a little more.
pub const LARGE_BYTES: usize = 340_000;

/// A request that is prepared and measured.
pub struct Case {
    /// The method and the path of its route below `/api/v1/mobile/`.
    pub route: (&'static str, &'static str),
    /// What is requested.
    pub name: &'static str,
    /// Of a request that makes much work: the ordinary request that does the same.
    pub ordinary: Option<&'static str>,
    /// The policy of the types, in place of the catalog of the template.
    pub policy: Option<&'static str>,
    /// Stores what the request meets.
    pub prepare: for<'a> fn(&'a Stack, Scale) -> LocalBoxFuture<'a, Request>,
}

/// A request that is ready to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// The HTTP method.
    pub method: &'static str,
    /// The path below `/api/v1/mobile/`, query included.
    pub path: String,
    /// The bearer token.
    pub token: String,
    /// The body, which may be gzip.
    pub body: Vec<u8>,
    /// The status that every result of a push must have.
    pub status: Option<&'static str>,
}

impl Case {
    /// A deployment for this case, whose calls pass `hook`.
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

    /// The event that API Gateway makes of it.
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

    /// What the function behind its route does with the event.
    pub async fn deliver(&self, stack: &Stack, event: &str) -> Response<Body> {
        let function = route(self.method, &self.path).function;
        stack.deliver_request(function, crate::request(event)).await
    }

    /// Checks that the response is the one that the case is about; gives its bytes.
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

/// All cases; an ordinary one stands before those that are compared with it.
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
