//! Samples of requests, as REST and HTTP APIs deliver them.

use std::{collections::BTreeMap, net::IpAddr};

use lambda_http::http::HeaderMap;
use serde_json::{Value, json};
use tidemark::gateway::event::{Inbound, http_event, rest_event};
use tidemark_aws::http;
use tidemark_tests::{ApiResponse, Stack, openapi};

use super::{function_of, missing_fields, samples};

/// What a sample is answered with.
pub(super) struct ApiExpectation {
    pub(super) sample: &'static str,
    before: Before,
    status: u16,
    /// Places in the body (RFC 6901) and the JSON that stands there.
    told: &'static [(&'static str, &'static str)],
}

/// What there is before a sample arrives.
enum Before {
    Nothing,
    /// The meter `m-123`, last written by somebody else, at version 7.
    MeterAtVersion7,
    /// The same, of which the device has seen six versions: `${SINCE_TOKEN}` is its token.
    SixVersionsPulled,
    /// And the device has acknowledged those.
    SixVersionsAcknowledged,
    /// The meter, and behind it a batch of the device that was pushed before: `${BATCH_ID}` is its
    /// id. The caller is an admin.
    BatchPushedTooEarly,
}

pub(super) const EXPECTED: &[ApiExpectation] = &[
    ApiExpectation {
        sample: "push.rest-create",
        before: Before::Nothing,
        status: 200,
        told: BOTH_CREATED,
    },
    ApiExpectation {
        sample: "push.rest-base64",
        before: Before::Nothing,
        status: 200,
        told: BOTH_CREATED,
    },
    ApiExpectation {
        sample: "push.rest-gzip",
        before: Before::Nothing,
        status: 200,
        told: BOTH_CREATED,
    },
    ApiExpectation {
        sample: "push.rest-gzip-decompressed",
        before: Before::Nothing,
        status: 200,
        told: BOTH_CREATED,
    },
    ApiExpectation {
        sample: "push.http-create",
        before: Before::Nothing,
        status: 200,
        told: BOTH_CREATED,
    },
    ApiExpectation {
        sample: "push.rest-conflict",
        before: Before::MeterAtVersion7,
        status: 200,
        told: &[
            ("/results/0/status", r#""conflict""#),
            ("/results/0/server_id", r#""m-123""#),
            (
                "/results/0/error",
                r#""Version mismatch: server_version=7, client_version=5""#,
            ),
            (
                "/results/0/server_payload",
                r#"{"reading":50,"last_updated_by":"sys"}"#,
            ),
        ],
    },
    ApiExpectation {
        sample: "push.rest-retry",
        before: Before::Nothing,
        status: 200,
        told: &[
            ("/results/0/status", r#""ok""#),
            ("/results/0/server_version", "1"),
            ("/results/1/status", r#""ok""#),
            ("/results/1/server_version", "2"),
        ],
    },
    ApiExpectation {
        sample: "push.rest-bad-items",
        before: Before::Nothing,
        status: 200,
        told: &[
            ("/results/0/status", r#""ok""#),
            ("/results/1/code", r#""unknown_type""#),
            ("/results/2/code", r#""invalid_item""#),
            ("/results/3/status", r#""ok""#),
        ],
    },
    ApiExpectation {
        sample: "push.rest-no-token",
        before: Before::Nothing,
        status: 401,
        told: &[
            ("/code", r#""unauthenticated""#),
            ("/request_id", r#""b9d1f0a3-6c1e-4f3b-9c64-1f7f2b0e6d15""#),
        ],
    },
    ApiExpectation {
        sample: "push.http-delete",
        before: Before::MeterAtVersion7,
        status: 200,
        told: &[
            ("/results/0/status", r#""ok""#),
            ("/results/0/server_version", "8"),
        ],
    },
    ApiExpectation {
        sample: "push.http-cut-body",
        before: Before::Nothing,
        status: 400,
        told: &[
            ("/code", r#""invalid_request""#),
            ("/path", r#""items[0]""#),
            ("/request_id", r#""WFhQ3jkGliAEL6g=""#),
        ],
    },
    ApiExpectation {
        sample: "pull.rest-fresh",
        before: Before::MeterAtVersion7,
        status: 200,
        told: SNAPSHOT,
    },
    ApiExpectation {
        sample: "pull.http-fresh",
        before: Before::MeterAtVersion7,
        status: 200,
        told: SNAPSHOT,
    },
    ApiExpectation {
        sample: "pull.rest-since",
        before: Before::SixVersionsPulled,
        status: 200,
        told: SEVENTH_VERSION,
    },
    ApiExpectation {
        sample: "pull.http-since",
        before: Before::SixVersionsPulled,
        status: 200,
        told: SEVENTH_VERSION,
    },
    ApiExpectation {
        sample: "pull.rest-invalid-token",
        before: Before::Nothing,
        status: 400,
        told: &[("/code", r#""invalid_token""#), ("/status", "400")],
    },
    ApiExpectation {
        sample: "presign.rest-photo",
        before: Before::Nothing,
        status: 200,
        told: &[
            ("/method", r#""PUT""#),
            (
                "/headers",
                r#"{"content-length":"48213","content-type":"image/jpeg"}"#,
            ),
        ],
    },
    ApiExpectation {
        sample: "presign.http-checksum",
        before: Before::Nothing,
        status: 200,
        told: &[(
            "/headers/x-amz-checksum-sha256",
            r#""n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=""#,
        )],
    },
    ApiExpectation {
        sample: "presign.rest-wrong-type",
        before: Before::Nothing,
        status: 422,
        told: &[
            ("/code", r#""media_type_not_allowed""#),
            ("/path", r#""content_type""#),
        ],
    },
    ApiExpectation {
        sample: "ack.rest-token",
        before: Before::SixVersionsPulled,
        status: 200,
        told: ACKNOWLEDGED,
    },
    ApiExpectation {
        sample: "ack.http-token",
        before: Before::SixVersionsPulled,
        status: 200,
        told: ACKNOWLEDGED,
    },
    ApiExpectation {
        sample: "ack.rest-damaged-token",
        before: Before::Nothing,
        status: 400,
        told: &[("/code", r#""invalid_token""#), ("/path", r#""ack_token""#)],
    },
    ApiExpectation {
        sample: "ack.rest-devices",
        before: Before::SixVersionsAcknowledged,
        status: 200,
        told: ONE_DEVICE,
    },
    ApiExpectation {
        sample: "ack.http-devices",
        before: Before::SixVersionsAcknowledged,
        status: 200,
        told: ONE_DEVICE,
    },
    ApiExpectation {
        sample: "batches.rest-batch",
        before: Before::BatchPushedTooEarly,
        status: 200,
        told: &[
            ("/user", r#""ana""#),
            ("/device_id", r#""device-uuid-123""#),
            ("/items/0/payload", r#"{"id":"m-123","reading":42.0}"#),
            ("/results/0/code", r#""not_found""#),
            ("/results/1/status", r#""ok""#),
            ("/delivered", "false"),
        ],
    },
    ApiExpectation {
        sample: "batches.http-batch",
        before: Before::BatchPushedTooEarly,
        status: 200,
        told: &[
            ("/items/0/payload/id", r#""m-124""#),
            ("/items/1", "null"),
            ("/results/0/code", r#""not_found""#),
        ],
    },
    ApiExpectation {
        sample: "batches.rest-unknown",
        before: Before::Nothing,
        status: 404,
        told: &[("/code", r#""not_found""#)],
    },
    ApiExpectation {
        sample: "batches.rest-replay",
        before: Before::BatchPushedTooEarly,
        status: 200,
        told: REPLAYED,
    },
    ApiExpectation {
        sample: "batches.http-dry-run",
        before: Before::BatchPushedTooEarly,
        status: 200,
        told: REPLAYED,
    },
    ApiExpectation {
        sample: "pull.rest-limits",
        before: Before::Nothing,
        status: 200,
        told: LIMITS,
    },
    ApiExpectation {
        sample: "pull.http-limits",
        before: Before::Nothing,
        status: 200,
        told: LIMITS,
    },
];

const ACKNOWLEDGED: &[(&str, &str)] = &[
    ("/device_id", r#""device-uuid-123""#),
    ("/channels", r#"["tenant","user/ana"]"#),
];
const ONE_DEVICE: &[(&str, &str)] = &[
    ("/devices/0/device_id", r#""device-uuid-123""#),
    ("/devices/0/channels/0/channel", r#""tenant""#),
    ("/devices/0/channels/0/caught_up", "false"),
    ("/devices/0/channels/1/lag_seconds", "0"),
    ("/devices/1", "null"),
];
const REPLAYED: &[(&str, &str)] = &[
    ("/results/0/status", r#""conflict""#),
    ("/results/0/server_version", "7"),
    ("/results/1/status", r#""ok""#),
    ("/results/1/server_version", "1"),
];

const BOTH_CREATED: &[(&str, &str)] = &[
    (
        "/results/0/client_temp_id",
        r#""5f0c7c1e-8a4d-4a57-9f0e-2b6d1c3e4f01""#,
    ),
    ("/results/0/status", r#""ok""#),
    (
        "/results/1/client_temp_id",
        r#""8d2b6f34-1c7e-4b0a-a3d9-6e5f7a8b9c02""#,
    ),
    ("/results/1/status", r#""ok""#),
    ("/results/1/server_version", "1"),
];
const LIMITS: &[(&str, &str)] = &[
    ("/batch_items_max", "50"),
    ("/body_bytes_max", "3145728"),
    ("/retention/log_days", "30"),
];
const SNAPSHOT: &[(&str, &str)] = &[
    ("/changes/0/id", r#""m-123""#),
    ("/changes/0/action", r#""create""#),
    ("/changes/0/server_version", "7"),
    ("/has_more", "false"),
];
const SEVENTH_VERSION: &[(&str, &str)] = &[
    ("/changes/0/id", r#""m-123""#),
    ("/changes/0/action", r#""update""#),
    ("/changes/0/server_version", "7"),
    (
        "/changes/0/payload",
        r#"{"reading":50,"last_updated_by":"sys"}"#,
    ),
    ("/changes/1", "null"),
    ("/has_more", "false"),
];

/// The meter `m-123`, last written by somebody else, at version 7.
pub(super) async fn meter_at_version_7(stack: &Stack) {
    prepare(stack, &Before::MeterAtVersion7, "").await;
}

/// Brings a stack to what is before a sample; gives the sample with its placeholders filled.
async fn prepare(stack: &Stack, before: &Before, sample: &str) -> String {
    let mut device = stack.device("ana", "device-uuid-123");
    let mut batch_id = String::new();
    if matches!(before, Before::BatchPushedTooEarly) {
        let early = r#"[{"resource_type":"meter","action":"update","client_version":5,"base_version":5,"payload":{"id":"m-123","reading":42.0}},
            {"resource_type":"meter","action":"create","client_version":0,"payload":{"id":"m-124"}}]"#;
        let body = format!(r#"{{"device_id":"device-uuid-123","items":{early}}}"#);
        let pushed = stack
            .post_bytes("sync/push", Some(&device.token), body.as_bytes())
            .await
            .ok();
        batch_id = pushed["batch_id"].as_str().unwrap().to_owned();
        device.token = stack.token("acme", "boss", &["admin"], &[]);
    }
    if !matches!(before, Before::Nothing) {
        let sys = stack.device("sys", "server");
        sys.push_one(
            json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": "m-123", "reading": 44}}),
        )
        .await;
        for version in 1..7 {
            if version == 6
                && matches!(
                    before,
                    Before::SixVersionsPulled | Before::SixVersionsAcknowledged
                )
            {
                stack.settle().await;
                device.pull().await;
            }
            if version == 6 && matches!(before, Before::SixVersionsAcknowledged) {
                device.ack().await.ok();
            }
            let patch = json!({"id": "m-123", "reading": 44 + version, "last_updated_by": "sys"});
            sys.push_one(json!({"resource_type": "meter", "action": "update", "client_version": version, "payload": patch}))
                .await;
        }
        stack.settle().await;
    }
    let sample = sample
        .replace("${TOKEN}", &device.token)
        .replace("${BATCH_ID}", &batch_id);
    sample.replace("${SINCE_TOKEN}", device.since.as_str().unwrap_or_default())
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
async fn every_request_is_answered_as_expected() {
    each_request(Stack::new, run).await;
}

/// Has each request answered by `run`, over a deployment that holds what the request is about; what
/// is answered must be as expected.
pub(crate) async fn each_request(
    deployment: fn() -> Stack,
    run: impl AsyncFn(&Stack, &str, &str) -> ApiResponse,
) {
    let samples = samples();
    for ApiExpectation {
        sample,
        before,
        status,
        told,
    } in EXPECTED
    {
        let stack = deployment();
        let event = prepare(&stack, before, &samples[*sample]).await;
        assert!(!event.contains("${"), "{sample}: a placeholder is left");
        let response = run(&stack, function_of(sample), &event).await;
        assert_eq!(response.status, *status, "{sample}: {}", response.text);
        let body = response.json();
        for (place, expected) in *told {
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
async fn the_retried_batch_is_answered_as_the_first_time() {
    let stack = Stack::new();
    let event = prepare(&stack, &Before::Nothing, &samples()["push.rest-retry"]).await;
    let first = run(&stack, "push", &event).await;
    assert_eq!(run(&stack, "push", &event).await.text, first.text);
    assert_eq!(stack.rows("resources").len(), 1);
}

#[tokio::test]
async fn the_same_request_is_answered_alike_by_either_api() {
    let samples = samples();
    for (rest, http) in [
        ("push.rest-create", "push.http-create"),
        ("push.rest-create", "push.rest-base64"),
        ("push.rest-create", "push.rest-gzip"),
        ("push.rest-create", "push.rest-gzip-decompressed"),
        ("pull.rest-fresh", "pull.http-fresh"),
        ("ack.rest-devices", "ack.http-devices"),
        ("pull.rest-limits", "pull.http-limits"),
    ] {
        let mut responses = Vec::new();
        for sample in [rest, http] {
            let stack = Stack::new();
            let event = prepare(&stack, &Before::Nothing, &samples[sample]).await;
            let mut response = run(&stack, function_of(sample), &event).await.json();
            response["batch_id"].take(); // the server's own, and new each time
            responses.push(response);
        }
        assert_eq!(responses[0], responses[1], "{rest} and {http}");
    }
}

/// The samples that come through a gateway.
fn requests() -> impl Iterator<Item = (String, String)> {
    samples()
        .into_iter()
        .filter(|(sample, _)| sample.contains(".rest-") || sample.contains(".http-"))
}

/// The other way round too, the samples prove the local gateway: what it sends, AWS sends.
#[test]
fn samples_have_every_field_that_the_local_gateway_sends() {
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
        let id = event
            .pointer("/pathParameters/id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let (path, context) = if is_rest {
            ("/path", "/requestContext/path")
        } else {
            ("/rawPath", "/requestContext/http/path")
        };
        let path_sent = route.path.replace("{id}", id);
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

#[test]
fn headers_are_written_as_each_api_writes_them() {
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
