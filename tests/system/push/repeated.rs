//! A response never contains the content of a version that is not current, however an edit is
//! repeated (§3.6).

use rstest::rstest;
use serde_json::{Value, json};
use tidemark_tests::{
    Device, Item, Stack,
    scenario::{member_of_north, resolve},
};

use super::{create, delete, edit, stable_fields};

/// Creates the meter `m` at version 2 as ben, and pushes an edit from Ana's phone in the batch `b1`
/// that is based on version 1 and conflicts. Returns both devices and the result.
async fn conflicted(stack: &Stack) -> (Device<'_>, Device<'_>, Value) {
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ben.push(json!([create("m"), edit("m", 1, 1, "ben")])).await;
    let first = ana.push_batch("b1", &items()).await.ok()["results"][0].clone();
    assert_eq!(
        (&first["server_version"], &first["server_payload"]),
        (&json!(2), &json!({"by": "ben"}))
    );
    (ana, ben, first)
}

fn items() -> Value {
    json!([edit("m", 1, 1, "ana")])
}

/// Repeats the batch `b1` and returns its first result.
async fn again(device: &Device<'_>, items: &Value) -> Value {
    device.push_batch("b1", items).await.ok()["results"][0].clone()
}

fn assert_omitted(result: &Value) {
    let content = [result.get("server_payload"), result.get("server_deleted")];
    assert_eq!(
        (content, &result["server_payload_omitted"]),
        ([None, None], &json!(true)),
        "{result}"
    );
}

#[tokio::test]
async fn repeated_batch_omits_superseded_payload() {
    let stack = Stack::new();
    let (ana, _, first) = conflicted(&stack).await;
    resolve(
        &stack,
        &first["conflict_id"],
        &json!({"resolution": "accept_client"}),
    )
    .await
    .ok();

    let repeated = again(&ana, &items()).await;
    assert_eq!(
        stable_fields(std::slice::from_ref(&repeated)),
        stable_fields(std::slice::from_ref(&first))
    );
    assert_omitted(&repeated);
    assert_eq!(repeated["resolution"], "accept_client");
    // In another batch, the item is recognized as applied.
    let other = &ana.push_batch("b2", &items()).await.ok()["results"][0];
    assert_eq!(
        (
            &other["status"],
            &other["server_version"],
            other.get("server_payload")
        ),
        (&json!("ok"), &json!(3), None)
    );
}

#[tokio::test]
async fn repeated_batch_omits_deleted_resource() {
    let stack = Stack::new();
    let (ana, ben, _) = conflicted(&stack).await;
    ben.push_one(delete("m", 2)).await;
    let repeated = again(&ana, &items()).await;
    assert_omitted(&repeated);
    assert_eq!(repeated.get("resolution"), None);
}

#[tokio::test]
async fn repeated_batch_omits_undone_delete() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ben.push(json!([create("m"), delete("m", 1)])).await;
    let first = again(&ana, &items()).await;
    assert_eq!(
        (&first["server_deleted"], first.get("server_payload")),
        (&json!(true), None)
    );
    assert_eq!(again(&ana, &items()).await, first, "it is still deleted");

    resolve(
        &stack,
        &first["conflict_id"],
        &json!({"resolution": "manual_merge", "payload": {"by": "root"}}),
    )
    .await
    .ok();
    let repeated = again(&ana, &items()).await;
    assert_omitted(&repeated);
    assert_eq!(repeated["resolution"], "manual_merge");
}

#[tokio::test]
async fn repeated_batch_omits_resource_created_since() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let coded = |id: &str| Item::create("meter", id, json!({"code": "A"}));
    ben.push_one(coded("held")).await;
    let items = json!([coded("m")]);
    let first = again(&ana, &items).await;
    assert_eq!(
        (&first["code"], &first["server_version"]),
        (&json!("unique_violation"), &Value::Null)
    );
    let repeated = again(&ana, &items).await;
    assert_eq!(
        (
            repeated.get("server_payload_omitted"),
            repeated.get("resolution")
        ),
        (None, None),
        "the resource still does not exist"
    );

    resolve(
        &stack,
        &first["conflict_id"],
        &json!({"resolution": "manual_merge", "payload": {"code": "B"}}),
    )
    .await
    .ok();
    let repeated = again(&ana, &items).await;
    assert_omitted(&repeated);
    assert_eq!(
        (&repeated["resolution"], &repeated["server_version"]),
        (&json!("manual_merge"), &Value::Null)
    );
}

