//! Fidelity of payloads (§2): a payload is returned as the same JSON value, byte for byte, from the
//! snapshot and the log, after an update of another field, and as a side of a conflict. The tests
//! read responses as text, because parsing a number may change it.

use serde_json::json;
use tidemark_tests::Stack;

use super::{list, push_text, raw_items, texts};

/// Values that JSON libraries tend to change: digits, signs and exponents, the order of keys,
/// escapes, empty values.
const FIELDS: &str = concat!(
    r#""z":1.0,"big":9007199254740993,"huge":1e300,"tenth":0.1,"padded":1.50,"minus":-0,"minus_zero":-0.0,"exponent":1E+2,"#,
    r#""small":5e-324,"beyond":123456789012345678901234567890.000,"empty":"","nothing":null,"no":false,"a":{"z":{},"a":[],"":""},"#,
    r#""text":"żółć 🦀 \u00e9 \ud83e\udd80 \"\\\/\b\f\n\r\t \u0000 </script> \u2028 e\u0301","list":[1.0,null,"",[[]],{"b":1.10,"a":2}],"#,
    r#""Z":"case","ключ":1,"#,
    r#""last":0"#
);

/// Returns the texts of the payloads in the snapshot of a new device, or in the log since
/// `since_token`.
async fn pulled(stack: &Stack, since_token: Option<&str>) -> Vec<String> {
    let token = stack.token("acme", "ben", &[], &[]);
    let response = stack
        .post("sync/pull", &token, &json!({"since_token": since_token}))
        .await;
    assert_eq!(response.status, 200, "{}", response.text);
    let changes = list(&texts(&response.text)["changes"]);
    changes
        .iter()
        .map(|change| texts(change.get())["payload"].get().to_owned())
        .collect()
}

async fn since_token(stack: &Stack) -> String {
    let token = stack.token("acme", "ben", &[], &[]);
    let response = stack.post("sync/pull", &token, &json!({})).await;
    let text: String = serde_json::from_str(texts(&response.text)["next_token"].get()).unwrap();
    text
}

/// Returns a stack in which the meter `m-1` was created with [`FIELDS`], and a pull token from
/// before.
async fn stack_with_meter() -> (Stack, String) {
    let stack = Stack::new();
    let since = since_token(&stack).await;
    let item = format!(
        r#"{{"resource_type":"meter","action":"create","client_version":1,"payload":{{"id":"m-1",{FIELDS}}}}}"#
    );
    let response = push_text(&stack, &stack.token("acme", "ana", &[], &[]), &[&item])
        .await
        .ok();
    assert_eq!(response["results"][0]["status"], "ok", "{response}");
    (stack, since)
}

async fn update(stack: &Stack, user: &str, version: u64, patch: &str) -> super::RawFields {
    let item = format!(
        r#"{{"resource_type":"meter","action":"update","client_version":{version},"base_version":{version},"payload":{{"id":"m-1",{patch}}}}}"#
    );
    let response = push_text(stack, &stack.token("acme", user, &[], &[]), &[&item]).await;
    let results = list(&texts(&response.text)["results"]);
    texts(results[0].get())
}

#[tokio::test]
async fn payload_returns_unchanged_from_snapshot_and_log() {
    let (stack, since) = stack_with_meter().await;
    let expected = format!("{{{FIELDS}}}");
    assert_eq!(pulled(&stack, None).await, [expected.as_str()]);
    stack.settle().await;
    assert_eq!(pulled(&stack, Some(&since)).await, [expected.as_str()]);
}

#[tokio::test]
async fn payload_without_id_keeps_its_whitespace() {
    let stack = Stack::new();
    let since = since_token(&stack).await;
    let payload = format!("{{ {FIELDS} ,\n\t\"\\u0061bc\" : [ 1 , 2 ] }}");
    let item = format!(
        r#"{{"client_temp_id":"t","resource_type":"meter","action":"create","client_version":1,"payload":{payload}}}"#
    );
    push_text(&stack, &stack.token("acme", "ana", &[], &[]), &[&item])
        .await
        .ok();
    assert_eq!(pulled(&stack, None).await, [payload.as_str()]);
    stack.settle().await;
    assert_eq!(pulled(&stack, Some(&since)).await, [payload.as_str()]);
}

