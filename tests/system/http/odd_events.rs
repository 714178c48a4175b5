//! Events that a client can make odd: each is answered, with a problem document where it is
//! refused, and nothing panics.

use lambda_http::Response;
use serde_json::{Value, json};
use tidemark::gateway::ApiKind;
use tidemark_core::routes::{ROUTES, Route};
use tidemark_tests::{ApiResponse, Stack};

/// The event of a request to a route, with nothing odd in it.
pub(crate) fn plain(stack: &Stack, route: &Route, token: &str) -> Value {
    let path = route
        .path
        .strip_prefix("/api/v1/mobile/")
        .unwrap()
        .replace("{id}", "conf-1");
    let body = if route.method == "GET" {
        Value::Null
    } else {
        json!({})
    };
    stack.event(route.method, &path, token, &body)
}

/// Odd versions of an event, with what is odd about each.
#[expect(clippy::too_many_lines, reason = "a list of cases")]
pub(crate) fn odd(event: &Value) -> Vec<(String, Value)> {
    let mut odd: Vec<(String, Value)> = Vec::new();
    let long = "x".repeat(9000);
    let hosts = [
        "",
        " ",
        "a b",
        "[",
        "]",
        ":",
        "::1",
        "[::1",
        "ü.example",
        &long,
        "user:secret@host",
        "127.0.0.1:99999",
        "127.0.0.1:",
        "a/b",
        "a?b",
        "a#b",
        "%",
        "http://x",
        "a,b",
        "\u{7f}",
        "\u{0}",
        "\n",
    ];
    let protos = [
        "https,http",
        "",
        "1",
        "a b",
        "file",
        "[",
        "http://",
        "javascript",
        "ü",
        ":",
        "\u{0}",
        &long,
    ];
    let ports = ["", "[", "99999", "a b", "-1", "443,80"];
    let headers = [
        ("host", hosts.as_slice()),
        ("x-forwarded-host", &hosts),
        ("x-forwarded-proto", &protos),
        ("x-forwarded-port", &ports),
        ("x-forwarded-for", &["", "[", "999.1.1.1, a b", "ü"]),
        ("forwarded", &["proto=[;host=]", ""]),
        ("cookie", &["", "a", "ü=\u{0}"]),
        ("accept-encoding", &["", "ü", ";;;", "gzip;q=x"]),
        ("origin", &["", "null", "[", "http://[", "ü", "a b"]),
        ("content-length", &["", "-1", "99999999999999999999"]),
        ("x-amzn-trace-id", &["", "ü", "Root=[", &long]),
        ("a b", &["x"]),
        ("", &["x"]),
        ("ü", &["x"]),
        ("x\n", &["x"]),
    ];
    for (name, values) in headers {
        for value in values {
            let mut event = event.clone();
            event["headers"][name] = (*value).into();
            if event.get("multiValueHeaders").is_some() {
                event["multiValueHeaders"][name] = json!([value, value]);
            }
            odd.push((
                format!("{name}: {:?}", value.chars().take(20).collect::<String>()),
                event,
            ));
        }
    }
    let wrong = [
        json!(null),
        json!(""),
        json!(5),
        json!([null]),
        json!({"a": [null, 5]}),
        json!("[ %ff"),
    ];
    let fields = [
        "/headers",
        "/headers/host",
        "/multiValueHeaders",
        "/multiValueHeaders/host",
        "/queryStringParameters",
        "/multiValueQueryStringParameters",
        "/rawQueryString",
        "/rawPath",
        "/path",
        "/resource",
        "/routeKey",
        "/cookies",
        "/body",
        "/isBase64Encoded",
        "/pathParameters",
        "/stageVariables",
        "/httpMethod",
        "/requestContext/http/method",
        "/requestContext/http/path",
        "/requestContext/httpMethod",
        "/requestContext/domainName",
        "/requestContext/stage",
        "/requestContext/resourcePath",
        "/requestContext/routeKey",
        "/requestContext/requestId",
        "/requestContext/requestTimeEpoch",
        "/requestContext/timeEpoch",
        "/requestContext/identity",
        "/requestContext/authorizer",
    ];
    for field in fields {
        let (parent, name) = field.rsplit_once('/').unwrap();
        for value in &wrong {
            let mut event = event.clone();
            if let Some(fields) = event.pointer_mut(parent).and_then(Value::as_object_mut) {
                fields.insert(name.to_owned(), value.clone());
                odd.push((format!("{field} = {value}"), event));
            }
        }
    }
    for body in [
        "%%%", "a", "=", "====", "e30", "e30=e30=", "ü", " e30=", "/w==",
    ] {
        let mut event = event.clone();
        event["body"] = body.into();
        event["isBase64Encoded"] = true.into();
        odd.push((format!("base64 {body}"), event));
    }
    for query in [
        "%",
        "%f",
        "%ff=%ff",
        "&&=&",
        "a=%zz",
        "[",
        "limit=%00",
        "limit=1&limit=[",
        "ü=ü",
        "?#",
        &long,
    ] {
        let mut event = event.clone();
        event["rawQueryString"] = query.into();
        event["queryStringParameters"] = json!({query: query});
        event["multiValueQueryStringParameters"] =
            json!({query: [query, query], "limit": [null], "cursor": []});
        odd.push((
            format!("query {:?}", query.chars().take(20).collect::<String>()),
            event,
        ));
    }
    for id in [
        "%ff",
        "\u{fffd}",
        "",
        "..",
        "../..",
        "a\u{0}b",
        "%",
        "batch-%ff-0",
        &long,
    ] {
        let mut event = event.clone();
        event["pathParameters"] = json!({"id": id});
        odd.push((
            format!("id {:?}", id.chars().take(20).collect::<String>()),
            event,
        ));
    }
    odd
}

