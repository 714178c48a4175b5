//! Samples of repairs, which operators ask of `changelog` by invoking it directly.

use serde_json::{Value, json};
use tidemark_tests::Stack;

use super::samples;

/// What a sample is answered with.
pub(super) struct RepairExpectation {
    pub(super) sample: &'static str,
    /// Places in the answer (RFC 6901) and the JSON that stands there.
    told: &'static [(&'static str, &'static str)],
}

pub(super) const EXPECTED: &[RepairExpectation] = &[
    RepairExpectation {
        sample: "changelog.direct-repair",
        told: &[
            ("/looked_at", "2"),
            ("/missing", "1"),
            ("/appended", "1"),
            ("/compared/from", r#""2025-12-20T00:00:00.000Z""#),
            ("/channels/0/channel", r#""tenant""#),
            ("/next_cursor", "null"),
        ],
    },
    RepairExpectation {
        sample: "changelog.direct-misspelt",
        told: &[
            ("/status", "400"),
            ("/code", r#""invalid_request""#),
            ("/path", r#""repair.chanel""#),
        ],
    },
];

/// Two meters, one of which the stream forgot, a while ago.
async fn prepare(stack: &Stack) {
    stack.advance(chrono::Duration::hours(-1));
    for (id, is_heard) in [("m-1", true), ("m-2", false)] {
        let item = json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": id}});
        assert_eq!(
            stack.device("ana", "phone").push_one(item).await["status"],
            "ok"
        );
        if is_heard {
            stack.settle().await
        } else {
            stack.forget().await
        }
    }
    stack.advance(chrono::Duration::hours(1));
}

#[tokio::test]
async fn every_repair_is_answered_as_expected() {
    each_repair(Stack::new, async |stack, event| {
        stack.invoke_text("changelog", event).await
    })
    .await;
}

/// Has each repair made by `invoke`, which gives the answer's text, over a deployment with
/// something to repair.
pub(crate) async fn each_repair(
    deployment: fn() -> Stack,
    invoke: impl AsyncFn(&Stack, &str) -> String,
) {
    for RepairExpectation { sample, told } in EXPECTED {
        let stack = deployment();
        prepare(&stack).await;
        let response: Value =
            serde_json::from_str(&invoke(&stack, &samples()[*sample]).await).unwrap();
        for (place, expected) in *told {
            let expected: Value = serde_json::from_str(expected).unwrap();
            assert_eq!(
                response.pointer(place),
                Some(&expected),
                "{sample} at {place}: {response}"
            );
        }
    }
}
