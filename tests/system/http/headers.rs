//! The headers of every response, and those for pages of the allowed origins (CORS).

use lambda_http::{
    Response,
    http::{HeaderMap, HeaderName, HeaderValue, header},
};
use rstest::rstest;
use serde_json::{Value, json};
use tidemark::gateway::ApiKind;
use tidemark_core::wire::routes::ROUTES;
use tidemark_tests::{ApiResponse, Stack, scenario};

use super::odd_events::plain;

const APP: &str = "https://app.example";
const ORIGINS: &[(&str, &str)] = &[(
    "ALLOWED_ORIGINS",
    "https://app.example,http://localhost:8080",
)];

fn from(event: &Value, method: &str, origin: Option<&str>) -> Value {
    let mut event = event.clone();
    for name in ["headers", "multiValueHeaders"] {
        if let Some(headers) = event.get_mut(name).and_then(Value::as_object_mut) {
            headers.remove("authorization");
            origin.map(|origin| {
                headers.insert(
                    "origin".into(),
                    if name == "headers" {
                        json!(origin)
                    } else {
                        json!([origin])
                    },
                )
            });
        }
    }

    let is_rest = event.get("httpMethod").is_some();
    if is_rest {
        event["httpMethod"] = method.into();
        event["requestContext"]["httpMethod"] = method.into();
    } else {
        event["requestContext"]["http"]["method"] = method.into();
        let key = event["routeKey"]
            .as_str()
            .unwrap()
            .split_once(' ')
            .unwrap()
            .1
            .to_owned();
        event["routeKey"] = format!("{method} {key}").into();
        event["requestContext"]["routeKey"] = event["routeKey"].clone();
    }
    event
}

fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

#[rstest]
#[case::rest(ApiKind::Rest)]
#[case::http(ApiKind::Http)]
#[tokio::test]
async fn preflight_needs_no_token(#[case] api: ApiKind) {
    let stack = Stack::configured(ORIGINS).behind(api);
    for route in ROUTES {
        let event = plain(&stack, route, "none");
        for origin in [APP, "http://localhost:8080"] {
            let response = stack
                .deliver(route.function, &from(&event, "OPTIONS", Some(origin)))
                .await;

            let headers = response.headers();
            assert_eq!(
                (response.status().as_u16(), response.body().len()),
                (204, 0),
                "{}",
                route.path
            );
            assert_eq!(
                text_of(headers, &header::ACCESS_CONTROL_ALLOW_ORIGIN),
                Some(origin),
                "{}",
                route.path
            );

            let methods = format!("{}, OPTIONS", route.method);
            assert_eq!(
                text_of(headers, &header::ACCESS_CONTROL_ALLOW_METHODS),
                Some(methods.as_str()),
                "{}",
                route.path
            );
            let allowed = "authorization, content-type, content-encoding, if-none-match";
            assert_eq!(
                text_of(headers, &header::ACCESS_CONTROL_ALLOW_HEADERS),
                Some(allowed)
            );
            assert_eq!(
                text_of(headers, &header::ACCESS_CONTROL_MAX_AGE),
                Some("3600")
            );
            assert_eq!(
                (
                    text_of(headers, &header::VARY),
                    text_of(headers, &header::CACHE_CONTROL)
                ),
                (Some("origin"), Some("no-store"))
            );
        }
    }
}

#[tokio::test]
async fn other_origins_get_no_cors_headers() {
    for (stack, origins) in [
        (
            Stack::configured(ORIGINS),
            &[
                "https://evil.example",
                "null",
                "",
                "https://app.example.evil.example",
                "http://localhost:8081",
            ][..],
        ),
        (Stack::new(), &[APP, "http://localhost:3000"][..]),
    ] {
        for origin in origins {
            for route in ROUTES {
                let event = plain(&stack, route, "none");
                let preflight = stack
                    .deliver(route.function, &from(&event, "OPTIONS", Some(origin)))
                    .await;
                let actual = stack
                    .deliver(route.function, &from(&event, route.method, Some(origin)))
                    .await;

                for response in [&preflight, &actual] {
                    let is_cors = |name: &HeaderName| name.as_str().starts_with("access-control-");
                    assert!(
                        !response.headers().keys().any(is_cors),
                        "{origin} {}: {response:?}",
                        route.path
                    );
                }
                assert_eq!(
                    (preflight.status().as_u16(), actual.status().as_u16()),
                    (403, 401),
                    "{origin} {}",
                    route.path
                );
            }
        }
    }
}

#[tokio::test]
async fn every_response_is_readable_by_allowed_origins() {
    let stack = Stack::configured(ORIGINS);
    let token = stack.token("acme", "ana", &[], &[]);
    let assert_shared = |response: &Response<lambda_http::Body>, what: &str| {
        let headers = response.headers();
        assert_eq!(
            text_of(headers, &header::ACCESS_CONTROL_ALLOW_ORIGIN),
            Some(APP),
            "{what}"
        );
        assert_eq!(
            text_of(headers, &header::ACCESS_CONTROL_EXPOSE_HEADERS),
            Some("etag, retry-after, x-amzn-requestid"),
            "{what}"
        );
        assert_eq!(
            text_of(headers, &header::VARY),
            Some("accept-encoding, origin"),
            "{what}"
        );
        assert!(
            !headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS),
            "{what}"
        );
    };

    for (path, body, status) in [
        ("sync/pull", "{}", 200),
        ("sync/pull", "{", 400),
        ("sync/push", "{}", 400),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static(APP));
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
        );
        let response = stack.respond("POST", path, &headers, body.as_bytes()).await;
        assert_eq!(response.status(), status);
        assert_shared(&response, path);
    }

    for route in ROUTES {
        let response = stack
            .deliver(
                route.function,
                &from(&plain(&stack, route, "none"), route.method, Some(APP)),
            )
            .await;
        assert_eq!(response.status(), 401);
        assert_shared(&response, route.path);
    }
}

#[tokio::test]
async fn options_without_an_origin_lists_methods() {
    let stack = Stack::new();

    for route in ROUTES {
        let response = ApiResponse::read(
            stack
                .deliver(
                    route.function,
                    &from(&plain(&stack, route, "none"), "OPTIONS", None),
                )
                .await,
        );
        assert_eq!((response.status, response.text.as_str()), (204, ""));
        assert_eq!(
            text_of(&response.headers, &header::ALLOW),
            Some(format!("{}, OPTIONS", route.method).as_str())
        );
    }
}

#[tokio::test]
async fn no_response_is_cached_or_sniffed() {
    let stack = Stack::new();
    let token = scenario::admin(&stack);
    for route in ROUTES {
        for token in [token.as_str(), "none"] {
            let response = stack
                .deliver(route.function, &plain(&stack, route, token))
                .await;

            let headers = response.headers();
            let values = (
                text_of(headers, &header::CACHE_CONTROL),
                text_of(headers, &header::X_CONTENT_TYPE_OPTIONS),
            );
            assert_eq!(
                values,
                (Some("no-store"), Some("nosniff")),
                "{}",
                route.path
            );
        }
    }
}
