//! Requests that are invalid as a whole: 400 with the JSON path, 413 or 415, and nothing of the
//! request is applied.

use lambda_http::http::{HeaderMap, HeaderValue, header};
use rstest::rstest;
use serde_json::{Value, json};
use tidemark::gateway::ApiKind;
use tidemark_core::model::limits::BODY_BYTES_MAX;
use tidemark_tests::{Item, Stack};

use super::assert_problem;

const ROUTES: [&str; 2] = ["sync/push", "sync/pull"];

fn item() -> Item {
    Item::create_as("meter", "t", json!({"a": 1})).version(1)
}

fn push_body() -> Value {
    json!({"device_id": "phone", "client_sync_token": null, "batch_id": "b", "items": [item()]})
}

fn pull_body() -> Value {
    json!({"since_token": null, "device_id": "phone", "limit": 100})
}

/// Checks that each field of `body` with each of its invalid values is rejected with the path of
/// the field.
async fn assert_each_is_rejected(route: &str, body: &Value, wrong: &[(&str, Vec<Value>)]) {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);

    for (field, values) in wrong {
        for value in values {
            let mut body = body.clone();
            body[*field] = value.clone();
            let shown: String = format!("{field}: {value}").chars().take(80).collect();
            let response = stack.post(route, &token, &body).await;
            assert_problem(&response, 400, "invalid_request", Some(field), &shown);
        }
    }

    assert_eq!(
        stack.rows("sync_items").len() + stack.rows("resources").len(),
        0,
        "something was stored"
    );
}

#[rstest]
#[case::rest(ApiKind::Rest)]
#[case::http(ApiKind::Http)]
#[tokio::test]
async fn invalid_json_is_rejected_by_both_apis(#[case] api: ApiKind) {
    let stack = Stack::new().behind(api);
    let token = stack.token("acme", "ana", &[], &[]);

    for route in ROUTES {
        for body in [
            b"".as_slice(),
            b" ",
            b"{",
            b"nothing",
            b"\xef\xbb\xbf\xef\xbb\xbf{}",
            b"\xff\xfe{}",
            b"{\"device_id\":\"\xff\",\"items\":[1]}",
            b"\0",
            b"{\"a\":1}{\"a\":1}",
            b"{} trailing",
        ] {
            let response = stack.post_bytes(route, Some(&token), body).await;
            let expected_path = response.json()["path"].as_str().map(ToOwned::to_owned);
            assert!(
                expected_path.is_some(),
                "{route} {body:?}: {}",
                response.text
            );
            let shown = format!("{route} {body:?}");
            assert_problem(
                &response,
                400,
                "invalid_request",
                expected_path.as_deref(),
                &shown,
            );
        }
    }
}

#[tokio::test]
async fn non_object_body_is_rejected() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    for route in ROUTES {
        for body in ["null", "true", "7", "\"push\""] {
            let response = stack.post_bytes(route, Some(&token), body.as_bytes()).await;
            assert_problem(
                &response,
                400,
                "invalid_request",
                Some("$"),
                &format!("{route} {body}"),
            );
        }
    }
}

#[tokio::test]
async fn body_as_field_list_is_rejected() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    let as_list = [
        ("sync/push", json!(["phone", null, "b", [item()]])),
        ("sync/pull", json!([null, "phone", 5])),
    ];
    let empty = ROUTES.map(|route| (route, json!([])));

    for (route, body) in as_list.into_iter().chain(empty) {
        let response = stack.post(route, &token, &body).await;
        assert_problem(
            &response,
            400,
            "invalid_request",
            Some("$"),
            &format!("{route} {body}"),
        );
    }
}

#[tokio::test]
async fn truncated_body_is_rejected() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    for (route, body) in [("sync/push", push_body()), ("sync/pull", pull_body())] {
        let body = body.to_string();
        for cut in 0..body.len() {
            let response = stack
                .post_bytes(route, Some(&token), &body.as_bytes()[..cut])
                .await;
            let problem = response.json();
            assert_eq!(
                (response.status, &problem["code"]),
                (400, &json!("invalid_request")),
                "cut at {cut}: {}",
                response.text
            );
            assert!(
                problem["path"].is_string(),
                "cut at {cut}: {}",
                response.text
            );
        }
    }

    assert_eq!(stack.rows("sync_items").len(), 0);
}

#[tokio::test]
async fn invalid_push_field_is_named() {
    let long = json!("x".repeat(257));
    let no_text = vec![json!(5), json!(1.5), json!(true), json!([]), json!({})];
    let no_name = [
        no_text.clone(),
        vec![json!(""), long, json!("é".repeat(129))],
    ]
    .concat();

    let wrong = [
        ("device_id", [no_name.clone(), vec![json!(null)]].concat()),
        ("client_sync_token", no_text),
        ("batch_id", no_name),
        (
            "items",
            vec![
                json!(null),
                json!({}),
                json!("x"),
                json!(5),
                json!([]),
                json!(vec![item(); 51]),
                json!(vec![0; 51]),
            ],
        ),
    ];

    assert_each_is_rejected("sync/push", &push_body(), &wrong).await;
}

