//! Samples about conflicts: requests of admins through either API, and direct invocations, whose
//! event is the request itself.

use serde_json::{Value, json};
use tidemark_tests::{ApiResponse, Stack};

use super::{api, function_of, samples};

/// What a sample is answered with.
pub(super) struct ConflictsExpectation {
    pub(super) sample: &'static str,
    status: u16,
    /// Places in the answer (RFC 6901) and the JSON that stands there.
    told: &'static [(&'static str, &'static str)],
}

pub(super) const EXPECTED: &[ConflictsExpectation] = &[
    ConflictsExpectation {
        sample: "conflicts.rest-list",
        status: 200,
        told: LISTED,
    },
    ConflictsExpectation {
        sample: "conflicts.http-list",
        status: 200,
        told: LISTED,
    },
    ConflictsExpectation {
        sample: "conflicts.rest-detail",
        status: 200,
        told: &[
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
        sample: "conflicts.rest-invalid-cursor",
        status: 400,
        told: &[("/code", r#""invalid_cursor""#), ("/path", r#""cursor""#)],
    },
    ConflictsExpectation {
        sample: "conflicts.http-audit",
        status: 200,
        told: &[("/entries", "[]"), ("/next_cursor", "null")],
    },
    ConflictsExpectation {
        sample: "resolve.rest-accept-client",
        status: 200,
        told: ACCEPTED,
    },
    ConflictsExpectation {
        sample: "resolve.rest-version-changed",
        status: 409,
        told: &[
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
        told: &[
            ("/resolution", r#""manual_merge""#),
            (
                "/server_payload",
                r#"{"reading":46.0,"last_updated_by":"root"}"#,
            ),
        ],
    },
    ConflictsExpectation {
        sample: "resolve.direct-accept-client",
        status: 200,
        told: ACCEPTED,
    },
    ConflictsExpectation {
        sample: "resolve.direct-no-payload",
        status: 400,
        told: &[
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

/// The conflict of the lifecycle document's example, open; gives the sample about it with its
/// placeholders filled.
async fn prepare(stack: &Stack, sample: &str) -> String {
    api::meter_at_version_7(stack).await;
    let patch = json!({"id": "m-123", "reading": 42, "device_ts": "2025-12-22T11:00:00Z"});
    let item = json!({"resource_type": "meter", "action": "update", "client_version": 5, "payload": patch});
    let result = stack.device("ana", "device-uuid-123").push_one(item).await;
    let token = stack.token("acme", "root", &["admin"], &[]);
    sample
        .replace("${TOKEN}", &token)
        .replace("${CONFLICT_ID}", result["conflict_id"].as_str().unwrap())
}

fn check(sample: &str, told: &[(&str, &str)], response: &Value) {
    for (place, expected) in told {
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(
            response.pointer(place).unwrap_or(&Value::Null),
            &expected,
            "{sample} at {place}: {response}"
        );
    }
}

#[tokio::test]
async fn every_request_about_conflicts_is_answered_as_expected() {
    each_request(Stack::new, api::run).await;
}

/// Has each request answered by `run`, over a deployment with the conflict that it is about; what
/// is answered must be as expected.
pub(crate) async fn each_request(
    deployment: fn() -> Stack,
    run: impl AsyncFn(&Stack, &str, &str) -> ApiResponse,
) {
    let samples = samples();
    for ConflictsExpectation {
        sample,
        status,
        told,
    } in EXPECTED.iter().filter(|it| !it.sample.contains(".direct-"))
    {
        let stack = deployment();
        let event = prepare(&stack, &samples[*sample]).await;
        assert!(!event.contains("${"), "{sample}: a placeholder is left");
        let response = run(&stack, function_of(sample), &event).await;
        assert_eq!(response.status, *status, "{sample}: {}", response.text);
        check(sample, told, &response.json());
    }
}

/// The way the deployed function gets them: whichever event it is, through the one entrance of its
/// binary.
#[tokio::test]
async fn the_resolve_function_tells_the_events_of_its_doors_apart() {
    each_decision(Stack::new, async |stack, event| {
        stack.invoke_text("resolve", event).await
    })
    .await;
}

/// Has each decision made by `invoke`, which takes an event of either door and gives the answer's
/// text.
pub(crate) async fn each_decision(
    deployment: fn() -> Stack,
    invoke: impl AsyncFn(&Stack, &str) -> String,
) {
    let samples = samples();
    for ConflictsExpectation {
        sample,
        status,
        told,
    } in EXPECTED
        .iter()
        .filter(|it| function_of(it.sample) == "resolve")
    {
        let stack = deployment();
        let event = prepare(&stack, &samples[*sample]).await;
        let response: Value = serde_json::from_str(&invoke(&stack, &event).await).unwrap();
        if sample.contains(".direct-") {
            check(sample, told, &response);
        } else {
            assert_eq!(response["statusCode"], *status, "{sample}: {response}");
            check(
                sample,
                told,
                &serde_json::from_str(response["body"].as_str().unwrap()).unwrap(),
            );
        }
    }
}
