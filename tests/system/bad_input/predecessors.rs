//! What was made on a refused copy is not applied (§3.5), even when the refused item did not parse (§3.7).

use serde_json::{Value, json};
use tidemark_tests::Stack;

use super::push_text;

const FINE: &str = r#"{"resource_type":"meter","action":"update","client_version":2,"payload":{"id":"m-1","reading":9}}"#;
const OTHER: &str = r#"{"resource_type":"meter","action":"update","client_version":1,"payload":{"id":"m-2","reading":9}}"#;

/// A stack with the meters `m-1` and `m-2`, and ana's token.
async fn stack_with_meters() -> (Stack, String) {
    let stack = Stack::new();
    let creates = ["m-1", "m-2"].map(
        |id| json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": id, "reading": 1}}),
    );
    stack.device("ana", "phone").push(json!(creates)).await;
    let token = stack.token("acme", "ana", &[], &[]);
    (stack, token)
}

/// The code, or else the status, of each item's result.
async fn outcomes(stack: &Stack, token: &str, items: &[&str]) -> Vec<String> {
    let answer = push_text(stack, token, items).await.ok();
    let word = |result: &Value| result["code"].as_str().or(result["status"].as_str()).unwrap().to_owned();
    answer["results"].as_array().unwrap().iter().map(word).collect()
}

#[tokio::test]
async fn an_item_behind_one_that_did_not_parse_depends_on_it() {
    for (failed, code) in [
        (r#"{"resource_type":"meter","action":"update","client_version":-1,"payload":{"id":"m-1","reading":8}}"#, "invalid_item"),
        (r#"{"resource_type":"meter","action":"update","payload":{"id":"m-1","reading":8}}"#, "invalid_item"),
        (r#"{"resource_type":"meter","action":"upsert","client_version":1,"payload":{"id":"m-1","reading":8}}"#, "invalid_item"),
        (r#"{"resource_type":"meter","client_version":1,"payload":{"id":"m-1","reading":8}}"#, "invalid_item"),
        (r#"{"resource_type":"meter","action":5,"client_version":{},"payload":{"id":"m-1"},"base_version":"x"}"#, "invalid_item"),
        (
            r#"{"resource_type":"meter","action":"update","client_version":1,"client_temp_id":7,"payload":{"id":"m-1","reading":8}}"#,
            "invalid_item",
        ),
        (
            r#"{"resource_type":"meter","action":"update","client_version":1,"payload":{"id":"m-1","a":"\ud800"}}"#,
            "invalid_payload",
        ),
        (
            r#"{"resource_type":"meter","resource_type":"meter","action":"update","client_version":1,"payload":{"id":"m-1"}}"#,
            "invalid_item",
        ),
    ] {
        let (stack, token) = stack_with_meters().await;
        let told = outcomes(&stack, &token, &[failed, FINE, OTHER]).await;
        assert_eq!(told, [code, "depends_on_failed_item", "ok"], "{failed}");
        let stored = stack.rows("resources").into_iter().find(|row| row["sk"]["S"] == "meter#m-1").unwrap();
        assert_eq!(stored["server_version"]["N"], "1", "{failed}");
    }
}

#[tokio::test]
async fn an_item_behind_one_that_was_refused_depends_on_it() {
    let deep = format!(r#"{{"id":"m-1","a":{}{}}}"#, "[".repeat(100), "]".repeat(100));
    let large = format!(r#"{{"id":"m-1","a":"{}"}}"#, "x".repeat(400 * 1024));
    for (payload, code) in [(deep, "payload_too_deep"), (large, "payload_too_large")] {
        let (stack, token) = stack_with_meters().await;
        let failed = format!(r#"{{"resource_type":"meter","action":"update","client_version":1,"payload":{payload}}}"#);
        assert_eq!(outcomes(&stack, &token, &[&failed, FINE, OTHER]).await, [code, "depends_on_failed_item", "ok"]);
    }
}

#[tokio::test]
async fn everything_behind_a_failed_item_depends_on_it_and_what_came_before_does_not() {
    let (stack, token) = stack_with_meters().await;
    let failed = r#"{"resource_type":"meter","action":"update","client_version":"2","payload":{"id":"m-1","reading":8}}"#;
    let first = FINE.replace(r#""client_version":2"#, r#""client_version":1"#);
    let delete = r#"{"resource_type":"meter","action":"delete","client_version":4,"payload":{"id":"m-1"}}"#;
    let told = outcomes(&stack, &token, &[&first, failed, &FINE.replace('9', "10"), delete]).await;
    assert_eq!(told, ["ok", "invalid_item", "depends_on_failed_item", "depends_on_failed_item"]);
}

#[tokio::test]
async fn an_edit_of_a_create_that_failed_depends_on_it() {
    let edit = r#"{"client_temp_id":"t","resource_type":"submission","action":"update","client_version":2,"payload":{"note":1}}"#;
    for (create, code) in [
        (
            r#"{"client_temp_id":"t","resource_type":"submission","action":"create","client_version":1,"payload":{"form_id":"f"}}"#,
            "required_field_missing",
        ),
        (
            r#"{"client_temp_id":"t","resource_type":"submission","action":"create","payload":{"form_id":"f","data":{}}}"#,
            "invalid_item",
        ),
        (
            r#"{"client_temp_id":"t","resource_type":"submission","action":"create","client_version":1,"payload":[]}"#,
            "invalid_payload",
        ),
        (r#"{"client_temp_id":"t","resource_type":"submission","action":"create","client_version":1}"#, "invalid_item"),
        (
            r#"{"client_temp_id":"t","resource_type":"submission","action":"create","client_version":-1,"payload":{"id":"mine"}}"#,
            "invalid_item",
        ),
    ] {
        let stack = Stack::new();
        let token = stack.token("acme", "ana", &[], &[]);
        assert_eq!(outcomes(&stack, &token, &[create, edit]).await, [code, "depends_on_failed_item"], "{create}");
    }
}

#[tokio::test]
async fn an_edit_by_temp_id_behind_a_create_with_an_impossible_id_depends_on_it() {
    let edit = r#"{"client_temp_id":"t","resource_type":"meter","action":"update","client_version":2,"payload":{"note":1}}"#;
    for id in ["5", r#""""#, "[]"] {
        let stack = Stack::new();
        let token = stack.token("acme", "ana", &[], &[]);
        let create = format!(
            r#"{{"client_temp_id":"t","resource_type":"meter","action":"create","client_version":1,"payload":{{"id":{id}}}}}"#
        );
        assert_eq!(outcomes(&stack, &token, &[&create, edit]).await, ["invalid_id", "depends_on_failed_item"], "{create}");
    }
}

#[tokio::test]
async fn a_failed_item_in_another_channel_or_of_another_type_holds_nobody_up() {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &["north"]);
    let item = |kind: &str, channel: &str, version: &str| {
        format!(
            r#"{{"resource_type":"{kind}","channel":"{channel}","action":"create","client_version":{version},"payload":{{"id":"same","form_id":"f","data":{{}}}}}}"#
        )
    };
    let items = [
        item("meter", "tenant", "-1"),
        item("meter", "group/north", "1"),
        item("task", "tenant", "1"),
        item("meter", "user/ana", "1"),
        item("meter", "tenant", "1"),
    ];
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    assert_eq!(outcomes(&stack, &token, &items).await, ["invalid_item", "ok", "ok", "ok", "depends_on_failed_item"]);
}
