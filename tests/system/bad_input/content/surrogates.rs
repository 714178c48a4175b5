//! Unpaired surrogates, which JSON can escape and no text can contain: items and requests with them
//! are rejected, and the error names the problem.

use serde_json::Value;
use tidemark_tests::Stack;

use super::{
    super::{assert_problem, items::stack_with_meter, push_among_good},
    MERGE_START, conflict, update,
};

/// Payloads with an unpaired surrogate: leading and trailing, in keys and in values, at any depth.
const SURROGATES: [&str; 8] = [
    r#"{"\ud800":1}"#,
    r#"{"\udc00":1}"#,
    r#"{"a":{"b\ud83e":1}}"#,
    r#"{"a":[{"b":[{"\ud800\ud800":1}]}]}"#,
    r#"{"a":"\ud800"}"#,
    r#"{"a":["x\udfffy"]}"#,
    r#"{"a":"\ud800\n"}"#,
    r#"{"a":1,"a":"\ud800","a":2}"#,
];

#[track_caller]
fn assert_names_surrogate(text: &Value, what: &str) {
    let text = text.as_str().unwrap_or_default();
    assert!(
        text.contains("unpaired surrogate") && !text.contains("must be a JSON object"),
        "{what}: {text}"
    );
}

#[tokio::test]
async fn unpaired_surrogate_is_named_in_items() {
    let (stack, token) = stack_with_meter().await;
    for payload in SURROGATES {
        for action in ["create", "update", "delete"] {
            let item = format!(
                r#"{{"client_temp_id":"t","resource_type":"meter","action":"{action}","client_version":1,"payload":{payload}}}"#
            );
            let result = push_among_good(&stack, &token, &item).await;
            assert_eq!(
                (&result["status"], &result["code"]),
                (&"error".into(), &"invalid_payload".into()),
                "{item}: {result}"
            );
            assert_names_surrogate(&result["error"], &item);
        }
    }

    for (item, code) in [
        (
            update("m-1", 1, r#""a":1"#).replacen('{', r#"{"\ud800":1,"#, 1),
            "invalid_item",
        ),
        (
            update("m-1", 1, r#""a":1"#).replace("update", r"\udc00"),
            "invalid_item",
        ),
        (
            update("m-1", 1, r#""a":1"#).replacen('{', r#"{"client_temp_id":"\ud800","#, 1),
            "invalid_item",
        ),
        (update(r"m\ud800", 1, r#""a":1"#), "invalid_id"),
    ] {
        let result = push_among_good(&stack, &token, &item).await;
        assert_eq!(
            (&result["status"], &result["code"]),
            (&"error".into(), &code.into()),
            "{item}: {result}"
        );
        assert_names_surrogate(&result["error"], &item);
    }
}

#[tokio::test]
async fn unpaired_surrogate_is_named_in_requests() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    let (id, root) = conflict(&stack, &token).await;

    for payload in SURROGATES {
        let decision = format!("{MERGE_START}{payload}}}");
        let response = stack
            .post_bytes(
                &format!("conflicts/{id}/resolve"),
                Some(&root),
                decision.as_bytes(),
            )
            .await;
        assert_problem(
            &response,
            400,
            "invalid_request",
            Some("payload"),
            &decision,
        );
        assert_names_surrogate(&response.json()["detail"], &decision);
    }

    for body in [
        r#"{"\ud800":1,"device_id":"a","items":[1]}"#,
        r#"{"device_id":"\udc00","items":[1]}"#,
    ] {
        let response = stack
            .post_bytes("sync/push", Some(&token), body.as_bytes())
            .await;
        assert_eq!(response.status, 400, "{body}");
        assert_names_surrogate(&response.json()["detail"], body);
    }
}
