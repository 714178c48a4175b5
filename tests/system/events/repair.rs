//! Samples of repairs, which operators request from `changelog` by direct invocation.

use serde_json::{Value, json};
use tidemark_tests::{Item, Stack};

use super::samples;

/// The expected response to a sample.
pub(super) struct RepairExpectation {
    pub(super) sample: &'static str,
    /// JSON pointers into the response (RFC 6901), each with the expected JSON.
    fields: &'static [(&'static str, &'static str)],
}

pub(super) const EXPECTED: &[RepairExpectation] = &[
    RepairExpectation {
        sample: "changelog.direct-repair",
        fields: &[
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
        fields: &[
            ("/status", "400"),
            ("/code", r#""invalid_request""#),
            ("/path", r#""repair.chanel""#),
        ],
    },
];

/// Creates two meters an hour ago. The stream loses the second one.
async fn prepare(stack: &Stack) {
    stack.advance(chrono::Duration::hours(-1));
    for (id, is_sequenced) in [("m-1", true), ("m-2", false)] {
        let item = Item::create("meter", id, json!({}));
        assert_eq!(
            stack.device("ana", "phone").push_one(item).await["status"],
            "ok"
        );
        if is_sequenced {
            stack.settle().await
        } else {
            stack.forget().await
        }
    }
    stack.advance(chrono::Duration::hours(1));
}

#[tokio::test]
async fn repairs_get_expected_responses() {
    each_repair(Stack::new, async |stack, event| {
        stack.invoke_text("changelog", event).await
    })
    .await;
}

/// Makes each repair with `invoke`, which returns the text of the response, on a deployment that
/// needs a repair, and checks the response.
pub(crate) async fn each_repair(
    deployment: fn() -> Stack,
    invoke: impl AsyncFn(&Stack, &str) -> String,
) {
    for RepairExpectation { sample, fields } in EXPECTED {
        let stack = deployment();
        prepare(&stack).await;
        let response: Value =
            serde_json::from_str(&invoke(&stack, &samples()[*sample]).await).unwrap();

        for (place, expected) in *fields {
            let expected: Value = serde_json::from_str(expected).unwrap();
            assert_eq!(
                response.pointer(place),
                Some(&expected),
                "{sample} at {place}: {response}"
            );
        }
    }
}
