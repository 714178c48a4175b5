//! Refusals of every function are problems with the headers that go with them. That each answer of
//! every test has the shape and the code its operation documents is checked where tests ask
//! ([`tidemark_tests::openapi::check`]).

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
use tidemark_core::routes::Route;
use tidemark_tests::{ApiResponse, Script, Stack, openapi::OPERATIONS};

use crate::bad_input::assert_problem;

/// A request to an operation, with nothing in it that is wrong before its token is looked at.
async fn ask(stack: &Stack, route: (&str, &str), headers: &HeaderMap) -> ApiResponse {
    let path = route
        .1
        .strip_prefix("/api/v1/mobile/")
        .unwrap()
        .replace("{id}", "x");
    stack.call(route.0, &path, headers, b"{}").await
}

#[tokio::test]
async fn no_operation_answers_without_a_token_and_each_says_what_kind_it_wants() {
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
async fn an_outage_is_503_with_the_seconds_to_wait() {
    let stack = Stack::hooked(Arc::new(Script::new(|_, _, _, _| CallFate::Lose)));
    let token = stack.token("acme", "ana", &[], &[]);
    let item = json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": "m"}});
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
async fn a_request_that_no_route_of_ours_brought_is_a_404_problem() {
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
