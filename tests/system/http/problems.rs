//! Rejections of every function are problem documents with the required headers. Whether each
//! response in all tests has the shape and a code that its operation documents is checked where the
//! tests send requests ([`tidemark_tests::openapi::check`]).

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use lambda_http::http::{HeaderMap, HeaderValue, header};
use serde_json::json;
use tidemark::{
    engine::http::CallFate,
    gateway::event::{Inbound, http_event, rest_event},
};
use tidemark_core::wire::routes::Route;
use tidemark_tests::{ApiResponse, Item, Script, Stack, openapi::OPERATIONS};

use crate::bad_input::assert_problem;

/// Sends a request to an operation. All of it is valid up to the check of its token.
async fn ask(stack: &Stack, route: (&str, &str), headers: &HeaderMap) -> ApiResponse {
    let path = route
        .1
        .strip_prefix("/api/v1/mobile/")
        .unwrap()
        .replace("{id}", "x");
    stack.call(route.0, &path, headers, b"{}").await
}

#[tokio::test]
async fn operations_without_token_return_401_with_challenge() {
    let stack = Stack::new();
    for operation in OPERATIONS {
        let response = ask(&stack, operation.route, &HeaderMap::new()).await;
        assert_problem(&response, 401, "unauthenticated", None, operation.id);
        assert_eq!(
            response.headers["www-authenticate"], "Bearer",
            "{}",
            operation.id
        );
    }
}

#[tokio::test]
async fn unavailable_store_returns_503_with_retry_after() {
    let stack = Stack::hooked(Arc::new(Script::new(|_, _, _, _| CallFate::Lose)));
    let token = stack.token("acme", "ana", &[], &[]);
    let item = Item::create("meter", "m", json!({}));

    for (path, body) in [
        ("sync/push", json!({"device_id": "phone", "items": [item]})),
        ("sync/pull", json!({})),
    ] {
        let response = stack.post(path, &token, &body).await;
        assert_problem(&response, 503, "unavailable", None, path);
        let seconds: u32 = response.headers["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(seconds > 0, "{path}");
    }
}

#[tokio::test]
async fn unknown_route_returns_404_problem() {
    let stack = Stack::new();
    let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("api.example"))]);
    for (method, path) in [
        ("GET", "/api/v1/mobile/sync/nothing"),
        ("PUT", "/api/v1/mobile/sync/pull"),
        ("GET", "/"),
    ] {
        let route = Route {
            method,
            path,
            function: "pull",
        };

        let inbound = Inbound {
            route: &route,
            path,
            query: "",
            path_parameters: &[],
            headers: &headers,
            body: b"",
            request_id: "request-1",
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            at: stack.now(),
        };

        for event in [rest_event(&inbound, "test"), http_event(&inbound)] {
            let response = ApiResponse::read(stack.deliver("pull", &event).await);
            assert_problem(
                &response,
                404,
                "not_found",
                None,
                &format!("{method} {path}"),
            );
        }
    }
}
