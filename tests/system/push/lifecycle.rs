//! The examples of the lifecycle document.

use serde_json::json;
use tidemark::gateway::ApiKind;
use tidemark_tests::Stack;

#[tokio::test]
async fn the_push_and_conflict_example_answers_in_its_shape() {
    for api in [ApiKind::Rest, ApiKind::Http] {
        let stack = Stack::new().behind(api);
        let sys = stack.device("sys", "server");
        sys.push_one(
            json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": "m-123", "reading": 1}}),
        )
        .await;
        for version in 1..7 {
            let item = json!({"resource_type": "meter", "action": "update", "client_version": version,
                "payload": {"id": "m-123", "reading": 43 + version, "last_updated_by": "sys"}});
            assert_eq!(sys.push_one(item).await["server_version"], version + 1);
        }
        let body = json!({
            "device_id": "device-uuid-123",
            "client_sync_token": "tok_20251203_123",
            "items": [
                {"client_temp_id": "tmp-1", "resource_type": "submission", "action": "create",
                 "payload": {"form_id": "f-1", "form_version": "v2", "data": {"fieldA": "ok"}}, "client_version": 1},
                {"resource_type": "meter", "action": "update", "payload": {"id": "m-123", "reading": 42}, "client_version": 5}
            ]
        });
        let response = stack
            .post("sync/push", &stack.token("acme", "ana", &[], &[]), &body)
            .await
            .ok();
        assert!(
            response["batch_id"].is_string()
                && response["processed_at"].is_string()
                && response["server_sync_token"].is_string()
        );
        let results = &response["results"];
        assert_eq!(
            (&results[0]["client_temp_id"], &results[0]["status"]),
            (&json!("tmp-1"), &json!("ok"))
        );
        assert!(
            results[0]["server_id"]
                .as_str()
                .is_some_and(|id| id.starts_with("sub-"))
        );
        assert_eq!(
            (&results[1]["client_temp_id"], &results[1]["status"]),
            (&json!(null), &json!("conflict"))
        );
        assert_eq!(results[1]["server_id"], "m-123");
        assert_eq!(
            results[1]["error"],
            "Version mismatch: server_version=7, client_version=5"
        );
        assert_eq!(
            results[1]["server_payload"],
            json!({"reading": 49, "last_updated_by": "sys"})
        );

        let conflicts = stack.conflicts();
        assert_eq!(conflicts.len(), 1);
        assert_eq!(conflicts[0]["id"]["S"], results[1]["conflict_id"]);
        assert_eq!(conflicts[0]["client_payload"]["S"], r#"{"reading":42}"#);
        assert_eq!(
            conflicts[0]["server_payload"]["S"],
            r#"{"reading":49,"last_updated_by":"sys"}"#
        );
        assert_eq!(conflicts[0]["status"]["S"], "open");
    }
}

#[tokio::test]
async fn one_phones_edits_arrive_on_another() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let mut ben = stack.device("ben", "tablet");
    ben.pull().await;
    let made = ana
        .push_one(json!({"client_temp_id": "t", "resource_type": "meter", "action": "create", "client_version": 1,
        "payload": {"code": "A-1", "reading": 1.0}}))
        .await;
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
