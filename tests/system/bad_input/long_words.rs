//! What a client writes where a name or a number belongs comes back in no answer at full length:
//! the answer stays small enough for Lambda (§3.12), its batch can be stored, and a retry is
//! answered as the first time (§3.6).

use serde_json::{Value, json};
use tidemark_core::limits::{RESPONSE_BYTES_MAX, escaped_bytes};
use tidemark_tests::Stack;

use super::{Dice, assert_rejected};

/// Two megabytes of text: that compresses, that does not, and that grows sixfold wherever it is
/// written as Rust's debug output.
fn long_texts() -> [(&'static str, String); 3] {
    let bytes = 2 << 20;
    [
        ("letters", "x".repeat(bytes)),
        ("noise", Dice(7).noise(bytes).replace('\\', "/")),
        ("controls", "\u{7f}".repeat(bytes)),
    ]
}

fn item() -> Value {
    json!({"client_temp_id": "t", "resource_type": "meter", "action": "create", "client_version": 1, "payload": {"a": 1}})
}

/// The item with a long text in `field` is refused by itself, in a small answer, and again when its
/// batch is sent again.
async fn assert_response(field: &str, code: &str) {
    for (kind, text) in long_texts() {
        let stack = Stack::new();
        let ana = stack.device("ana", "phone");
        let mut long = item();
        long[field] = match field {
            "payload" => json!({ "id": text }),
            _ => text.into(),
        };
        let mut good = item();
        good["client_temp_id"] = "good".into();
        let items = json!([long, good]);
        let first = ana.push_batch("b", &items).await;
        assert_eq!(first.status, 200, "{field}, {kind}: the first time");
        assert_rejected(&first.json()["results"][0], code, field);
        assert_eq!(
            first.json()["results"][1]["status"],
            "ok",
            "{field}, {kind}"
        );
        let bytes = escaped_bytes(&first.text);
        assert!(
            bytes <= RESPONSE_BYTES_MAX,
            "{field}, {kind}: an answer of {bytes} bytes"
        );
        let again = ana.push_batch("b", &items).await;
        assert_eq!(
            (again.status, again.text == first.text),
            (200, true),
            "{field}, {kind}: the second time"
        );
    }
}

#[tokio::test]
async fn a_long_type_is_refused_in_few_words() {
    assert_response("resource_type", "unknown_type").await;
}

#[tokio::test]
async fn a_long_action_is_refused_in_few_words() {
    assert_response("action", "invalid_item").await;
}

#[tokio::test]
async fn a_long_version_is_refused_in_few_words() {
    assert_response("client_version", "invalid_item").await;
}

#[tokio::test]
async fn a_long_channel_is_refused_in_few_words() {
    assert_response("channel", "invalid_channel").await;
}

#[tokio::test]
async fn a_long_temp_id_is_refused_in_few_words() {
    assert_response("client_temp_id", "invalid_item").await;
}

#[tokio::test]
async fn a_long_id_is_refused_in_few_words() {
    assert_response("payload", "invalid_id").await;
}

#[tokio::test]
async fn a_long_word_in_an_envelope_is_refused_in_few_words() {
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