/// Panics unless this is an answer that a client can read: what it asked for, or a problem that is
/// not the server's fault.
#[track_caller]
pub(crate) fn assert_readable(response: &ApiResponse, what: &str) {
    let shown = response.text.chars().take(300).collect::<String>();
    assert!(
        response.status == 200 || (400..500).contains(&response.status),
        "{what}: {} {shown}",
        response.status
    );
    let expected = if response.status == 200 {
        "application/json"
    } else {
        "application/problem+json"
    };
    assert_eq!(
        response.headers["content-type"], expected,
        "{what}: {shown}"
    );
    assert_eq!(response.headers["cache-control"], "no-store", "{what}");
    assert_eq!(
        response.headers["x-content-type-options"], "nosniff",
        "{what}"
    );
    if response.status != 200 {
        let body = response.json();
        assert_eq!(body["status"], response.status, "{what}: {shown}");
        assert!(
            body["code"].is_string() && body["detail"].is_string(),
            "{what}: {shown}"
        );
    }
}

#[tokio::test]
async fn odd_events_are_answered() {
    for api in [ApiKind::Rest, ApiKind::Http] {
        let stack = Stack::new().behind(api);
        let token = stack.token("acme", "root", &["admin"], &[]);
        for route in ROUTES {
            for (what, event) in odd(&plain(&stack, route, &token)) {
                let response = ApiResponse::read(stack.deliver(route.function, &event).await);
                assert_readable(
                    &response,
                    &format!("{api:?} {} {}: {what}", route.method, route.path),
                );
            }
        }
    }
}

#[tokio::test]
async fn odd_headers_change_no_answer() {
    for api in [ApiKind::Rest, ApiKind::Http] {
        let stack = Stack::new().behind(api);
        let token = stack.token("acme", "root", &["admin"], &[]);
        let event = stack.event("POST", "sync/pull", &token, &json!({}));
        let expected = ApiResponse::read(stack.deliver("pull", &event).await).ok();
        for (what, event) in odd(&event)
            .into_iter()
            .take_while(|(what, _)| !what.starts_with('/'))
        {
            let response = ApiResponse::read(stack.deliver("pull", &event).await);
            assert_eq!(
                (response.status, &response.json()["next_token"]),
                (200, &expected["next_token"]),
                "{api:?}: {what}"
            );
        }
    }
}

#[tokio::test]
async fn an_event_of_no_gateway_is_refused() {
    let stack = Stack::new();
    for event in [
        json!(null),
        json!([]),
        json!({}),
        json!("text"),
        json!(5),
        json!({"Records": []}),
    ] {
        for function in [
            "push",
            "pull",
            "ack",
            "presign",
            "conflicts",
            "resolve",
            "batches",
        ] {
            let response = ApiResponse::read(stack.deliver(function, &event).await);
            assert_eq!(
                (response.status, &response.json()["code"]),
                (404, &json!("not_found")),
                "{function}: {event}"
            );
        }
    }
}

#[tokio::test]
async fn a_path_that_does_not_decode_is_not_found() {
    for api in [ApiKind::Rest, ApiKind::Http] {
        let stack = Stack::new().behind(api);
        let token = stack.token("acme", "root", &["admin"], &[]);
        for path in [
            "conflicts/%ff",
            "batches/%ff",
            "conflicts/%",
            "conflicts/%zz",
            "batches/%00",
            "conflicts/%c3%28",
        ] {
            let response = stack.get(path, &token).await;
            assert_eq!(
                (response.status, &response.json()["code"]),
                (404, &json!("not_found")),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn two_tokens_are_refused() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    let mut event = stack.event("POST", "sync/pull", &token, &json!({}));
    event["multiValueHeaders"]["authorization"] =
        json!([format!("Bearer {token}"), format!("Bearer {token}")]);
    let response: Response<_> = stack.deliver("pull", &event).await;
    assert_eq!(response.status(), 401);
}
