//! The policy `field_merge` (§5): edits of different fields merge, and only overlapping edits
//! conflict.

use serde_json::{Value, json};
use tidemark_tests::{Device, Stack};

fn create() -> Value {
    json!({"resource_type": "task", "action": "create", "client_version": 0, "channel": "group/north",
        "payload": {"id": "t", "title": "read it", "status": "new", "size": 1.0}})
}

/// Builds a patch of the task that is based on `base`.
fn patch(client_version: u64, base: u64, mut payload: Value) -> Value {
    payload["id"] = "t".into();
    json!({"resource_type": "task", "action": "update", "client_version": client_version, "base_version": base,
        "channel": "group/north", "payload": payload})
}

fn device<'a>(stack: &'a Stack, user: &str) -> Device<'a> {
    Device::new(stack, stack.token("acme", user, &[], &["north"]), "phone")
}

#[tokio::test]
async fn edits_of_different_fields_merge() {
    let stack = Stack::new();
    let (mut ana, mut ben) = (device(&stack, "ana"), device(&stack, "ben"));
    ana.push_one(create()).await;
    stack.settle().await;
    ben.pull().await;
    ana.pull().await;

    ben.push_one(patch(1, 1, json!({"status": "done"}))).await;
    stack.settle().await;
    let item = patch(1, 1, json!({"title": "read it twice"}));
    let result = ana.push_one(item.clone()).await;

    assert_eq!(
        (
            &result["status"],
            &result["merged"],
            &result["server_version"]
        ),
        (&json!("ok"), &json!(true), &json!(3))
    );
    let merged = json!({"title": "read it twice", "status": "done", "size": 1.0});
    assert_eq!(
        result["server_payload"].to_string(),
        merged.to_string(),
        "a field that no edit names keeps its digits"
    );
    assert_eq!(ana.push_one(item).await, result, "a retry is idempotent");
    assert!(stack.conflicts().is_empty());

    // The device whose edit was merged pulls the outcome too, even if it pulls in between.
    assert_eq!(
        ana.pull().await[0]["server_version"],
        2,
        "ben's version, because the merged one is not sequenced yet"
    );

    stack.settle().await;
    assert_eq!(ana.pull().await.len(), 1);
    ben.pull().await;
    assert_eq!(ana.live(), ben.live());
    assert_eq!(ana.live()["t"].server_version, 3);
}

#[tokio::test]
async fn overlapping_edits_conflict() {
    let stack = Stack::new();
    let (ana, ben) = (device(&stack, "ana"), device(&stack, "ben"));
    ana.push_one(create()).await;
    ben.push_one(patch(
        1,
        1,
        json!({"status": "done", "note": "gate is locked"}),
    ))
    .await;

    let result = ana
        .push_one(patch(1, 1, json!({"status": "open", "title": "x"})))
        .await;
    assert_eq!(
        (&result["status"], &result["code"]),
        (&json!("conflict"), &json!("version_mismatch"))
    );

    assert_eq!(
        ana.push_one(patch(2, 1, json!({"title": "y"}))).await["merged"],
        true,
        "no part of it overlaps"
    );
    assert_eq!(
        ben.push_one(patch(2, 1, json!({"note": null}))).await["merged"],
        true,
        "ben's own field"
    );

    let delete = json!({"resource_type": "task", "action": "delete", "client_version": 3, "base_version": 1,
        "channel": "group/north", "payload": {"id": "t"}});
    assert_eq!(
        ana.push_one(delete).await["status"],
        "conflict",
        "a delete overlaps with everything"
    );

    let create_again = json!({"resource_type": "task", "action": "create", "client_version": 0, "channel": "group/north",
        "payload": {"id": "t"}});
    assert_eq!(
        ben.push_one(create_again).await["code"],
        "id_taken",
        "a create never merges"
    );
}

#[tokio::test]
async fn expired_edit_does_not_merge_again() {
    let stack = Stack::new();
    let (ana, ben) = (device(&stack, "ana"), device(&stack, "ben"));
    ana.push_one(create()).await;
    ben.push_one(patch(1, 1, json!({"note": "first"}))).await;
    let old = patch(1, 1, json!({"status": "a"}));
    assert_eq!(ana.push_one(old.clone()).await["merged"], true);

    // Ana continues until the edit has left the deduplication window, and restores the field's
    // first value.
    for number in 2..20 {
        ana.push_one(patch(
            number,
            1,
            json!({"status": format!("edit {number}")}),
        ))
        .await;
    }
    ana.push_one(patch(20, 1, json!({"status": "new"}))).await;
    ben.push_one(patch(2, 2, json!({"note": "last"}))).await;

    let result = ana.push_one(old).await;
    assert_eq!(result["status"], "conflict", "{result}");
    let row = &stack.rows("resources")[0];
    assert!(
        row["payload"]["S"]
            .as_str()
            .unwrap()
            .contains(r#""status":"new""#)
    );
}

/// Creates the task with a payload so large that the last one is stored apart from the row, and
/// deletes it as version 2.
async fn create_and_delete(device: &Device<'_>) {
    let mut made = create();
    made["payload"]["text"] = "x".repeat(30_000).into();
    let delete = json!({"resource_type": "task", "action": "delete", "client_version": 1, "base_version": 1, "channel": "group/north",
        "payload": {"id": "t"}});
    device.push(json!([made, delete])).await;
}

/// Restores the deleted task with a create that is based on the tombstone.
async fn restore_by_device(device: &Device<'_>) {
    let mut again = create();
    (again["base_version"], again["client_version"]) = (2.into(), 2.into());
    again["payload"] = json!({"id": "t", "title": "again"});
    assert_eq!(device.push_one(again).await["server_version"], 3);
}

/// Restores the deleted task by resolving a conflict of this device.
async fn restore_by_admin(stack: &Stack, device: &Device<'_>) {
    let conflict = device
        .push_one(patch(1, 1, json!({"status": "done"})))
        .await;
    let admin = stack.token("acme", "root", &["admin"], &[]);
    let path = format!(
        "conflicts/{}/resolve",
        conflict["conflict_id"].as_str().expect("an id")
    );
    let merge = json!({"resolution": "manual_merge", "payload": {"title": "again"}});
    stack.post(&path, &admin, &merge).await.ok();
}

/// Restoring a deleted resource counts as a write of all its fields, including absent ones: an edit
/// that is based on the tombstone conflicts.
#[tokio::test]
async fn edits_based_on_tombstone_conflict_after_restore() {
    for is_restored_by_admin in [false, true] {
        let stack = Stack::new();
        let [office, ana, ben] = ["office", "ana", "ben"].map(|user| device(&stack, user));
        create_and_delete(&office).await;
        if is_restored_by_admin {
            restore_by_admin(&stack, &ana).await;
        } else {
            restore_by_device(&ana).await;
        }

        let stale = ben.push_one(patch(2, 2, json!({"status": "done"}))).await;
        assert_eq!(
            (&stale["code"], &stale["server_version"]),
            (&json!("version_mismatch"), &json!(3)),
            "{stale}"
        );

        // After the restore, edits of different fields merge as usual.
        assert_eq!(
            office.push_one(patch(3, 3, json!({"size": 2}))).await["status"],
            "ok"
        );
        assert_eq!(
            ben.push_one(patch(3, 3, json!({"status": "done"}))).await["merged"],
            true
        );
    }
}
