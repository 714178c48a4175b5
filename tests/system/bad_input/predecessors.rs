//! Each item is evaluated by itself: an item that failed permanently does not block later items
//! (§3.5, §3.7), except edits of the resource that it should have created.

use rstest::rstest;
use serde_json::{Value, json};
use tidemark_tests::{Item, Stack};

use super::push_text;

const FINE: &str = r#"{"resource_type":"meter","action":"update","client_version":2,"payload":{"id":"m-1","reading":9}}"#;
const OTHER: &str = r#"{"resource_type":"meter","action":"update","client_version":1,"payload":{"id":"m-2","reading":9}}"#;

/// Returns a stack with the meters `m-1` and `m-2`, and Ana's token.
async fn stack_with_meters() -> (Stack, String) {
    let stack = Stack::new();
    let creates = ["m-1", "m-2"].map(|id| Item::create("meter", id, json!({"reading": 1})));
    stack.device("ana", "phone").push(json!(creates)).await;
    let token = stack.token("acme", "ana", &[], &[]);
    (stack, token)
}

/// Returns the code of each item's result, or the status if it has no code.
async fn outcomes(stack: &Stack, token: &str, items: &[&str]) -> Vec<String> {
    let response = push_text(stack, token, items).await.ok();
    let word = |result: &Value| {
        result["code"]
            .as_str()
            .or(result["status"].as_str())
            .unwrap()
            .to_owned()
    };
    response["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(word)
        .collect()
}

#[rstest]
#[case::negative_version(
    r#"{"resource_type":"meter","action":"update","client_version":-1,"payload":{"id":"m-1","reading":8}}"#,
    "invalid_item"
)]
#[case::missing_version(
    r#"{"resource_type":"meter","action":"update","payload":{"id":"m-1","reading":8}}"#,
    "invalid_item"
)]
#[case::unknown_action(
    r#"{"resource_type":"meter","action":"upsert","client_version":1,"payload":{"id":"m-1","reading":8}}"#,
    "invalid_item"
)]
#[case::missing_action(
    r#"{"resource_type":"meter","client_version":1,"payload":{"id":"m-1","reading":8}}"#,
    "invalid_item"
)]
#[case::malformed_fields(
    r#"{"resource_type":"meter","action":5,"client_version":{},"payload":{"id":"m-1"},"base_version":"x"}"#,
    "invalid_item"
)]
#[case::malformed_temp_id(
    r#"{"resource_type":"meter","action":"update","client_version":1,"client_temp_id":7,"payload":{"id":"m-1","reading":8}}"#,
    "invalid_item"
)]
#[case::unpaired_surrogate(
    r#"{"resource_type":"meter","action":"update","client_version":1,"payload":{"id":"m-1","a":"\ud800"}}"#,
    "invalid_payload"
)]
#[case::duplicate_field(
    r#"{"resource_type":"meter","resource_type":"meter","action":"update","client_version":1,"payload":{"id":"m-1"}}"#,
    "invalid_item"
)]
#[tokio::test]
async fn item_after_an_unparsable_one_is_applied(#[case] failed: &str, #[case] code: &str) {
    let (stack, token) = stack_with_meters().await;
    let actual = outcomes(&stack, &token, &[failed, FINE, OTHER]).await;
    assert_eq!(actual, [code, "ok", "ok"], "{failed}");

    let stored = stack
        .rows("resources")
        .into_iter()
        .find(|row| row["sk"]["S"] == "meter#m-1")
        .unwrap();
    assert_eq!(
        (&stored["server_version"]["N"], &stored["payload"]["S"]),
        (&json!("2"), &json!(r#"{"reading":9}"#)),
        "{failed}"
    );
}

#[tokio::test]
async fn item_after_a_rejected_one_is_applied() {
    let deep = format!(
        r#"{{"id":"m-1","a":{}{}}}"#,
        "[".repeat(100),
        "]".repeat(100)
    );
    let large = format!(r#"{{"id":"m-1","a":"{}"}}"#, "x".repeat(400 * 1024));

    for (payload, code) in [(deep, "payload_too_deep"), (large, "payload_too_large")] {
        let (stack, token) = stack_with_meters().await;
        let failed = format!(
            r#"{{"resource_type":"meter","action":"update","client_version":1,"payload":{payload}}}"#
        );
        assert_eq!(
            outcomes(&stack, &token, &[&failed, FINE, OTHER]).await,
            [code, "ok", "ok"]
        );
    }
}

#[tokio::test]
async fn failed_item_blocks_nothing_around_it() {
    let (stack, token) = stack_with_meters().await;
    let failed = r#"{"resource_type":"meter","action":"update","client_version":"2","payload":{"id":"m-1","reading":8}}"#;
    let first = FINE.replace(r#""client_version":2"#, r#""client_version":1"#);
    let delete =
        r#"{"resource_type":"meter","action":"delete","client_version":4,"payload":{"id":"m-1"}}"#;
    let actual = outcomes(
        &stack,
        &token,
        &[&first, failed, &FINE.replace('9', "10"), delete],
    )
    .await;
    assert_eq!(actual, ["ok", "invalid_item", "ok", "ok"]);
}

#[rstest]
#[case::missing_field(
    r#"{"client_temp_id":"t","resource_type":"submission","action":"create","client_version":1,"payload":{"form_id":"f"}}"#,
    "required_field_missing"
)]
#[case::missing_version(
    r#"{"client_temp_id":"t","resource_type":"submission","action":"create","payload":{"form_id":"f","data":{}}}"#,
    "invalid_item"
)]
#[case::list_as_payload(
    r#"{"client_temp_id":"t","resource_type":"submission","action":"create","client_version":1,"payload":[]}"#,
    "invalid_payload"
)]
#[case::missing_payload(
    r#"{"client_temp_id":"t","resource_type":"submission","action":"create","client_version":1}"#,
    "invalid_item"
)]
#[case::negative_version(
    r#"{"client_temp_id":"t","resource_type":"submission","action":"create","client_version":-1,"payload":{"id":"mine"}}"#,
    "invalid_item"
)]
#[tokio::test]
async fn edit_of_failed_create_depends_on_it(#[case] create: &str, #[case] code: &str) {
    let edit = r#"{"client_temp_id":"t","resource_type":"submission","action":"update","client_version":2,"payload":{"note":1}}"#;

    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    assert_eq!(
        outcomes(&stack, &token, &[create, edit]).await,
        [code, "depends_on_failed_item"],
        "{create}"
    );
}

