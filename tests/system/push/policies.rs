//! The policies `client_wins` and `server_wins` (§5): a conflict is resolved immediately, stored as
//! resolved, and audited.

use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};
use tidemark::engine::http::NoHook;
use tidemark_tests::{Device, Item, Stack, scenario};

use super::{delete, stable_fields};

/// Returns a deployment whose meters have this policy.
fn stack(policy: &str) -> Stack {
    let catalog = format!(
        "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\nunique = ['code']\npolicy = '{policy}'"
    );
    Stack::configured(&[("CATALOG", &catalog)])
}

fn patch(client_version: u64, base: u64, payload: Value) -> Item {
    Item::update("meter", "m", client_version, payload).base(base)
}

fn create() -> Item {
    Item::create("meter", "m", json!({"reading": 1, "note": "new"}))
}

/// Lets ana create the meter and both devices pull it. Then ben changes it, which ana has not
/// pulled.
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

/// Asserts that both edits are applied after ben's, as versions 3 and 4.
fn assert_both_applied(results: &[Value], merged: &Value) {
    assert_eq!(
        results.iter().map(|it| &it["status"]).collect::<Vec<_>>(),
        ["ok", "ok"]
    );
    assert_eq!(
        (&results[0]["server_version"], &results[1]["server_version"]),
        (&json!(3), &json!(4))
    );
    assert_eq!(
        (&results[1]["server_payload"], &results[1]["resolution"]),
        (merged, &json!("accept_client"))
    );
}

/// Asserts that the conflict is stored as resolved by the policy, and that one audit entry has the
/// payloads before and after both edits.
async fn assert_kept_and_audited(stack: &Stack, id: &Value, merged: &Value) {
    let kept = scenario::conflict(stack, id).await;
    assert_eq!(
        (&kept["status"], &kept["outcome"]["resolution"]),
        (&json!("resolved"), &json!("accept_client"))
    );
    assert_eq!(
        (&kept["outcome"]["resolved_by"], &kept["client_payload"]),
        (&json!("policy:client_wins"), &json!({"reading": 42}))
    );
    assert_eq!(kept["server_payload"]["reading"], 50);

    let log = scenario::audit_entries(stack, "").await;
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
        (&json!(50), merged)
    );
}

/// Asserts that Ana pulls the resolution after it is sequenced, and that both devices then have the
/// same content.
async fn assert_converged(stack: &Stack, ana: &mut Device<'_>, ben: &mut Device<'_>, id: &Value) {
    assert_eq!(
        ana.pull().await[0]["server_version"],
        2,
        "ben's version, because her own are not sequenced yet"
    );
    stack.settle().await;
    let changes = ana.pull().await;
    assert_eq!(
        changes[0]["conflict"],
        json!({"id": id, "resolution": "accept_client"})
    );
    ben.pull().await;
    assert_eq!(ana.live(), ben.live());
}

#[tokio::test]
async fn client_wins_applies_and_audits_the_edit() {
    let stack = stack("client_wins");
    let (mut ana, mut ben) = prepared(&stack).await;
    let items = json!([
        patch(1, 1, json!({"reading": 42})),
        patch(2, 1, json!({"note": "seen"}))
    ]);
    let results = ana.push(items.clone()).await;
    let merged = json!({"reading": 42, "note": "seen", "by": "ben"});
    let conflict_id = &results[0]["conflict_id"];
    assert_both_applied(&results, &merged);
    assert_kept_and_audited(&stack, conflict_id, &merged).await;

    // A retry is idempotent.
    let again = ana.push(items).await;
    assert_eq!(stable_fields(&again), stable_fields(&results));
    assert_eq!(
        (
            &again[1]["server_payload"],
            stack.conflicts().len(),
            scenario::audit_entries(&stack, "").await.len()
        ),
        (&merged, 1, 1)
    );

    assert_converged(&stack, &mut ana, &mut ben, conflict_id).await;
}

#[rstest]
#[case::client_wins("client_wins", "ok", "accept_client")]
#[case::server_wins("server_wins", "conflict", "accept_server")]
#[tokio::test]
async fn policy_resolves_edit_after_rejected_create(
    #[case] policy: &str,
    #[case] status: &str,
    #[case] resolution: &str,
) {
    let stack = stack(policy);
    let (mut ana, _) = prepared(&stack).await;

    // Ana has lost the local copy, and creates the meter again from another device.
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
        scenario::conflict(&stack, &results[0]["conflict_id"]).await["status"],
        "open"
    );
    assert_eq!(
        scenario::conflict(&stack, &results[1]["conflict_id"]).await["status"],
        "resolved"
    );
}

