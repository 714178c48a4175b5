//! A long text in place of a name or number is never repeated at full length in a response: the
//! response stays small enough for Lambda (§3.12), its batch can be stored, and a retry is
//! idempotent (§3.6).

use serde_json::json;
use tidemark_core::model::limits::{RESPONSE_BYTES_MAX, escaped_bytes};
use tidemark_tests::{Item, Stack, noise};

use super::assert_rejected;

/// Returns texts of two megabytes: letters, which compress, noise, which hardly does, and control
/// characters, which grow sixfold in Rust's debug format.
fn long_texts() -> [(&'static str, String); 3] {
    let bytes = 2 << 20;
    [
        ("letters", "x".repeat(bytes)),
        ("noise", noise(bytes, 7)),
        ("controls", "\u{7f}".repeat(bytes)),
    ]
}

fn item() -> Item {
    Item::create_as("meter", "t", json!({"a": 1})).version(1)
}

/// Checks that an item with a long text in `field` is rejected alone, in a small response, and
/// identically if its batch is sent again.
async fn assert_short_rejection(field: &str, code: &str) {
    for (kind, text) in long_texts() {
        let stack = Stack::new();
        let ana = stack.device("ana", "phone");
        let value = match field {
            "payload" => json!({ "id": text }),
            _ => text.into(),
        };
        let items = json!([item().with(field, value), item().temp_id("good")]);

        let first = ana.push_batch("b", &items).await;
        assert_eq!(first.status, 200, "{field}, {kind}: the first request");
        assert_rejected(&first.json()["results"][0], code, field);
        assert_eq!(
            first.json()["results"][1]["status"],
            "ok",
            "{field}, {kind}"
        );
        let bytes = escaped_bytes(&first.text);
        assert!(
            bytes <= RESPONSE_BYTES_MAX,
            "{field}, {kind}: a response of {bytes} bytes"
        );

        let again = ana.push_batch("b", &items).await;
        assert_eq!(
            (again.status, again.text == first.text),
            (200, true),
            "{field}, {kind}: the retry"
        );
    }
}

#[tokio::test]
async fn long_type_is_rejected_briefly() {
    assert_short_rejection("resource_type", "unknown_type").await;
}

#[tokio::test]
async fn long_action_is_rejected_briefly() {
    assert_short_rejection("action", "invalid_item").await;
}

#[tokio::test]
async fn long_version_is_rejected_briefly() {
    assert_short_rejection("client_version", "invalid_item").await;
}

#[tokio::test]
async fn long_channel_is_rejected_briefly() {
    assert_short_rejection("channel", "invalid_channel").await;
}

#[tokio::test]
async fn long_temp_id_is_rejected_briefly() {
    assert_short_rejection("client_temp_id", "invalid_item").await;
}

#[tokio::test]
async fn long_id_is_rejected_briefly() {
    assert_short_rejection("payload", "invalid_id").await;
}

#[tokio::test]
async fn long_envelope_field_is_rejected_briefly() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);

    for (kind, text) in long_texts() {
        for (route, body) in [
            ("sync/push", json!({"device_id": "phone", "items": text})),
            ("sync/push", json!({"device_id": text, "items": [item()]})),
            ("sync/pull", json!({ "limit": text })),
            ("sync/pull", json!({ "since_token": text })),
        ] {
            let response = stack.post(route, &token, &body).await;
            let bytes = escaped_bytes(&response.text);
            assert!(
                response.status == 400 && bytes <= RESPONSE_BYTES_MAX,
                "{route}, {kind}: {} in {bytes} bytes",
                response.status
            );
        }
    }
}