#[tokio::test]
async fn update_preserves_bytes_of_other_fields() {
    let (stack, since) = stack_with_meter().await;
    assert_eq!(
        update(&stack, "ana", 1, r#""last":2.50,"added":0.10"#).await["status"].get(),
        r#""ok""#
    );
    let expected = format!(
        r#"{{{},"added":0.10}}"#,
        FIELDS.replace(r#""last":0"#, r#""last":2.50"#)
    );
    assert_eq!(pulled(&stack, None).await, [expected.as_str()]);
    stack.settle().await;
    assert_eq!(pulled(&stack, Some(&since)).await, [expected.as_str()]);
}

#[tokio::test]
async fn merge_preserves_bytes_within_a_field() {
    let (stack, _) = stack_with_meter().await;
    update(&stack, "ana", 1, r#""a":{"a":null,"new":1.0},"z":null"#).await;
    let expected = FIELDS
        .replace(
            r#""a":{"z":{},"a":[],"":""}"#,
            r#""a":{"z":{},"":"","new":1.0}"#,
        )
        .replace(r#""z":1.0,"big""#, r#""big""#);
    assert_eq!(pulled(&stack, None).await, [format!("{{{expected}}}")]);
}

#[tokio::test]
async fn different_number_notation_is_a_change() {
    let (stack, _) = stack_with_meter().await;
    let result = update(&stack, "ana", 1, r#""z":1.00"#).await;
    assert_eq!(
        (result["status"].get(), result["server_version"].get()),
        (r#""ok""#, "2")
    );
    assert!(pulled(&stack, None).await[0].starts_with(r#"{"z":1.00,"#));
}

#[tokio::test]
async fn different_string_escape_is_no_change() {
    let (stack, _) = stack_with_meter().await;
    let result = update(
        &stack,
        "ana",
        1,
        r#""Z":"c\u0061se","a":{"":"","a":[ ],"z":{ }}"#,
    )
    .await;
    assert_eq!(
        (result["status"].get(), result["server_version"].get()),
        (r#""ok""#, "1")
    );
}

#[tokio::test]
async fn conflict_preserves_both_payloads_unchanged() {
    let (stack, _) = stack_with_meter().await;
    update(&stack, "ana", 1, r#""last":1"#).await;
    let server = format!("{{{}}}", FIELDS.replace(r#""last":0"#, r#""last":1"#));
    let patch = FIELDS.replace(r#""last":0"#, r#""last":7.70"#);
    let result = update(&stack, "ben", 1, &patch).await;
    assert_eq!(result["status"].get(), r#""conflict""#);
    assert_eq!(result["server_payload"].get(), server);

    let id = stack.conflicts()[0]["id"]["S"]
        .as_str()
        .expect("an id")
        .to_owned();
    let conflict = stack
        .get(
            &format!("conflicts/{id}"),
            &stack.token("acme", "boss", &["admin"], &[]),
        )
        .await
        .text;

    for (side, payload) in [("server", &server), ("client", &format!("{{{patch}}}"))] {
        assert!(
            conflict.contains(&format!(r#""{side}_payload":{payload}"#)),
            "{side}: {conflict}"
        );
    }

    assert_eq!(
        update(&stack, "ben", 1, &patch).await["server_payload"].get(),
        server,
        "the retry's response"
    );
}

#[tokio::test]
async fn raw_items_are_stored_unchanged() {
    let stack = Stack::new();
    let item = format!(
        r#"{{ "resource_type":"meter", "action":"create","client_version":1,"payload":{{ "id":"m-1", {FIELDS} }} }}"#
    );
    push_text(
        &stack,
        &stack.token("acme", "ana", &[], &[]),
        &[&item, "1.0"],
    )
    .await
    .ok();
    assert_eq!(raw_items(&stack), [[item.as_str(), "1.0"]]);
}
