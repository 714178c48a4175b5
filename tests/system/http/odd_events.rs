//! Events with unusual content that a client can cause: each gets a response, which is a problem
//! document if the event is rejected, and nothing panics.

use lambda_http::Response;
use rstest::rstest;
use serde_json::{Value, json};
use tidemark::gateway::ApiKind;
use tidemark_core::wire::routes::{ROUTES, Route};
use tidemark_tests::{ApiResponse, Stack, scenario};

/// Returns the event of a regular request to a route.
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

/// The entry of the tables below that [`value`] replaces with a text of 9,000 letters.
const LONG: &str = "long";

const HOSTS: &[&str] = &[
    "",
    " ",
    "a b",
    "[",
    "]",
    ":",
    "::1",
    "[::1",
    "ü.example",
    LONG,
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

const PROTOCOLS: &[&str] = &[
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
    LONG,
];

/// Headers, each with its unusual values.
const HEADERS: &[(&str, &[&str])] = &[
    ("host", HOSTS),
    ("x-forwarded-host", HOSTS),
    ("x-forwarded-proto", PROTOCOLS),
    (
        "x-forwarded-port",
        &["", "[", "99999", "a b", "-1", "443,80"],
    ),
    ("x-forwarded-for", &["", "[", "999.1.1.1, a b", "ü"]),
    ("forwarded", &["proto=[;host=]", ""]),
    ("cookie", &["", "a", "ü=\u{0}"]),
    ("accept-encoding", &["", "ü", ";;;", "gzip;q=x"]),
    ("if-none-match", &["", ",", "W/", "\"", "ü", "\u{0}", LONG]),
    ("origin", &["", "null", "[", "http://[", "ü", "a b"]),
    ("content-length", &["", "-1", "99999999999999999999"]),
    ("x-amzn-trace-id", &["", "ü", "Root=[", LONG]),
    ("a b", &["x"]),
    ("", &["x"]),
    ("ü", &["x"]),
    ("x\n", &["x"]),
];

/// Fields of an event, as JSON pointers (RFC 6901).
const FIELDS: &[&str] = &[
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

/// Bodies that are marked as base64.
const BASE64_BODIES: &[&str] = &[
    "%%%", "a", "=", "====", "e30", "e30=e30=", "ü", " e30=", "/w==",
];

const QUERIES: &[&str] = &[
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
    LONG,
];

const IDS: &[&str] = &[
    "%ff",
    "\u{fffd}",
    "",
    "..",
    "../..",
    "a\u{0}b",
    "%",
    "batch-%ff-0",
    LONG,
];

/// Returns the value for an entry of the tables.
fn value(entry: &str) -> String {
    if entry == LONG {
        "x".repeat(9000)
    } else {
        entry.to_owned()
    }
}

/// Returns the description of a variant with this value.
fn described(what: &str, value: &str) -> String {
    format!("{what} {:?}", value.chars().take(20).collect::<String>())
}

/// An unusual variant of an event, with a description of the difference.
type Variant = (String, Value);

/// Returns unusual variants of an event. The variants of its headers are the first.
pub(crate) fn odd(event: &Value) -> Vec<Variant> {
    [
        odd_headers(event),
        odd_fields(event),
        odd_bodies(event),
        odd_queries(event),
        odd_ids(event),
    ]
    .concat()
}

fn odd_headers(event: &Value) -> Vec<Variant> {
    let mut odd = Vec::new();
    for (name, values) in HEADERS {
        for value in values.iter().copied().map(value) {
            let mut event = event.clone();
            event["headers"][*name] = value.as_str().into();
            if event.get("multiValueHeaders").is_some() {
                event["multiValueHeaders"][*name] = json!([value, value]);
            }
            odd.push((described(&format!("{name}:"), &value), event));
        }
    }
    odd
}

/// Returns the variants in which a field, if the event has its parent, has a value of another type
/// or form.
fn odd_fields(event: &Value) -> Vec<Variant> {
    let wrong = [
        json!(null),
        json!(""),
        json!(5),
        json!([null]),
        json!({"a": [null, 5]}),
        json!("[ %ff"),
    ];

    let mut odd = Vec::new();
    for field in FIELDS {
        let (parent, name) = field.rsplit_once('/').unwrap();
        for value in &wrong {
            let mut event = event.clone();
            if let Some(fields) = event.pointer_mut(parent).and_then(Value::as_object_mut) {
                fields.insert(name.to_owned(), value.clone());
                odd.push((format!("{field} = {value}"), event));
            }
        }
    }
    odd
}

fn odd_bodies(event: &Value) -> Vec<Variant> {
    let variant = |body: &&str| {
        let mut event = event.clone();
        event["body"] = (*body).into();
        event["isBase64Encoded"] = true.into();
        (format!("base64 {body}"), event)
    };
    BASE64_BODIES.iter().map(variant).collect()
}

fn odd_queries(event: &Value) -> Vec<Variant> {
    let variant = |query: String| {
        let mut event = event.clone();
        event["rawQueryString"] = query.as_str().into();
        event["queryStringParameters"] = json!({&query: query});
        event["multiValueQueryStringParameters"] =
            json!({&query: [query, query], "limit": [null], "cursor": []});
        (described("query", &query), event)
    };
    QUERIES.iter().copied().map(value).map(variant).collect()
}

fn odd_ids(event: &Value) -> Vec<Variant> {
    let variant = |id: String| {
        let mut event = event.clone();
        event["pathParameters"] = json!({"id": id});
        (described("id", &id), event)
    };
    IDS.iter().copied().map(value).map(variant).collect()
}

/// Panics unless a client can read this response: the requested result, or a problem that is not
/// the server's fault.
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

#[rstest]
#[case::rest(ApiKind::Rest)]
#[case::http(ApiKind::Http)]
#[tokio::test]
async fn odd_events_return_readable_responses(#[case] api: ApiKind) {
    let stack = Stack::new().behind(api);
    let token = scenario::admin(&stack);
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

#[rstest]
#[case::rest(ApiKind::Rest)]
#[case::http(ApiKind::Http)]
#[tokio::test]
async fn odd_headers_do_not_change_the_response(#[case] api: ApiKind) {
    let stack = Stack::new().behind(api);
    let token = scenario::admin(&stack);
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

#[tokio::test]
async fn non_gateway_event_is_not_found() {
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
            "push", "pull", "ack", "presign", "admin", "resolve", "batches",
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

#[rstest]
#[case::rest(ApiKind::Rest)]
#[case::http(ApiKind::Http)]
#[tokio::test]
async fn undecodable_path_is_not_found(#[case] api: ApiKind) {
    let stack = Stack::new().behind(api);
    let token = scenario::admin(&stack);

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

#[tokio::test]
async fn multiple_tokens_are_rejected() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    let mut event = stack.event("POST", "sync/pull", &token, &json!({}));
    event["multiValueHeaders"]["authorization"] =
        json!([format!("Bearer {token}"), format!("Bearer {token}")]);
    let response: Response<_> = stack.deliver("pull", &event).await;
    assert_eq!(response.status(), 401);
}
