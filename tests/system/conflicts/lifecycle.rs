//! The conflict example of the lifecycle document, from detection to delivery.

use rstest::rstest;
use serde_json::json;
use tidemark::gateway::ApiKind;
use tidemark_tests::{Device, Item, Stack};

use super::{admin, audited, shown};

/// Creates the meter `m-123` at version 7 and pushes the update of the example, which conflicts.
/// Returns the conflict's id.
async fn example(stack: &Stack) -> String {
    let sys = stack.device("sys", "server");
    sys.push_one(Item::create("meter", "m-123", json!({"reading": 44})))
        .await;

    for version in 1..7 {
        let patch = json!({"reading": 44 + version, "last_updated_by": "sys"});
        sys.push_one(Item::update("meter", "m-123", version, patch))
            .await;
    }

    let patch = json!({"reading": 42, "device_ts": "2025-12-22T11:00:00Z"});
    let result = stack
        .device("ana", "device-uuid-123")
        .push_one(Item::update("meter", "m-123", 5, patch))
        .await;
    assert_eq!(
        [&result["status"], &result["server_id"], &result["error"]],
        [
            &json!("conflict"),
            &json!("m-123"),
            &json!("Version mismatch: server_version=7, client_version=5")
        ]
    );
    result["conflict_id"].as_str().expect("an id").to_owned()
}

/// Asserts that the admin's list has the fields of the document's record.
async fn assert_listed(stack: &Stack, id: &str) {
    let list = stack.get("conflicts?status=open", &admin(stack)).await.ok();

    let record = &list["conflicts"][0];
    assert_eq!(
        [
            &record["id"],
            &record["resource_type"],
            &record["resource_id"],
            &record["server_payload"],
            &record["client_payload"]
        ],
        [
            &json!(id),
            &json!("meter"),
            &json!("m-123"),
            &json!({"reading": 50, "last_updated_by": "sys"}),
            &json!({"reading": 42, "device_ts": "2025-12-22T11:00:00Z"})
        ]
    );
    assert!(record["detected_at"].is_string());
}

/// Asserts that a device receives the result of the resolution with its next pull.
async fn assert_delivered(device: &mut Device<'_>, id: &str) {
    let changes = device.pull().await;
    let payload =
        json!({"reading": 42, "last_updated_by": "sys", "device_ts": "2025-12-22T11:00:00Z"});
    assert_eq!(
        (
            changes.len(),
            &changes[0]["payload"],
            &changes[0]["server_version"]
        ),
        (1, &payload, &json!(8))
    );
    assert_eq!(
        changes[0]["conflict"],
        json!({"id": id, "resolution": "accept_client"})
    );
}

#[rstest]
#[case::rest(ApiKind::Rest)]
#[case::http(ApiKind::Http)]
#[tokio::test]
async fn documented_conflict_runs_through_its_lifecycle(#[case] api: ApiKind) {
    let stack = Stack::new().behind(api);
    let (mut ana, mut sys) = (
        stack.device("ana", "device-uuid-123"),
        stack.device("sys", "server"),
    );
    let id = example(&stack).await;
    stack.settle().await;
    ana.pull().await;
    sys.pull().await;
    assert_listed(&stack, &id).await;

    // The request of the document resolves the conflict and makes the next version.
    let body = json!({"resolution": "accept_client"});
    let response = stack
        .post(&format!("conflicts/{id}/resolve"), &admin(&stack), &body)
        .await
        .ok();
    assert_eq!(response["server_version"], 8);

    stack.settle().await;
    for device in [&mut ana, &mut sys] {
        assert_delivered(device, &id).await;
    }

    // The outcome and the audit entry are stored.
    assert_eq!(
        shown(&stack, &id).await["outcome"]["resolution"],
        "accept_client"
    );
    let entries = audited(&stack).await;
    assert_eq!((entries.len(), &entries[0]["conflict_id"]), (1, &json!(id)));
}

#[tokio::test]
async fn documented_conflict_is_resolved_by_invocation() {
    let stack = Stack::new();
    let id = example(&stack).await;
    let event = json!({"conflict_id": id, "tenant": "acme", "resolved_by": "ops", "resolution": "accept_client"});
    assert_eq!(stack.invoke("resolve", &event).await["server_version"], 8);
    assert_eq!(audited(&stack).await[0]["via"], "invocation");
}
