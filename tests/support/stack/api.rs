//! Requests to the API of a deployment, each through the event that API Gateway makes of it.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::Ordering,
};

use lambda_http::{
    Body, Response,
    http::{HeaderMap, HeaderValue, header},
};
use serde_json::Value;
use tidemark::gateway::{
    ApiKind,
    event::{Inbound, http_event, placeholders, rest_event},
};
use tidemark_core::wire::routes::{CONSOLE_ROUTES, Route};

use super::Stack;
use crate::{ApiResponse, openapi, response::route};

impl Stack {
    /// Posts JSON to a route below `/api/v1/mobile/`.
    pub async fn post(&self, path: &str, token: &str, body: &Value) -> ApiResponse {
        self.post_bytes(path, Some(token), body.to_string().as_bytes())
            .await
    }

    /// Posts bytes to a route below `/api/v1/mobile/`, through the event that API Gateway would
    /// make of the request.
    pub async fn post_bytes(&self, path: &str, token: Option<&str>, body: &[u8]) -> ApiResponse {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Some(token) = token {
            headers.insert(
                header::AUTHORIZATION,
                HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
            );
        }
        self.send(path, &headers, body).await
    }

    /// Posts bytes with exactly these headers.
    pub async fn send(&self, path: &str, headers: &HeaderMap, body: &[u8]) -> ApiResponse {
        self.call("POST", path, headers, body).await
    }

    /// Sends a GET request to a path, which may include a query.
    pub async fn get(&self, path: &str, token: &str) -> ApiResponse {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
        );
        self.call("GET", path, &headers, b"").await
    }

    /// Sends a request through its route. Panics unless `openapi.json` describes the response.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> ApiResponse {
        let response = ApiResponse::read(self.respond(method, path, headers, body).await);
        openapi::check(route(method, path), &response);
        response
    }

    /// Returns the response that the function of the route hands to Lambda.
    pub async fn respond(
        &self,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Response<Body> {
        let event = self.event_with(method, path, headers, body);
        self.deliver(route(method, path).function, &event).await
    }

    /// Returns the event that API Gateway makes of a request with this token and this JSON body.
    /// `Null` means no body.
    pub fn event(&self, method: &str, path: &str, token: &str, body: &Value) -> Value {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
        );

        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };

        self.event_with(method, path, &headers, body.as_bytes())
    }

    /// Returns the event that API Gateway makes of a request with these headers and this body.
    pub(crate) fn event_with(
        &self,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Value {
        let path_of_api = format!("/api/v1/mobile/{path}");
        self.event_of(route(method, path), &path_of_api, headers, body)
    }

    /// Returns the event that API Gateway makes of a request to the console. The path is below
    /// `/console` and may include a query.
    pub fn console_event(
        &self,
        method: &'static str,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Value {
        let [root, below] = CONSOLE_ROUTES;
        let is_root = path.split('?').next().is_none_or(str::is_empty);
        let (route, path) = if is_root {
            (root, format!("/console{path}"))
        } else {
            (below, format!("/console/{path}"))
        };
        self.event_of(&Route { method, ..route }, &path, headers, body)
    }

    fn event_of(&self, route: &Route, path: &str, headers: &HeaderMap, body: &[u8]) -> Value {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let request_id = format!("request-{}", self.requests.fetch_add(1, Ordering::Relaxed));

        let inbound = Inbound {
            route,
            path,
            query,
            path_parameters: &placeholders(route, path),
            headers,
            body,
            request_id: &request_id,
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            at: self.now(),
        };

        match self.api {
            ApiKind::Rest => rest_event(&inbound, "test"),
            ApiKind::Http => http_event(&inbound),
        }
    }

    /// Delivers an API event to a function, as Lambda does.
    pub async fn deliver(&self, function: &str, event: &Value) -> Response<Body> {
        self.deliver_request(function, crate::request(&event.to_string()))
            .await
    }

    /// Delivers a request to a function, as the runtime reads it from an event.
    pub async fn deliver_request(
        &self,
        function: &str,
        request: lambda_http::Request,
    ) -> Response<Body> {
        self.functions[function](request).await
    }
}
