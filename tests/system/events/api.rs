//! Samples of requests as REST APIs and HTTP APIs deliver them.

mod expected;

use std::{collections::BTreeMap, net::IpAddr};

use lambda_http::http::HeaderMap;
use serde_json::{Value, json};
use tidemark::gateway::event::{Inbound, http_event, rest_event};
use tidemark_aws::http;
use tidemark_core::wire::routes::Route;
use tidemark_tests::{ApiResponse, Device, Item, Stack, openapi};

use super::{function_of, missing_fields, samples};
pub(super) use expected::EXPECTED;
use expected::{ApiExpectation, Before};

/// Creates the meter `m-123` at version 7, last written by another user.
pub(super) async fn meter_at_version_7(stack: &Stack) {
    prepare(stack, &Before::MeterAtVersion7, "").await;
}

/// Brings a stack into the state before a sample, and returns the sample with its placeholders
/// replaced.
async fn prepare(stack: &Stack, before: &Before, sample: &str) -> String {
    let mut device = stack.device("ana", "device-uuid-123");
    let mut batch_id = String::new();

    if matches!(before, Before::BatchPushedTooEarly) {
        batch_id = push_too_early(stack, &device.token).await;
        device.token = stack.token("acme", "boss", &["admin"], &[]);
    }
    if !matches!(before, Before::Nothing) {
        write_seven_versions(stack, before, &mut device).await;
    }

    let sample = sample
        .replace("${TOKEN}", &device.token)
        .replace("${BATCH_ID}", &batch_id);
    sample.replace(
        "${SINCE_TOKEN}",
        device.since().as_str().unwrap_or_default(),
    )
}

/// Pushes an update of the meter `m-123`, which does not exist yet, and a create. Returns the id of
/// the batch.
async fn push_too_early(stack: &Stack, token: &str) -> String {
    let early = r#"[{"resource_type":"meter","action":"update","client_version":5,"base_version":5,"payload":{"id":"m-123","reading":42.0}},
            {"resource_type":"meter","action":"create","client_version":0,"payload":{"id":"m-124"}}]"#;
    let body = format!(r#"{{"device_id":"device-uuid-123","items":{early}}}"#);
    let pushed = stack
        .post_bytes("sync/push", Some(token), body.as_bytes())
        .await
        .ok();
    pushed["batch_id"].as_str().unwrap().to_owned()
}

/// Writes seven versions of the meter `m-123` as another user. The device pulls, and acknowledges,
/// the first six if the state contains that.
async fn write_seven_versions(stack: &Stack, before: &Before, device: &mut Device<'_>) {
    let sys = stack.device("sys", "server");
    sys.push_one(Item::create("meter", "m-123", json!({"reading": 44})))
        .await;

    let is_acknowledged = matches!(before, Before::SixVersionsAcknowledged);
    let is_pulled = is_acknowledged || matches!(before, Before::SixVersionsPulled);
    for version in 1..7 {
        if version == 6 && is_pulled {
            stack.settle().await;
            device.pull().await;
        }
        if version == 6 && is_acknowledged {
            device.ack().await.ok();
        }
        let patch = json!({"reading": 44 + version, "last_updated_by": "sys"});
        sys.push_one(Item::update("meter", "m-123", version, patch))
            .await;
    }
    stack.settle().await;
}

pub(super) async fn run(stack: &Stack, function: &str, event: &str) -> ApiResponse {
    let request = tidemark_tests::request(event);
    let route = http::route(&request).unwrap();
    assert_eq!(route.function, function);
    let response = ApiResponse::read(stack.deliver_request(function, request).await);
    openapi::check(route, &response);
    response
}

#[tokio::test]
async fn requests_get_expected_responses() {
    each_request(Stack::new, run).await;
}

/// Sends each request to `run`, with a deployment that contains the data of the request, and checks
/// the response.
pub(crate) async fn each_request(
    deployment: fn() -> Stack,
    run: impl AsyncFn(&Stack, &str, &str) -> ApiResponse,
) {
    let samples = samples();
    for ApiExpectation {
        sample,
        before,
        status,
        fields,
    } in EXPECTED
    {
        let stack = deployment();
        let event = prepare(&stack, before, &samples[*sample]).await;
        assert!(!event.contains("${"), "{sample}: a placeholder is left");
        let response = run(&stack, function_of(sample), &event).await;
        assert_eq!(response.status, *status, "{sample}: {}", response.text);

        let body = response.json();
        for (place, expected) in *fields {
            let expected: Value = serde_json::from_str(expected).unwrap();
            assert_eq!(
                body.pointer(place).unwrap_or(&Value::Null),
                &expected,
                "{sample} at {place}: {}",
                response.text
            );
        }
    }
}

