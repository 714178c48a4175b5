//! §3.4, §3.5: a device's own uninterrupted edits are accepted; what was made on a refused copy is
//! not applied.

use serde_json::json;
use tidemark_tests::Stack;

use super::{create, edit};

#[tokio::test]
async fn a_device_does_not_conflict_with_its_own_run_of_edits() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    // Queued offline behind the create: nothing was received yet, so the base is 0 throughout.
    let results = ana
        .push(json!([
            create("m"),
            edit("m", 1, 0, "a"),
            edit("m", 2, 0, "b")
        ]))
        .await;
    assert_eq!(
        results
            .iter()
            .map(|it| &it["server_version"])
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(
        ana.push_one(edit("m", 3, 0, "c")).await["server_version"],
        4
    );
    // The same without base versions, each counting the edits ahead of it.
    for (client_version, by) in [(4, "d"), (5, "e"), (6, "f")] {
        let mut item = edit("m", client_version, 0, by);
        item.as_object_mut()
            .expect("an item")
            .remove("base_version");
        assert_eq!(
            ana.push_one(item).await["server_version"],
            client_version + 1
        );
    }
    assert!(stack.conflicts().is_empty());
}

#[tokio::test]
async fn several_items_on_one_resource_fold_into_one_write() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let results = ana
        .push(json!([
            create("m"),
            edit("m", 1, 0, "a"),
            edit("m", 2, 0, "a"),
            edit("m", 3, 0, "b")
        ]))
        .await;
    assert_eq!(
        results
            .iter()
            .map(|it| &it["server_version"])
            .collect::<Vec<_>>(),
        [1, 2, 2, 3],
        "the third changes nothing"
    );
    assert_eq!(stack.stream_records().len(), 1);
}

#[tokio::test]
async fn an_edit_on_a_base_that_others_wrote_over_conflicts() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ana.push_one(create("m")).await;
    ben.push_one(edit("m", 1, 1, "ben")).await;
    let result = ana.push_one(edit("m", 1, 1, "ana")).await;
    assert_eq!(
        result["error"],
        "Version mismatch: server_version=2, client_version=1"
    );
    // Two users on one handset are two devices, and so is another handset of the same user.
    for other in [stack.device("ben", "tablet"), stack.device("eva", "phone")] {
        assert_eq!(
            other.push_one(edit("m", 1, 1, "other")).await["status"],
            "conflict"
        );
    }
    // Having seen what ben wrote, ana is accepted; ben's run is broken by that.
    assert_eq!(
        ana.push_one(edit("m", 2, 2, "ana")).await["server_version"],
        3
    );
    assert_eq!(
        ben.push_one(edit("m", 2, 1, "ben again")).await["status"],
        "conflict"
    );
}

#[tokio::test]
async fn edits_behind_a_refused_one_join_its_conflict_and_are_not_applied() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ana.push_one(create("m")).await;
    ben.push_one(edit("m", 1, 1, "ben")).await;
    // In one batch: even one that claims to have seen everything was made on the refused copy.
    let results = ana
        .push(json!([
            edit("m", 1, 1, "a"),
            edit("m", 2, 1, "b"),
            edit("m", 3, 2, "c")
        ]))
        .await;
    assert!(
        results
            .iter()
            .all(|it| it["status"] == "conflict" && it["conflict_id"] == results[0]["conflict_id"])
    );
    // In a later batch the base tells.
    let later = ana.push_one(edit("m", 4, 1, "d")).await;
    assert_eq!(later["conflict_id"], results[0]["conflict_id"]);
    let conflicts = stack.conflicts();
    assert_eq!(
        (conflicts.len(), &conflicts[0]["edit_count"]["N"]),
        (1, &json!("4"))
    );
    assert_eq!(stack.rows("resources")[0]["server_version"]["N"], "2");
    // Made after pulling what refused the others, an edit is accepted.
    assert_eq!(ana.push_one(edit("m", 2, 2, "seen")).await["status"], "ok");
}

#[tokio::test]
async fn a_base_ahead_of_the_server_conflicts_and_a_client_version_ahead_does_not() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    ana.push_one(create("m")).await;
    assert_eq!(
        ana.push_one(edit("m", 9, 9, "restored")).await["status"],
        "conflict"
    );
    let mut counting_first = edit("m", 2, 0, "counted before sending");
    counting_first
        .as_object_mut()
        .expect("an item")
        .remove("base_version");
    assert_eq!(
        stack.device("ben", "phone").push_one(counting_first).await["status"],
        "ok"
    );
}

#[tokio::test]
async fn a_create_that_conflicts_opens_a_conflict_of_its_own() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ana.push_one(create("m")).await;
    ana.push_one(edit("m", 1, 1, "ana")).await;
    let stale = ben.push_one(edit("m", 1, 1, "ben")).await;
    let taken = ben.push_one(create("m")).await;
    assert_eq!(
        (&stale["code"], &taken["code"]),
        (&json!("version_mismatch"), &json!("id_taken"))
    );
    assert_ne!(stale["conflict_id"], taken["conflict_id"]);
}

