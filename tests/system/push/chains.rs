//! A device's uninterrupted edits are accepted, and edits that are based on a rejected copy are not
//! applied (§3.4, §3.5).

use serde_json::json;
use tidemark_tests::{Item, Stack};

use super::{create, edit};

#[tokio::test]
async fn own_run_of_edits_does_not_conflict() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    // The edits are queued offline after the create: the device has received nothing, so the base
    // is 0.
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

    // Without base versions, each client version counts the preceding edits.
    for (client_version, by) in [(4, "d"), (5, "e"), (6, "f")] {
        let item = Item::update("meter", "m", client_version, json!({"by": by}));
        assert_eq!(
            ana.push_one(item).await["server_version"],
            client_version + 1
        );
    }
    assert!(stack.conflicts().is_empty());
}

#[tokio::test]
async fn items_of_one_resource_become_one_write() {
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
async fn edit_on_overwritten_base_conflicts() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ana.push_one(create("m")).await;
    ben.push_one(edit("m", 1, 1, "ben")).await;
    let result = ana.push_one(edit("m", 1, 1, "ana")).await;
    assert_eq!(
        result["error"],
        "Version mismatch: server_version=2, client_version=1"
    );

    // Another user on the same phone is another device, and so is another phone of the same user.
    for other in [stack.device("ben", "tablet"), stack.device("eva", "phone")] {
        assert_eq!(
            other.push_one(edit("m", 1, 1, "other")).await["status"],
            "conflict"
        );
    }

    // An edit based on ben's version is accepted, and it ends ben's run.
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
async fn edits_after_rejected_edit_join_its_conflict() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ana.push_one(create("m")).await;
    ben.push_one(edit("m", 1, 1, "ben")).await;

    // In the same batch, even an edit with the current base version is based on the rejected copy.
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

    // In a later batch, the base version determines the result.
    let later = ana.push_one(edit("m", 4, 1, "d")).await;
    assert_eq!(later["conflict_id"], results[0]["conflict_id"]);
    let conflicts = stack.conflicts();
    assert_eq!(
        (conflicts.len(), &conflicts[0]["edit_count"]["N"]),
        (1, &json!("4"))
    );
    assert_eq!(stack.rows("resources")[0]["server_version"]["N"], "2");

    // An edit that is based on the server's current version is accepted.
    assert_eq!(ana.push_one(edit("m", 2, 2, "seen")).await["status"], "ok");
}

#[tokio::test]
async fn base_version_ahead_of_server_conflicts() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    ana.push_one(create("m")).await;
    assert_eq!(
        ana.push_one(edit("m", 9, 9, "restored")).await["status"],
        "conflict"
    );

    let counting_first = Item::update("meter", "m", 2, json!({"by": "counted before sending"}));
    assert_eq!(
        stack.device("ben", "phone").push_one(counting_first).await["status"],
        "ok"
    );
}

#[tokio::test]
async fn conflicting_create_opens_another_conflict() {
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
async fn noop_edit_returns_unseen_content() {
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
async fn noop_edit_is_ok_without_write() {
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
async fn updates_are_merge_patches_by_either_id() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let content = json!({"a": {"x": 1, "y": 2}, "b": 1, "c": null});
    let create = Item::create_as("meter", "t-1", content).version(1);
    let made = ana.push_one(create).await;

    // The update is in a later batch, before the device knows the id.
    let by_temp_id = |temp_id: &str| Item::new("meter", "update", 1).temp_id(temp_id);
    let patch = json!({"a": {"x": null, "z": 3}, "b": null, "d": []});
    let patched = ana.push_one(by_temp_id("t-1").base(0).payload(patch)).await;
    assert_eq!(
        (&patched["server_id"], &patched["server_version"]),
        (&made["server_id"], &json!(2))
    );
    assert_eq!(
        stack.rows("resources")[0]["payload"]["S"],
        r#"{"a":{"y":2,"z":3},"c":null,"d":[]}"#
    );

    // A create with a requested id is found by its temp id within the batch.
    let results = ana
        .push(json!([
            Item::create("meter", "asked", json!({}))
                .temp_id("t-2")
                .version(1),
            by_temp_id("t-2").payload(json!({"b": 1})),
        ]))
        .await;
    assert_eq!(
        (&results[1]["server_id"], &results[1]["server_version"]),
        (&json!("asked"), &json!(2))
    );
}

#[tokio::test]
async fn second_create_under_temp_id_conflicts() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let create = |value: u64| Item::create_as("meter", "t-1", json!({"v": value})).version(1);
    let first = ana.push_one(create(1)).await;
    let second = ana.push_one(create(2)).await;
    assert_eq!(
        (&second["status"], &second["code"]),
        (&json!("conflict"), &json!("temp_id_reused"))
    );
    // Temp ids belong to a device.
    let other = stack.device("ana", "tablet").push_one(create(2)).await;
    assert_eq!(other["status"], "ok");
    assert_ne!(other["server_id"], first["server_id"]);
}

#[tokio::test]
async fn any_growing_client_version_is_accepted() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let clock = 1_764_000_000_000_u64;
    let made = create("m").version(clock);
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
        super::stable_fields(&ana.push(edits).await),
        super::stable_fields(&results),
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
async fn own_earlier_create_is_already_created() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    ana.push_one(create("m")).await;
    let other = Item::create("meter", "m", json!({"by": "other"}));

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
