//! The policy `field_merge` (§5): edits of different fields merge, and only overlapping edits
//! conflict.

use rstest::rstest;
use serde_json::{Value, json};
use tidemark_tests::{
    Device, Item, Stack,
    scenario::{self, member_of_north},
};

/// Builds a create of the task with this content.
fn create(payload: Value) -> Item {
    Item::create("task", "t", payload).channel("group/north")
}

/// Returns the content that the tests create.
fn content() -> Value {
    json!({"title": "read it", "status": "new", "size": 1.0})
}

/// Builds a patch of the task that is based on `base`.
fn patch(client_version: u64, base: u64, payload: Value) -> Item {
    Item::update("task", "t", client_version, payload)
        .base(base)
        .channel("group/north")
}

/// Builds a delete of the task that is based on its first version.
fn delete(client_version: u64) -> Item {
    Item::delete("task", "t", client_version)
        .base(1)
        .channel("group/north")
}

#[tokio::test]
async fn edits_of_different_fields_merge() {
    let stack = Stack::new();
    let (mut ana, mut ben) = (
        member_of_north(&stack, "ana"),
        member_of_north(&stack, "ben"),
    );
    ana.push_one(create(content())).await;
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
    let (ana, ben) = (
        member_of_north(&stack, "ana"),
        member_of_north(&stack, "ben"),
    );
    ana.push_one(create(content())).await;
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

    assert_eq!(
        ana.push_one(delete(3)).await["status"],
        "conflict",
        "a delete overlaps with everything"
    );

    assert_eq!(
        ben.push_one(create(json!({}))).await["code"],
        "id_taken",
        "a create never merges"
    );
}

#[tokio::test]
async fn expired_edit_does_not_merge_again() {
    let stack = Stack::new();
    let (ana, ben) = (
        member_of_north(&stack, "ana"),
        member_of_north(&stack, "ben"),
    );
    ana.push_one(create(content())).await;
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
    let mut payload = content();
    payload["text"] = "x".repeat(30_000).into();
    device.push(json!([create(payload), delete(1)])).await;
}

/// Restores the deleted task with a create that is based on the tombstone.
async fn restore_by_device(device: &Device<'_>) {
    let again = create(json!({"title": "again"})).version(2).base(2);
    assert_eq!(device.push_one(again).await["server_version"], 3);
}

/// Restores the deleted task by resolving a conflict of this device.
async fn restore_by_admin(stack: &Stack, device: &Device<'_>) {
    let conflict = device
        .push_one(patch(1, 1, json!({"status": "done"})))
        .await;
    let merge = json!({"resolution": "manual_merge", "payload": {"title": "again"}});
    scenario::resolve(stack, &conflict["conflict_id"], &merge)
        .await
        .ok();
}

/// Restoring a deleted resource counts as a write of all its fields, including absent ones: an edit
/// that is based on the tombstone conflicts.
#[rstest]
#[case::by_a_device(false)]
#[case::by_an_admin(true)]
#[tokio::test]
async fn edits_based_on_tombstone_conflict_after_restore(#[case] is_restored_by_admin: bool) {
    let stack = Stack::new();
    let [office, ana, ben] = ["office", "ana", "ben"].map(|user| member_of_north(&stack, user));
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
