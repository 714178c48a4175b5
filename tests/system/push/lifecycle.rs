//! The push examples of the lifecycle document.

use rstest::rstest;
use serde_json::{Value, json};
use tidemark::gateway::ApiKind;
use tidemark_tests::{Item, Stack};

/// Creates the meter `m-123` and updates it to version 7.
async fn meter_at_version_7(stack: &Stack) {
    let sys = stack.device("sys", "server");
    sys.push_one(Item::create("meter", "m-123", json!({"reading": 1})))
        .await;
    for version in 1..7 {
        let patch = json!({"reading": 43 + version, "last_updated_by": "sys"});
        let result = sys
            .push_one(Item::update("meter", "m-123", version, patch))
            .await;
        assert_eq!(result["server_version"], version + 1);
    }
}

/// Returns the request of the document.
fn example() -> Value {
    let submission = json!({"form_id": "f-1", "form_version": "v2", "data": {"fieldA": "ok"}});
    json!({
        "device_id": "device-uuid-123",
        "client_sync_token": "tok_20251203_123",
        "items": [
            Item::create_as("submission", "tmp-1", submission).version(1),
            Item::update("meter", "m-123", 5, json!({"reading": 42})),
        ]
    })
}

/// Asserts the documented response: the create is applied, and the update conflicts.
fn assert_documented(response: &Value) {
    assert!(
        response["batch_id"].is_string()
            && response["processed_at"].is_string()
            && response["server_sync_token"].is_string()
    );

    let [create, update] = [0, 1].map(|at| &response["results"][at]);
    assert_eq!(
        (&create["client_temp_id"], &create["status"]),
        (&json!("tmp-1"), &json!("ok"))
    );
    assert!(
        create["server_id"]
            .as_str()
            .is_some_and(|id| id.starts_with("sub-"))
    );
    assert_eq!(
        (&update["client_temp_id"], &update["status"]),
        (&json!(null), &json!("conflict"))
    );
    assert_eq!(update["server_id"], "m-123");
    assert_eq!(
        update["error"],
        "Version mismatch: server_version=7, client_version=5"
    );
    assert_eq!(
        update["server_payload"],
        json!({"reading": 49, "last_updated_by": "sys"})
    );
}

/// Asserts that the conflict with this id is stored open, with both payloads.
fn assert_conflict_stored(stack: &Stack, id: &Value) {
    let conflicts = stack.conflicts();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(&conflicts[0]["id"]["S"], id);
    assert_eq!(conflicts[0]["client_payload"]["S"], r#"{"reading":42}"#);
    assert_eq!(
        conflicts[0]["server_payload"]["S"],
        r#"{"reading":49,"last_updated_by":"sys"}"#
    );
    assert_eq!(conflicts[0]["status"]["S"], "open");
}

#[rstest]
#[case::rest(ApiKind::Rest)]
#[case::http(ApiKind::Http)]
#[tokio::test]
async fn push_example_has_the_documented_response(#[case] api: ApiKind) {
    let stack = Stack::new().behind(api);
    meter_at_version_7(&stack).await;
    let token = stack.token("acme", "ana", &[], &[]);
    let response = stack.post("sync/push", &token, &example()).await.ok();
    assert_documented(&response);
    assert_conflict_stored(&stack, &response["results"][1]["conflict_id"]);
}

#[tokio::test]
async fn edits_of_one_phone_reach_another() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let mut ben = stack.device("ben", "tablet");
    ben.pull().await;
    let create = Item::create_as("meter", "t", json!({"code": "A-1", "reading": 1.0})).version(1);
    let made = ana.push_one(create).await;

    stack.settle().await;
    let changes = ben.pull().await;
    assert_eq!(changes.len(), 1);
    assert_eq!(
        (&changes[0]["id"], &changes[0]["action"]),
        (&made["server_id"], &json!("create"))
    );
    assert_eq!(
        changes[0]["payload"].to_string(),
        r#"{"code":"A-1","reading":1.0}"#
    );

    assert_eq!(ben.pull().await.len(), 0);
}
