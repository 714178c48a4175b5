//! Samples about conflicts: requests of admins through either API, and direct invocations, in which
//! the event is the request itself.

use serde_json::{Value, json};
use tidemark_tests::{ApiResponse, Item, Stack, scenario};

use super::{api, function_of, samples};

/// The expected response to a sample.
pub(super) struct ConflictsExpectation {
    pub(super) sample: &'static str,
    status: u16,
    /// JSON pointers into the response (RFC 6901), each with the expected JSON.
    fields: &'static [(&'static str, &'static str)],
}

pub(super) const EXPECTED: &[ConflictsExpectation] = &[
    ConflictsExpectation {
        sample: "admin.rest-conflicts",
        status: 200,
        fields: LISTED,
    },
    ConflictsExpectation {
        sample: "admin.http-conflicts",
        status: 200,
        fields: LISTED,
    },
    ConflictsExpectation {
        sample: "admin.rest-conflict",
        status: 200,
        fields: &[
            ("/resource_id", r#""m-123""#),
            (
                "/server_payload",
                r#"{"reading":50,"last_updated_by":"sys"}"#,
            ),
            (
                "/client_payload",
                r#"{"reading":42,"device_ts":"2025-12-22T11:00:00Z"}"#,
            ),
            ("/joined", "[]"),
        ],
    },
    ConflictsExpectation {
        sample: "admin.rest-invalid-cursor",
        status: 400,
        fields: &[("/code", r#""invalid_cursor""#), ("/path", r#""cursor""#)],
    },
    ConflictsExpectation {
        sample: "admin.http-audit",
        status: 200,
        fields: &[("/entries", "[]"), ("/next_cursor", "null")],
    },
    ConflictsExpectation {
        sample: "resolve.rest-accept-client",
        status: 200,
        fields: ACCEPTED,
    },
    ConflictsExpectation {
        sample: "resolve.rest-version-changed",
        status: 409,
        fields: &[
            ("/code", r#""version_changed""#),
            ("/server_version", "7"),
            (
                "/server_payload",
                r#"{"reading":50,"last_updated_by":"sys"}"#,
            ),
        ],
    },
    ConflictsExpectation {
        sample: "resolve.http-manual-merge",
        status: 200,
        fields: &[
            ("/resolution", r#""manual_merge""#),
            (
                "/server_payload",
                r#"{"reading":46.0,"last_updated_by":"root"}"#,
            ),
        ],
    },
    ConflictsExpectation {
        sample: "resolve.http-field-pick",
        status: 200,
        fields: &[
            ("/resolution", r#""manual_merge""#),
            (
                "/server_payload",
                r#"{"reading":42,"last_updated_by":"sys","inspected":46.0}"#,
            ),
        ],
    },
    ConflictsExpectation {
        sample: "resolve.rest-bulk",
        status: 200,
        fields: &[
            ("/results/0/status", r#""resolved""#),
            ("/results/0/server_version", "8"),
            ("/results/1/status", r#""rejected""#),
            ("/results/1/problem/code", r#""not_found""#),
        ],
    },
    ConflictsExpectation {
        sample: "resolve.direct-accept-client",
        status: 200,
        fields: ACCEPTED,
    },
    ConflictsExpectation {
        sample: "resolve.direct-no-payload",
        status: 400,
        fields: &[
            ("/status", "400"),
            ("/code", r#""invalid_request""#),
            ("/path", r#""payload""#),
        ],
    },
];

const LISTED: &[(&str, &str)] = &[
    ("/conflicts/0/resource_id", r#""m-123""#),
    ("/conflicts/0/status", r#""open""#),
    ("/conflicts/1", "null"),
    ("/next_cursor", "null"),
];
const ACCEPTED: &[(&str, &str)] = &[
    ("/status", r#""resolved""#),
    ("/resolution", r#""accept_client""#),
    ("/server_version", "8"),
    (
        "/server_payload",
        r#"{"reading":42,"last_updated_by":"sys","device_ts":"2025-12-22T11:00:00Z"}"#,
    ),
];

/// Creates the open conflict of the lifecycle document's example, and returns the sample with its
/// placeholders replaced.
async fn prepare(stack: &Stack, sample: &str) -> String {
    api::meter_at_version_7(stack).await;
    let patch = json!({"reading": 42, "device_ts": "2025-12-22T11:00:00Z"});
    let item = Item::update("meter", "m-123", 5, patch);
    let result = stack.device("ana", "device-uuid-123").push_one(item).await;
    let token = scenario::admin(stack);
    sample
        .replace("${TOKEN}", &token)
        .replace("${CONFLICT_ID}", result["conflict_id"].as_str().unwrap())
}

fn check(sample: &str, fields: &[(&str, &str)], response: &Value) {
    for (place, expected) in fields {
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(
            response.pointer(place).unwrap_or(&Value::Null),
            &expected,
            "{sample} at {place}: {response}"
        );
    }
}

#[tokio::test]
async fn conflict_requests_get_expected_responses() {
    each_request(Stack::new, api::run).await;
}

/// Sends each request to `run`, with a deployment that contains its conflict, and checks the
/// response.
pub(crate) async fn each_request(
    deployment: fn() -> Stack,
    run: impl AsyncFn(&Stack, &str, &str) -> ApiResponse,
) {
    let samples = samples();
    for ConflictsExpectation {
        sample,
        status,
        fields,
    } in EXPECTED.iter().filter(|it| !it.sample.contains(".direct-"))
    {
        let stack = deployment();
        let event = prepare(&stack, &samples[*sample]).await;
        assert!(!event.contains("${"), "{sample}: a placeholder is left");

        let response = run(&stack, function_of(sample), &event).await;
        assert_eq!(response.status, *status, "{sample}: {}", response.text);
        check(sample, fields, &response.json());
    }
}

/// Sends events of both kinds through the single entry point of the deployed function's binary.
#[tokio::test]
async fn resolve_accepts_api_and_direct_events() {
    each_decision(Stack::new, async |stack, event| {
        stack.invoke_text("resolve", event).await
    })
    .await;
}

/// Makes each resolution with `invoke`, which takes an event of either kind and returns the text of
/// the response, and checks the response.
pub(crate) async fn each_decision(
    deployment: fn() -> Stack,
    invoke: impl AsyncFn(&Stack, &str) -> String,
) {
    let samples = samples();
    for ConflictsExpectation {
        sample,
        status,
        fields,
    } in EXPECTED
        .iter()
        .filter(|it| function_of(it.sample) == "resolve")
    {
        let stack = deployment();
        let event = prepare(&stack, &samples[*sample]).await;
        let response: Value = serde_json::from_str(&invoke(&stack, &event).await).unwrap();

        if sample.contains(".direct-") {
            check(sample, fields, &response);
        } else {
            assert_eq!(response["statusCode"], *status, "{sample}: {response}");
            check(
                sample,
                fields,
                &serde_json::from_str(response["body"].as_str().unwrap()).unwrap(),
            );
        }
    }
}