#[tokio::test]
async fn an_edit_that_changes_nothing_brings_what_the_device_has_not_seen() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ana.push_one(create("m")).await;
    ana.push_one(edit("m", 1, 1, "same")).await;
    let unseen = ben.push_one(edit("m", 1, 1, "same")).await;
    assert_eq!(
        (&unseen["server_version"], &unseen["server_payload"]),
        (&json!(2), &json!({"by": "same"}))
    );
    let seen = ben.push_one(edit("m", 2, 2, "same")).await;
    assert_eq!(
        (&seen["server_version"], seen.get("server_payload")),
        (&json!(2), None)
    );
}

#[tokio::test]
async fn an_edit_that_changes_nothing_is_ok_and_writes_nothing() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ana.push_one(create("m")).await;
    ana.push_one(edit("m", 1, 1, "same")).await;
    let before = stack.rows("resources");
    let result = ben.push_one(edit("m", 1, 1, "same")).await;
    assert_eq!(
        (&result["status"], &result["server_version"]),
        (&json!("ok"), &json!(2))
    );
    assert_eq!(stack.rows("resources"), before);
}

#[tokio::test]
async fn updates_are_merge_patches_by_id_or_by_the_temp_id_of_the_create() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let made = ana
        .push_one(json!({"client_temp_id": "t-1", "resource_type": "meter", "action": "create", "client_version": 1,
        "payload": {"a": {"x": 1, "y": 2}, "b": 1, "c": null}}))
        .await;
    // In a later batch, before the device knows the id.
    let patch = json!({"client_temp_id": "t-1", "resource_type": "meter", "action": "update", "client_version": 1, "base_version": 0,
        "payload": {"a": {"x": null, "z": 3}, "b": null, "d": []}});
    let patched = ana.push_one(patch).await;
    assert_eq!(
        (&patched["server_id"], &patched["server_version"]),
        (&made["server_id"], &json!(2))
    );
    assert_eq!(
        stack.rows("resources")[0]["payload"]["S"],
        r#"{"a":{"y":2,"z":3},"c":null,"d":[]}"#
    );
    // A create that asks for an id is found by its temp id within the batch.
    let results = ana
        .push(json!([
            {"client_temp_id": "t-2", "resource_type": "meter", "action": "create", "client_version": 1, "payload": {"id": "asked"}},
            {"client_temp_id": "t-2", "resource_type": "meter", "action": "update", "client_version": 1, "payload": {"b": 1}},
        ]))
        .await;
    assert_eq!(
        (&results[1]["server_id"], &results[1]["server_version"]),
        (&json!("asked"), &json!(2))
    );
}

#[tokio::test]
async fn another_create_under_the_same_temp_id_is_a_conflict() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let create = |value: u64| json!({"client_temp_id": "t-1", "resource_type": "meter", "action": "create", "client_version": 1, "payload": {"v": value}});
    let first = ana.push_one(create(1)).await;
    let second = ana.push_one(create(2)).await;
    assert_eq!(
        (&second["status"], &second["code"]),
        (&json!("conflict"), &json!("temp_id_reused"))
    );
    // Another device's temp ids are its own.
    let other = stack.device("ana", "tablet").push_one(create(2)).await;
    assert_eq!(other["status"], "ok");
    assert_ne!(other["server_id"], first["server_id"]);
}

#[tokio::test]
async fn any_growing_client_version_is_accepted() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let clock = 1_764_000_000_000_u64;
    let mut made = create("m");
    made["client_version"] = clock.into();
    ana.push_one(made.clone()).await;
    let edits = json!([edit("m", clock + 5, 0, "a"), edit("m", clock + 17, 0, "b")]);
    let results = ana.push(edits.clone()).await;
    assert_eq!(
        results
            .iter()
            .map(|it| &it["server_version"])
            .collect::<Vec<_>>(),
        [2, 3]
    );
    assert_eq!(
        super::told(&ana.push(edits).await),
        super::told(&results),
        "a retry is idempotent"
    );
    ben.push_one(edit("m", 3, 3, "ben")).await;
    assert_eq!(
        ana.push_one(edit("m", clock + 30, 3, "stale")).await["status"],
        "conflict"
    );
    assert_eq!(
        ana.push_one(edit("m", clock + 40, 4, "seen")).await["server_version"],
        5
    );
}

#[tokio::test]
async fn own_earlier_create_is_named_as_such() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    ana.push_one(create("m")).await;
    let mut other = create("m");
    other["payload"]["by"] = "other".into();
    let result = ana.push_one(other.clone()).await;
    assert_eq!(
        (&result["status"], &result["code"]),
        (&json!("conflict"), &json!("already_created")),
        "{result}"
    );
    assert_eq!(
        (
            &result["server_version"],
            result["server_payload"].is_object()
        ),
        (&json!(1), true)
    );
    assert_eq!(
        stack.device("ana", "tablet").push_one(other).await["code"],
        "id_taken"
    );
}