#[tokio::test]
async fn repeated_batch_restores_current_payloads() {
    let stack = Stack::new();
    let (ana, _, first) = conflicted(&stack).await;
    assert_eq!(again(&ana, &items()).await, first);
    // A resolution that keeps the server's content makes another version.
    resolve(
        &stack,
        &first["conflict_id"],
        &json!({"resolution": "accept_server"}),
    )
    .await
    .ok();
    assert_omitted(&again(&ana, &items()).await);

    let (ana, ben) = (stack.device("ana", "tablet"), stack.device("ben", "phone"));
    ben.push(json!([create("n"), edit("n", 1, 1, "same")]))
        .await;
    let items = json!([edit("n", 1, 1, "same")]);
    let unseen = again(&ana, &items).await;
    assert_eq!(
        (&unseen["status"], &unseen["server_payload"]),
        (&json!("ok"), &json!({"by": "same"}))
    );
    assert_eq!(again(&ana, &items).await, unseen);
    ben.push_one(edit("n", 2, 2, "newer")).await;
    let repeated = again(&ana, &items).await;
    assert_eq!(
        (&repeated["status"], &repeated["server_version"]),
        (&json!("ok"), &json!(2))
    );
    assert_omitted(&repeated);
}

#[tokio::test]
async fn repeated_batch_keeps_left_channel_private() {
    let stack = Stack::new();
    let item = |action: &str, version: u64, by: &str| {
        Item::new("task", action, version)
            .base(version)
            .channel("group/north")
            .payload(json!({"id": "t", "title": by, "by": by}))
    };

    let (ana, ben) = (
        member_of_north(&stack, "ana"),
        member_of_north(&stack, "ben"),
    );
    ben.push(json!([item("create", 0, "new"), item("update", 1, "ben")]))
        .await;
    let items = json!([item("update", 1, "ana")]);
    let first = again(&ana, &items).await;
    assert_eq!(
        (&first["status"], &first["server_payload"]["by"]),
        (&json!("conflict"), &json!("ben"))
    );

    let left = stack.device("ana", "phone");
    assert_omitted(&again(&left, &items).await);
}

#[rstest]
#[case::client_wins("client_wins")]
#[case::field_merge("field_merge")]
#[tokio::test]
async fn batch_omits_payloads_replaced_later(#[case] policy: &str) {
    let catalog = format!("[meter]\nchannel = 'tenant'\nid_prefix = 'm'\npolicy = '{policy}'");
    let stack = Stack::configured(&[("CATALOG", &catalog)]);
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let patch = |version: u64, fields: Value| Item::update("meter", "m", version, fields).base(1);

    ana.push_one(create("m")).await;
    ben.push_one(edit("m", 1, 1, "ben")).await;
    let items = json!([patch(1, json!({"a": 1})), patch(2, json!({"b": 2}))]);
    let results = ana.push_batch("b1", &items).await.ok()["results"].clone();
    assert_eq!(
        (&results[0]["status"], &results[0]["server_version"]),
        (&json!("ok"), &json!(3))
    );
    assert_omitted(&results[0]);

    assert_eq!(
        (&results[1]["status"], &results[1]["server_version"]),
        (&json!("ok"), &json!(4))
    );
    assert_omitted(&again(&ana, &items).await);
}

/// The response to a create is lost, another device deletes the resource, and the author pulls for
/// the first time: the snapshot does not contain the delete. An `ok` that lets the author apply its
/// create would show the resource forever.
#[tokio::test]
async fn repeated_create_of_deleted_resource_omits_payload() {
    let stack = Stack::new();
    let (mut ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let items = json!([create("m"), edit("m", 1, 0, "ana")]);
    ana.push_batch("b1", &items).await.ok();
    ben.push_one(delete("m", 2)).await;
    stack.settle().await;
    assert!(ana.pull().await.is_empty());

    for batch_id in ["b1", "b2", "b2"] {
        let response = ana.push_batch(batch_id, &items).await.ok();
        for (at, result) in response["results"]
            .as_array()
            .expect("results")
            .iter()
            .enumerate()
        {
            assert_eq!(
                (&result["status"], &result["server_version"]),
                (&json!("ok"), &json!(at + 1)),
                "{batch_id}"
            );
            assert_omitted(result);
        }
    }

    // The result of the device's own delete is not marked.
    let own = json!([create("n"), delete("n", 1)]);
    for _ in 0..2 {
        let response = ana.push_batch("b3", &own).await.ok();
        assert_eq!(
            response["results"][1].get("server_payload_omitted"),
            None,
            "{response}"
        );
    }
}