#[tokio::test]
async fn invalid_pull_field_is_named() {
    let no_text = vec![json!(5), json!(true), json!([]), json!({})];
    let no_name = [no_text.clone(), vec![json!(""), json!("x".repeat(257))]].concat();

    let limits = vec![
        json!(0),
        json!(501),
        json!(-1),
        json!(1.5),
        json!("x"),
        json!("5"),
        json!(true),
        json!([]),
        json!(u64::MAX),
    ];

    let wrong = [
        ("since_token", no_text),
        ("device_id", no_name),
        ("limit", limits),
    ];
    assert_each_is_rejected("sync/pull", &pull_body(), &wrong).await;
}

#[tokio::test]
async fn invalid_number_as_limit_is_rejected() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);

    for limit in [
        "1e400",
        "-1e400",
        "99999999999999999999",
        "1E2",
        "01",
        "+1",
        "NaN",
    ] {
        let body = format!(r#"{{"limit":{limit}}}"#);
        let response = stack
            .post_bytes("sync/pull", Some(&token), body.as_bytes())
            .await;
        assert_eq!(
            (response.status, &response.json()["code"]),
            (400, &json!("invalid_request")),
            "{limit}: {}",
            response.text
        );
    }
}

#[tokio::test]
async fn push_without_device_or_items_is_rejected() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);

    for body in [
        json!({}),
        json!({"items": [item()]}),
        json!({"device_id": "phone"}),
        json!({"device": "phone", "items": [item()]}),
    ] {
        let response = stack.post("sync/push", &token, &body).await;
        assert_problem(
            &response,
            400,
            "invalid_request",
            Some("$"),
            &body.to_string(),
        );
    }
}

#[tokio::test]
async fn envelope_at_its_limits_is_accepted() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    let items: Vec<Item> = (0..50)
        .map(|n| item().temp_id(&format!("t{n}")).payload(json!({})))
        .collect();
    let push = json!({"device_id": "d".repeat(256), "batch_id": "b".repeat(256), "client_sync_token": "not ours", "items": items,
        "a_field_of_a_later_client": [1]});
    let results = stack.post("sync/push", &token, &push).await.ok()["results"].clone();
    assert!(
        results
            .as_array()
            .unwrap()
            .iter()
            .all(|result| result["status"] == "ok"),
        "{results}"
    );

    for pull in [
        json!({}),
        json!({"limit": 1}),
        json!({"limit": 500}),
        json!({"limit": null, "device_id": null}),
    ] {
        assert!(stack.post("sync/pull", &token, &pull).await.ok()["next_token"].is_string());
    }
}

#[tokio::test]
async fn body_limit_is_3_mb() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);

    for (route, body) in [("sync/push", push_body()), ("sync/pull", pull_body())] {
        let mut body = body.to_string().into_bytes();
        body.resize(BODY_BYTES_MAX, b' ');
        assert_eq!(
            stack.post_bytes(route, Some(&token), &body).await.status,
            200
        );
        body.push(b' ');
        assert_problem(
            &stack.post_bytes(route, Some(&token), &body).await,
            413,
            "body_too_large",
            None,
            route,
        );
    }
}

/// The names and values of further headers of a request.
type HeaderPairs = &'static [(&'static str, &'static str)];

const REJECTED_MEDIA_TYPES: [HeaderPairs; 6] = [
    &[("content-type", "text/plain")],
    &[("content-type", "text/plain; charset=application/json")],
    &[("content-type", "application/x-www-form-urlencoded")],
    &[("content-type", "")],
    &[
        ("content-type", "application/json"),
        ("content-encoding", "compress"),
    ],
    &[("content-encoding", "br")],
];

const ACCEPTED_MEDIA_TYPES: [HeaderPairs; 4] = [
    &[],
    &[("content-type", "application/json; charset=utf-8")],
    &[("content-type", "Application/JSON")],
    &[
        ("content-type", "application/vnd.acme+json"),
        ("content-encoding", "identity"),
    ],
];

/// Returns the headers of a request with this bearer token.
fn headers(token: &str, pairs: HeaderPairs) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::AUTHORIZATION,
        HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
    );
    for (name, value) in pairs {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    headers
}

#[tokio::test]
async fn other_media_types_return_415() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);

    for (route, body) in [("sync/push", push_body()), ("sync/pull", pull_body())] {
        let body = body.to_string().into_bytes();
        for rejected in REJECTED_MEDIA_TYPES {
            let response = stack.send(route, &headers(&token, rejected), &body).await;
            assert_problem(
                &response,
                415,
                "unsupported_media_type",
                None,
                &format!("{route} {rejected:?}"),
            );
        }

        for accepted in ACCEPTED_MEDIA_TYPES {
            let response = stack.send(route, &headers(&token, accepted), &body).await;
            assert_eq!(response.status, 200, "{route} {accepted:?}");
        }
    }
}
