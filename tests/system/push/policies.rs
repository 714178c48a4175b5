//! §5, `client_wins` and `server_wins`: decided at once, recorded as a resolved conflict, and
//! audited.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::http::NoHook;
use tidemark_tests::{Device, Stack};

/// A deployment whose meters have this policy.
fn stack(policy: &str) -> Stack {
    Stack::configured(&[("CATALOG", &catalog(policy))])
}

fn catalog(policy: &str) -> String {
    format!("[meter]\nchannel = 'tenant'\nid_prefix = 'm'\nunique = ['code']\npolicy = '{policy}'")
}

fn patch(client_version: u64, base: u64, payload: Value) -> Value {
    let mut payload = payload;
    payload["id"] = "m".into();
    json!({"resource_type": "meter", "action": "update", "client_version": client_version, "base_version": base, "payload": payload})
}

fn create() -> Value {
    json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": "m", "reading": 1, "note": "new"}})
}

/// Ana makes the meter and both have it; then ben changes it, unseen by ana.
async fn prepared(stack: &Stack) -> (Device<'_>, Device<'_>) {
    let (mut ana, mut ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ana.push_one(create()).await;
    stack.settle().await;
    ana.pull().await;
    ben.pull().await;
    ben.push_one(patch(1, 1, json!({"reading": 50, "by": "ben"})))
        .await;
    stack.settle().await;
    (ana, ben)
}

async fn audit(stack: &Stack) -> Vec<Value> {
    let admin = stack.token("acme", "root", &["admin"], &[]);
    stack.get("audit", &admin).await.ok()["entries"]
        .as_array()
        .expect("a list")
        .clone()
}

async fn conflict(stack: &Stack, id: &Value) -> Value {
    let admin = stack.token("acme", "root", &["admin"], &[]);
    stack
        .get(&format!("conflicts/{}", id.as_str().expect("text")), &admin)
        .await
        .ok()
}

#[tokio::test]
async fn where_the_client_wins_its_edit_is_applied_recorded_and_audited() {
    let stack = stack("client_wins");
    let (mut ana, mut ben) = prepared(&stack).await;
    let items = json!([
        patch(1, 1, json!({"reading": 42})),
        patch(2, 1, json!({"note": "seen"}))
    ]);
    let results = ana.push(items.clone()).await;
    assert_eq!(
        results.iter().map(|it| &it["status"]).collect::<Vec<_>>(),
        ["ok", "ok"]
    );
    assert_eq!(
        (&results[0]["server_version"], &results[1]["server_version"]),
        (&json!(3), &json!(4))
    );
    let stands = json!({"reading": 42, "note": "seen", "by": "ben"});
    assert_eq!(
        (&results[1]["server_payload"], &results[1]["resolution"]),
        (&stands, &json!("accept_client"))
    );

    // One conflict, resolved, with both edits; one entry of the log with what stood before and
    // after.
    let kept = conflict(&stack, &results[0]["conflict_id"]).await;
    assert_eq!(
        (&kept["status"], &kept["outcome"]["resolution"]),
        (&json!("resolved"), &json!("accept_client"))
    );
    assert_eq!(
        (&kept["outcome"]["resolved_by"], &kept["client_payload"]),
        (&json!("policy:client_wins"), &json!({"reading": 42}))
    );
    assert_eq!(kept["server_payload"]["reading"], 50);
    let log = audit(&stack).await;
    assert_eq!(log.len(), 1);
    assert_eq!(
        (&log[0]["by"], &log[0]["via"]),
        (&json!("policy:client_wins"), &json!("policy"))
    );
    assert_eq!(
        (
            &log[0]["before"]["payload"]["reading"],
            &log[0]["after"]["payload"]
        ),
        (&json!(50), &stands)
    );

    // A retry answers as the first time and changes nothing; both devices end with the same, and
    // are told of the decision.
    let again = ana.push(items).await;
    assert_eq!(super::told(&again), super::told(&results));
    assert_eq!(
        (
            again[1]["server_payload"].clone(),
            stack.conflicts().len(),
            audit(&stack).await.len()
        ),
        (stands, 1, 1)
    );
    assert_eq!(
        ana.pull().await[0]["server_version"],
        2,
        "ben's, for her own are not sequenced yet"
    );
    stack.settle().await;
    let changes = ana.pull().await;
    assert_eq!(
        changes[0]["conflict"],
        json!({"id": results[0]["conflict_id"], "resolution": "accept_client"})
    );
    ben.pull().await;
    assert_eq!(ana.live(), ben.live());
}

#[tokio::test]
async fn a_policy_decides_an_edit_behind_a_rejected_create() {
    for (policy, status, resolution) in [
        ("client_wins", "ok", "accept_client"),
        ("server_wins", "conflict", "accept_server"),
    ] {
        let stack = stack(policy);
        let (mut ana, _) = prepared(&stack).await;
        // Her first copy was lost with the app's data, and she has typed the meter again.
        ana.device_id = "tablet".into();
        let results = ana
            .push(json!([create(), patch(1, 0, json!({"reading": 42}))]))
            .await;
        assert_eq!(
            (&results[0]["status"], &results[0]["code"]),
            (&json!("conflict"), &json!("id_taken")),
            "{results:?}"
        );
        assert_eq!(
            (&results[1]["status"], &results[1]["resolution"]),
            (&json!(status), &json!(resolution)),
            "{results:?}"
        );
        assert_eq!(
            conflict(&stack, &results[0]["conflict_id"]).await["status"],
            "open"
        );
        assert_eq!(
            conflict(&stack, &results[1]["conflict_id"]).await["status"],
            "resolved"
        );
    }
}

#[tokio::test]
async fn where_the_client_wins_a_forgotten_edit_that_comes_again_is_not_applied_again() {
    let stack = stack("client_wins");
    let (ana, ben) = prepared(&stack).await;
    let old = patch(1, 1, json!({"reading": 42}));
    assert_eq!(ana.push_one(old.clone()).await["status"], "ok");
    for version in 3..22 {
        ben.push_one(patch(version, version, json!({"reading": 100 + version})))
            .await;
    }
    let result = ana.push_one(old).await;
    assert_eq!(result["status"], "conflict", "{result}");
    assert_eq!(result["server_payload"]["reading"], 121);
}

#[tokio::test]
async fn where_the_client_wins_a_deleted_resource_and_a_restored_one_wait_for_an_admin() {
    let stack = stack("client_wins");
    let (ana, ben) = prepared(&stack).await;
    assert_eq!(
        ana.push_one(patch(1, 90, json!({"reading": 7}))).await["status"],
        "conflict"
    );
    let delete = json!({"resource_type": "meter", "action": "delete", "client_version": 2, "base_version": 2, "payload": {"id": "m"}});
    assert_eq!(ben.push_one(delete).await["status"], "ok");
    let result = ana.push_one(patch(2, 1, json!({"reading": 42}))).await;
    assert_eq!(
        (&result["status"], &result["resolution"]),
        (&json!("conflict"), &Value::Null)
    );
    assert_eq!(
        conflict(&stack, &result["conflict_id"]).await["status"],
        "open"
    );
}

#[tokio::test]
async fn where_the_server_wins_edits_are_dropped_recorded_and_audited() {
    let stack = stack("server_wins");
    let (mut ana, _ben) = prepared(&stack).await;
    // What follows a dropped edit in the batch was made on a copy that never came to be.
    let items = json!([
        patch(1, 1, json!({"reading": 42})),
        patch(2, 2, json!({"note": "behind"}))
    ]);
    let results = ana.push(items.clone()).await;
    for result in &results {
        assert_eq!(
            (&result["status"], &result["resolution"]),
            (&json!("conflict"), &json!("accept_server"))
        );
        assert_eq!(
            result["server_payload"],
            json!({"reading": 50, "note": "new", "by": "ben"})
        );
        assert_eq!(result["conflict_id"], results[0]["conflict_id"]);
    }
    assert_eq!(
        stack.rows("resources")[0]["server_version"]["N"],
        "2",
        "nothing was written"
    );
    let kept = conflict(&stack, &results[0]["conflict_id"]).await;
    assert_eq!(
        (&kept["status"], &kept["outcome"]["resolved_by"]),
        (&json!("resolved"), &json!("policy:server_wins"))
    );
    assert_eq!(
        kept["client_payload"],
        json!({"reading": 42}),
        "what was typed is kept"
    );
    assert_eq!(audit(&stack).await.len(), 1);
    assert_eq!(super::told(&ana.push(items).await), super::told(&results));
    assert_eq!((stack.conflicts().len(), audit(&stack).await.len()), (1, 1));
    // Having taken over what the server has, the device goes on.
    stack.settle().await;
    ana.pull().await;
    assert_eq!(
        ana.push_one(patch(2, 2, json!({"reading": 51}))).await["server_version"],
        3
    );
}

#[tokio::test]
async fn a_conflict_that_no_policy_decides_waits_for_an_admin() {
    for policy in ["client_wins", "server_wins"] {
        let stack = stack(policy);
        let (ana, _ben) = prepared(&stack).await;
        let result = ana
            .push_one(
                json!({"resource_type": "meter", "action": "create", "client_version": 0,
            "payload": {"id": "m", "reading": 9}}),
            )
            .await;
        assert_eq!(result["code"], "already_created", "{policy}");
        assert_eq!(
            conflict(&stack, &result["conflict_id"]).await["status"],
            "open",
            "{policy}"
        );
    }
}

#[tokio::test]
async fn a_delete_that_wins_needs_no_fields() {
    let catalog =
        "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\nrequired = ['site']\npolicy = 'client_wins'";
    let old = stack("client_wins");
    let (ana, _ben) = prepared(&old).await;
    let new = Stack::configured_over(
        old.engine.clone(),
        Arc::new(NoHook),
        &[("CATALOG", catalog)],
    );
    let delete = json!({"resource_type": "meter", "action": "delete", "client_version": 1, "base_version": 1, "payload": {"id": "m"}});
    let result = Device::new(&new, ana.token.clone(), "phone")
        .push_one(delete)
        .await;
    assert_eq!(
        (&result["status"], &result["resolution"]),
        (&json!("ok"), &json!("accept_client"))
    );
}

#[tokio::test]
async fn where_the_server_wins_an_edit_of_a_deleted_resource_is_dropped() {
    let stack = stack("server_wins");
    let (ana, ben) = prepared(&stack).await;
    let delete = json!({"resource_type": "meter", "action": "delete", "client_version": 2, "base_version": 2, "payload": {"id": "m"}});
    assert_eq!(ben.push_one(delete).await["status"], "ok");
    let result = ana.push_one(patch(1, 1, json!({"reading": 42}))).await;
    assert_eq!(
        (&result["resolution"], &result["server_deleted"]),
        (&json!("accept_server"), &json!(true))
    );
    assert_eq!(
        conflict(&stack, &result["conflict_id"]).await["client_payload"],
        json!({"reading": 42})
    );
}

#[tokio::test]
async fn a_unique_violation_waits_for_an_admin_under_every_policy() {
    for policy in ["field_merge", "client_wins", "server_wins"] {
        let stack = stack(policy);
        let create = |id: &str| json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": id, "code": "A"}});
        let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
        ana.push_one(create("m-1")).await;
        let behind = json!({"resource_type": "meter", "action": "update", "client_version": 1, "base_version": 0,
            "payload": {"id": "m-2", "reading": 1}});
        let results = ben.push(json!([create("m-2"), behind])).await;
        assert_eq!(
            (&results[0]["code"], &results[0]["resolution"]),
            (&json!("unique_violation"), &Value::Null),
            "{policy}"
        );
        assert_eq!(
            results[1]["conflict_id"], results[0]["conflict_id"],
            "{policy}"
        );
        assert_eq!(
            conflict(&stack, &results[0]["conflict_id"]).await["edit_count"],
            2,
            "{policy}"
        );
    }
}
