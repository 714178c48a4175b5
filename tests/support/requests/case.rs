//! A measured request, and the deployment that it is sent to.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use lambda_http::{
    Body, Response,
    http::{HeaderMap, HeaderValue, header},
};
use serde_json::Value;
use tidemark::engine::{Engine, http::Hook};

use crate::{ApiResponse, Stack, response::route};

use super::Scale;

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
    pub(super) fn get(path: impl Into<String>, token: String) -> Self {
        Self {
            method: "GET",
            path: path.into(),
            token,
            body: Vec::new(),
            status: None,
        }
    }

    pub(super) fn post(path: impl Into<String>, token: String, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: "POST",
            path: path.into(),
            token,
            body: body.into(),
            status: None,
        }
    }

    pub(super) fn expecting(self, status: &'static str) -> Self {
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
