//! The events, deserialized with the types and the adapter that the functions use.

use aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayV2httpRequest};
use lambda_http::RequestExt;

use super::*;

const ROUTE: Route = Route {
    method: "POST",
    path: "/things/{id}",
    function: "things",
};

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "127.0.0.1:9080"),
        ("x-many", "1"),
        ("x-many", "2"),
        ("cookie", "a=1; b=2"),
    ] {
        headers.append(name, value.parse().unwrap());
    }
    headers
}

fn with_inbound<T>(headers: &HeaderMap, body: &[u8], read: impl FnOnce(&Inbound<'_>) -> T) -> T {
    let path_parameters = [("id".to_owned(), "a b".to_owned())];
    read(&Inbound {
        route: &ROUTE,
        path: "/things/a%20b",
        query: "x=1&x=2&y=%C3%A4+%",
        path_parameters: &path_parameters,
        headers,
        body,
        request_id: "request-1",
        source_ip: IpAddr::from([127, 0, 0, 1]),
        at: DateTime::from_timestamp_millis(1_583_348_638_390).unwrap(),
    })
}

#[test]
fn placeholders_match_a_segment_or_the_rest() {
    let of = |path, given| {
        let route = Route { path, ..ROUTE };
        placeholders(&route, given)
    };
    let named = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    assert_eq!(of("/things/{id}", "/things/a%20b"), named("id", "a b"));
    assert_eq!(of("/pages/{rest+}", "/pages/a"), named("rest", "a"));
    assert_eq!(
        of("/pages/{rest+}", "/pages/a/b%2Fc"),
        named("rest", "a/b/c")
    );
    assert_eq!(of("/pages", "/pages"), []);
}

#[test]
fn rest_event_deserializes_as_rest_request() {
    let event = with_inbound(&headers(), b"{}", |inbound| rest_event(inbound, "local"));
    let request: ApiGatewayProxyRequest = serde_json::from_str(&event.to_string()).unwrap();

    assert_eq!(request.http_method, "POST");
    assert_eq!(request.resource.as_deref(), Some("/things/{id}"));
    assert_eq!(request.path_parameters["id"], "a b");
    assert_eq!(
        request.multi_value_headers.get_all("x-many").iter().count(),
        2
    );

    assert_eq!(request.query_string_parameters.first("y"), Some("ä %"));
    assert_eq!(
        request.request_context.identity.source_ip.as_deref(),
        Some("127.0.0.1")
    );
    assert_eq!(
        request.request_context.request_time.as_deref(),
        Some("04/Mar/2020:19:03:58 +0000")
    );
    assert_eq!(
        (request.body.as_deref(), request.is_base64_encoded),
        (Some("e30="), true)
    );
}

#[test]
fn http_event_deserializes_as_http_request() {
    let event = with_inbound(&headers(), b"{}", http_event);
    let request: ApiGatewayV2httpRequest = serde_json::from_str(&event.to_string()).unwrap();

    assert_eq!(request.request_context.http.method, "POST");
    assert_eq!(request.route_key.as_deref(), Some("POST /things/{id}"));
    assert_eq!(request.headers["x-many"], "1,2");
    assert_eq!(
        request.cookies.as_deref(),
        Some(["a=1".to_owned(), "b=2".to_owned()].as_slice())
    );
    assert_eq!(
        (request.body.as_deref(), request.is_base64_encoded),
        (Some("{}"), false)
    );
}

#[test]
fn both_event_formats_yield_same_request() {
    let headers = headers();
    for event in [
        with_inbound(&headers, b"hello", |i| rest_event(i, "local")),
        with_inbound(&headers, b"hello", http_event),
    ] {
        let request =
            tidemark_aws::entry::request(&event.to_string(), lambda_http::Context::default()).0;
        assert_eq!(
            (request.method().as_str(), request.body().as_ref()),
            ("POST", b"hello".as_slice())
        );
        assert_eq!(request.path_parameters().first("id"), Some("a b"));
        assert_eq!(request.uri().path(), "/things/a%20b");
    }
}

#[test]
fn binary_body_is_encoded_as_base64() {
    let bytes = [0x1f, 0x8b, 0x08, 0xff];
    for event in [
        with_inbound(&headers(), &bytes, |i| rest_event(i, "local")),
        with_inbound(&headers(), &bytes, http_event),
    ] {
        assert_eq!(event["isBase64Encoded"], true);
        let request =
            tidemark_aws::entry::request(&event.to_string(), lambda_http::Context::default()).0;
        assert_eq!(request.body().as_ref(), bytes);
    }
}

#[test]
fn empty_body_is_absent_or_null() {
    assert!(
        with_inbound(&headers(), b"", http_event)
            .get("body")
            .is_none()
    );
    assert!(
        with_inbound(&headers(), b"", |inbound| rest_event(inbound, "local"))["body"].is_null()
    );
}