#[rstest]
#[case::number("5")]
#[case::empty(r#""""#)]
#[case::list("[]")]
#[tokio::test]
async fn edit_depends_on_create_with_invalid_id(#[case] id: &str) {
    let edit = r#"{"client_temp_id":"t","resource_type":"meter","action":"update","client_version":2,"payload":{"note":1}}"#;
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    let create = format!(
        r#"{{"client_temp_id":"t","resource_type":"meter","action":"create","client_version":1,"payload":{{"id":{id}}}}}"#
    );
    assert_eq!(
        outcomes(&stack, &token, &[&create, edit]).await,
        ["invalid_id", "depends_on_failed_item"],
        "{create}"
    );
}

#[tokio::test]
async fn failed_item_blocks_no_other_resource() {
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

    assert_eq!(
        outcomes(&stack, &token, &items).await,
        ["invalid_item", "ok", "ok", "ok", "ok"],
        "a create does not depend on the failed item"
    );
}

const CREATE: &str = r#"{"resource_type":"submission","action":"create","client_version":0,"payload":{"id":"x","form_id":"f","data":{}}}"#;
const CREATE_BY_TEMP_ID: &str = r#"{"client_temp_id":"t","resource_type":"submission","action":"create","client_version":1,"payload":{"form_id":"f","data":{}}}"#;

#[rstest]
#[case::delete_of_nothing(
    r#"{"resource_type":"submission","action":"delete","client_version":0,"payload":{"id":"x"}}"#,
    "not_found",
    CREATE
)]
#[case::update_of_nothing(
    r#"{"resource_type":"submission","action":"update","client_version":0,"payload":{"id":"x","a":1}}"#,
    "not_found",
    CREATE
)]
#[case::missing_field(
    r#"{"resource_type":"submission","action":"create","client_version":0,"payload":{"id":"x"}}"#,
    "required_field_missing",
    CREATE
)]
#[case::null_field(
    r#"{"resource_type":"submission","action":"create","client_version":0,"payload":{"id":"x","form_id":null,"data":1}}"#,
    "required_field_missing",
    CREATE
)]
#[case::unknown_action(
    r#"{"resource_type":"submission","action":"erase","client_version":0,"payload":{"id":"x"}}"#,
    "invalid_item",
    CREATE
)]
#[case::missing_field_by_temp_id(
    r#"{"client_temp_id":"t","resource_type":"submission","action":"create","client_version":0,"payload":{"data":1}}"#,
    "required_field_missing",
    CREATE_BY_TEMP_ID
)]
#[case::list_by_temp_id(
    r#"{"client_temp_id":"t","resource_type":"submission","action":"create","client_version":0,"payload":[]}"#,
    "invalid_payload",
    CREATE_BY_TEMP_ID
)]
#[case::delete_by_temp_id(
    r#"{"client_temp_id":"t","resource_type":"submission","action":"delete","client_version":0}"#,
    "not_found",
    CREATE_BY_TEMP_ID
)]
#[tokio::test]
async fn create_after_a_failed_item_is_applied(
    #[case] failed: &str,
    #[case] code: &str,
    #[case] create: &str,
) {
    let stack = Stack::new();
    let token = stack.token("acme", "ana", &[], &[]);
    assert_eq!(
        outcomes(&stack, &token, &[failed, create]).await,
        [code, "ok"],
        "{failed}"
    );
    assert_eq!(
        outcomes(&stack, &token, &[create]).await,
        ["ok"],
        "{failed}: a retry is idempotent"
    );
    assert_eq!(stack.rows("resources").len(), 1);
}

#[tokio::test]
async fn missing_and_deleted_resources_report_their_version() {
    let (stack, token) = stack_with_meters().await;
    let delete = r#"{"resource_type":"meter","action":"delete","client_version":1,"base_version":1,"payload":{"id":"m-1"}}"#;
    let update = r#"{"resource_type":"meter","action":"update","client_version":2,"base_version":2,"payload":{"id":"m-1","reading":3}}"#;
    let missing = r#"{"resource_type":"meter","action":"update","client_version":1,"payload":{"id":"m-9","reading":3}}"#;

    let response = push_text(&stack, &token, &[delete, update, missing])
        .await
        .ok();
    let [deleted, not_found] = [&response["results"][1], &response["results"][2]];

    assert_eq!(
        (
            &deleted["code"],
            &deleted["server_version"],
            &deleted["server_deleted"]
        ),
        (&json!("resource_deleted"), &json!(2), &json!(true))
    );
    assert_eq!(
        (&not_found["code"], &not_found["server_version"]),
        (&json!("not_found"), &json!(0))
    );
}