#[tokio::test]
async fn client_wins_never_reapplies_expired_edit() {
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
async fn client_wins_leaves_deleted_resource_to_admin() {
    let stack = stack("client_wins");
    let (ana, ben) = prepared(&stack).await;
    assert_eq!(
        ana.push_one(patch(1, 90, json!({"reading": 7}))).await["status"],
        "conflict"
    );

    assert_eq!(ben.push_one(delete("m", 2)).await["status"], "ok");
    let result = ana.push_one(patch(2, 1, json!({"reading": 42}))).await;
    assert_eq!(
        (&result["status"], &result["resolution"]),
        (&json!("conflict"), &Value::Null)
    );
    assert_eq!(
        scenario::conflict(&stack, &result["conflict_id"]).await["status"],
        "open"
    );
}

/// Asserts that all edits are dropped in favor of ben's version, as one conflict.
fn assert_all_dropped(results: &[Value]) {
    for result in results {
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
}

#[tokio::test]
async fn server_wins_drops_and_audits_edits() {
    let stack = stack("server_wins");
    let (mut ana, _ben) = prepared(&stack).await;

    // An edit after a dropped one in the batch is based on a copy that the server never had.
    let items = json!([
        patch(1, 1, json!({"reading": 42})),
        patch(2, 2, json!({"note": "behind"}))
    ]);
    let results = ana.push(items.clone()).await;
    assert_all_dropped(&results);
    assert_eq!(
        stack.rows("resources")[0]["server_version"]["N"],
        "2",
        "nothing was written"
    );

    let kept = scenario::conflict(&stack, &results[0]["conflict_id"]).await;
    assert_eq!(
        (&kept["status"], &kept["outcome"]["resolved_by"]),
        (&json!("resolved"), &json!("policy:server_wins"))
    );
    assert_eq!(
        kept["client_payload"],
        json!({"reading": 42}),
        "the edit is kept"
    );
    assert_eq!(scenario::audit_entries(&stack, "").await.len(), 1);

    // A retry is idempotent.
    let again = ana.push(items).await;
    assert_eq!(stable_fields(&again), stable_fields(&results));
    assert_eq!(
        (
            stack.conflicts().len(),
            scenario::audit_entries(&stack, "").await.len()
        ),
        (1, 1)
    );

    // After the device has pulled the server's version, its edits are accepted.
    stack.settle().await;
    ana.pull().await;
    assert_eq!(
        ana.push_one(patch(2, 2, json!({"reading": 51}))).await["server_version"],
        3
    );
}

#[rstest]
#[case::client_wins("client_wins")]
#[case::server_wins("server_wins")]
#[tokio::test]
async fn conflict_without_policy_waits_for_admin(#[case] policy: &str) {
    let stack = stack(policy);
    let (ana, _ben) = prepared(&stack).await;
    let create = Item::create("meter", "m", json!({"reading": 9}));
    let result = ana.push_one(create).await;

    assert_eq!(result["code"], "already_created");
    assert_eq!(
        scenario::conflict(&stack, &result["conflict_id"]).await["status"],
        "open"
    );
}

#[tokio::test]
async fn winning_delete_needs_no_required_fields() {
    let catalog =
        "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\nrequired = ['site']\npolicy = 'client_wins'";
    let old = stack("client_wins");
    let (ana, _ben) = prepared(&old).await;
    let new = Stack::configured_over(
        old.engine.clone(),
        Arc::new(NoHook),
        &[("CATALOG", catalog)],
    );

    let result = Device::new(&new, ana.token.clone(), "phone")
        .push_one(delete("m", 1))
        .await;
    assert_eq!(
        (&result["status"], &result["resolution"]),
        (&json!("ok"), &json!("accept_client"))
    );
}

#[tokio::test]
async fn server_wins_drops_edit_of_deleted_resource() {
    let stack = stack("server_wins");
    let (ana, ben) = prepared(&stack).await;
    assert_eq!(ben.push_one(delete("m", 2)).await["status"], "ok");
    let result = ana.push_one(patch(1, 1, json!({"reading": 42}))).await;
    assert_eq!(
        (&result["resolution"], &result["server_deleted"]),
        (&json!("accept_server"), &json!(true))
    );
    assert_eq!(
        scenario::conflict(&stack, &result["conflict_id"]).await["client_payload"],
        json!({"reading": 42})
    );
}

#[rstest]
#[case::field_merge("field_merge")]
#[case::client_wins("client_wins")]
#[case::server_wins("server_wins")]
#[tokio::test]
async fn no_policy_resolves_unique_violations(#[case] policy: &str) {
    let stack = stack(policy);
    let create = |id: &str| Item::create("meter", id, json!({"code": "A"}));
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ana.push_one(create("m-1")).await;

    let behind = Item::update("meter", "m-2", 1, json!({"reading": 1})).base(0);
    let results = ben.push(json!([create("m-2"), behind])).await;

    assert_eq!(
        (&results[0]["code"], &results[0]["resolution"]),
        (&json!("unique_violation"), &Value::Null)
    );
    assert_eq!(results[1]["conflict_id"], results[0]["conflict_id"]);
    assert_eq!(
        scenario::conflict(&stack, &results[0]["conflict_id"]).await["edit_count"],
        2
    );
}