#[tokio::test]
async fn retried_batch_returns_the_same_response() {
    let stack = Stack::new();
    let event = prepare(&stack, &Before::Nothing, &samples()["push.rest-retry"]).await;
    let first = run(&stack, "push", &event).await;
    assert_eq!(run(&stack, "push", &event).await.text, first.text);
    assert_eq!(stack.rows("resources").len(), 1);
}

#[tokio::test]
async fn both_apis_return_the_same_response() {
    let samples = samples();

    for (rest, http) in [
        ("push.rest-create", "push.http-create"),
        ("push.rest-create", "push.rest-base64"),
        ("push.rest-create", "push.rest-gzip"),
        ("push.rest-create", "push.rest-gzip-decompressed"),
        ("pull.rest-fresh", "pull.http-fresh"),
        ("admin.rest-devices", "admin.http-devices"),
        ("pull.rest-limits", "pull.http-limits"),
    ] {
        let mut responses = Vec::new();
        for sample in [rest, http] {
            let stack = Stack::new();
            let event = prepare(&stack, &Before::Nothing, &samples[sample]).await;
            let mut response = run(&stack, function_of(sample), &event).await.json();
            response["batch_id"].take(); // assigned by the server
            responses.push(response);
        }
        assert_eq!(responses[0], responses[1], "{rest} and {http}");
    }
}

/// Returns the samples that come through a gateway.
fn requests() -> impl Iterator<Item = (String, String)> {
    samples()
        .into_iter()
        .filter(|(sample, _)| sample.contains(".rest-") || sample.contains(".http-"))
}

/// Verifies the local gateway with the samples: AWS sends every field that the local gateway sends.
#[test]
fn samples_have_all_local_gateway_fields() {
    for (sample, text) in requests() {
        let event: Value = serde_json::from_str(&text).unwrap();
        let is_rest = sample.contains(".rest-");
        let route = http::route(&tidemark_tests::request(&text)).unwrap();
        assert_eq!(route.function, function_of(&sample), "{sample}");
        let is_bodiless = event.get("body").is_none_or(Value::is_null);

        let parameters = [("id".to_owned(), "some".to_owned())];
        let inbound = Inbound {
            route,
            path: route.path,
            query: "",
            path_parameters: if route.path.contains("{id}") {
                &parameters
            } else {
                &[]
            },
            headers: &HeaderMap::new(),
            body: if is_bodiless { b"" } else { b"{}" },
            request_id: "request-1",
            source_ip: IpAddr::from([127, 0, 0, 1]),
            at: Stack::new().now(),
        };

        let local = if is_rest {
            rest_event(&inbound, "v1")
        } else {
            http_event(&inbound)
        };
        assert_eq!(missing_fields(&local, &event, ""), [""; 0], "{sample}");

        let (path, context) = if is_rest {
            ("/path", "/requestContext/path")
        } else {
            ("/rawPath", "/requestContext/http/path")
        };
        let path_sent = path_sent(route, &event);
        assert_eq!(event.pointer(path), Some(&json!(path_sent)), "{sample}");
        assert!(
            event
                .pointer(context)
                .and_then(Value::as_str)
                .unwrap()
                .ends_with(&path_sent),
            "{sample}"
        );
    }
}

/// Returns the path of a request to the route with the path parameters of the event.
fn path_sent(route: &Route, event: &Value) -> String {
    let parameters = event["pathParameters"].as_object().into_iter().flatten();
    parameters.fold(route.path.to_owned(), |path, (name, value)| {
        path.replace(&format!("{{{name}}}"), value.as_str().unwrap())
    })
}

#[test]
fn headers_match_the_format_of_each_api() {
    for (sample, text) in requests() {
        let event: Value = serde_json::from_str(&text).unwrap();
        let headers: BTreeMap<String, String> =
            serde_json::from_value(event["headers"].clone()).unwrap();

        if sample.contains(".rest-") {
            let multiple: BTreeMap<String, Vec<String>> =
                serde_json::from_value(event["multiValueHeaders"].clone()).unwrap();
            assert!(
                headers
                    .iter()
                    .all(|(name, value)| multiple[name] == [value.clone()]),
                "{sample}"
            );
        } else {
            assert!(
                headers
                    .keys()
                    .all(|name| *name == name.to_ascii_lowercase()),
                "{sample}"
            );
            let body_bytes = event["body"].as_str().map(|body| body.len().to_string());
            assert_eq!(
                headers.get("content-length"),
                body_bytes.as_ref(),
                "{sample}"
            );
        }

        let token = headers
            .get("Authorization")
            .or(headers.get("authorization"));
        assert!(
            token.is_none_or(|token| token == "Bearer ${TOKEN}"),
            "{sample}: a token that expires"
        );
    }
}
