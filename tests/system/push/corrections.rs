//! A rejected create that its device corrects has one conflict, which the successful create
//! supersedes (§3.9).

use rstest::rstest;
use serde_json::{Value, json};
use tidemark_tests::{Device, Item, Stack, scenario};

use super::delete;

fn meter(code: &str, note: u32) -> Item {
    Item::create_as("meter", "t-1", json!({"code": code, "note": note}))
}

async fn open(stack: &Stack) -> Vec<Value> {
    let admin = scenario::admin(stack);
    stack.get("conflicts?status=open", &admin).await.ok()["conflicts"]
        .as_array()
        .expect("a list")
        .clone()
}

/// Creates meters with the codes A and B as the office, and returns Ana's phone.
async fn office(stack: &Stack) -> Device<'_> {
    let held = |id: &str, code: &str| Item::create("meter", id, json!({"code": code}));
    stack
        .device("office", "pc")
        .push(json!([held("m-a", "A"), held("m-b", "B")]))
        .await;
    stack.device("ana", "phone")
}

#[tokio::test]
async fn corrections_of_rejected_create_share_conflict() {
    let stack = Stack::new();
    let ana = office(&stack).await;
    let first = ana.push_one(meter("A", 0)).await;

    for note in 1..6 {
        let again = ana
            .push_one(meter(if note % 2 == 0 { "A" } else { "B" }, note))
            .await;
        assert_eq!(
            (&again["code"], &again["conflict_id"]),
            (&json!("unique_violation"), &first["conflict_id"]),
            "{again}"
        );
    }

    let shown = scenario::conflict(&stack, &first["conflict_id"]).await;
    assert_eq!(
        (open(&stack).await.len(), &shown["edit_count"]),
        (1, &json!(6))
    );

    // Accepting the conflict applies the last create, once its value is free.
    let office = stack.device("office", "pc");
    office.push_one(delete("m-b", 1)).await;
    let accept = json!({"resolution": "accept_client"});
    let outcome = scenario::resolve(&stack, &first["conflict_id"], &accept)
        .await
        .ok();
    assert_eq!(outcome["server_payload"], json!({"code": "B", "note": 5}));
}

/// Asserts that the conflict keeps its two edits, and that it and the audit log record what
/// resolved it.
async fn assert_superseded(stack: &Stack, id: &Value) {
    assert_eq!(open(stack).await.len(), 0);
    let shown = scenario::conflict(stack, id).await;
    assert_eq!(
        (&shown["status"], &shown["edit_count"]),
        (&json!("resolved"), &json!(2)),
        "{shown}"
    );
    assert_eq!(
        (
            &shown["outcome"]["resolution"],
            &shown["outcome"]["resolved_by"]
        ),
        (&json!("accept_server"), &json!("policy:superseded"))
    );

    let entry = &scenario::audit_entries(stack, "").await[0];
    assert_eq!(
        (&entry["conflict_id"], &entry["by"], &entry["via"]),
        (id, &json!("policy:superseded"), &json!("policy"))
    );
    assert_eq!(
        (&entry["before"], &entry["after"]["payload"]),
        (&Value::Null, &json!({"code": "free", "note": 1}))
    );
}

/// Asserts that a later resolution by an admin is rejected.
async fn assert_late_resolution_rejected(stack: &Stack, id: &Value) {
    let late = scenario::resolve(stack, id, &json!({"resolution": "accept_client"})).await;
    assert_eq!(late.json()["code"], "already_resolved", "{}", late.text);
}

/// Asserts that retries of the rejected create and of the successful one return their outcomes.
async fn assert_retries_change_nothing(ana: &Device<'_>, id: &Value) {
    let again = ana.push_one(meter("A", 0)).await;
    assert_eq!(
        (
            &again["status"],
            &again["conflict_id"],
            &again["resolution"]
        ),
        (&json!("conflict"), id, &json!("accept_server"))
    );
    let retried = ana.push_one(meter("free", 1)).await;
    assert_eq!(
        (&retried["status"], &retried["server_version"]),
        (&json!("ok"), &json!(1))
    );
}

#[tokio::test]
async fn successful_create_supersedes_its_conflict() {
    let stack = Stack::new();
    let mut ana = office(&stack).await;
    let rejected = ana.push_one(meter("A", 0)).await;
    let conflict_id = &rejected["conflict_id"];
    let edit = Item::new("meter", "update", 1)
        .base(0)
        .temp_id("t-1")
        .payload(json!({"n": 1}));
    let joined = ana.push_one(edit).await;
    assert_eq!(&joined["conflict_id"], conflict_id);

    let made = ana.push_one(meter("free", 1)).await;
    assert_eq!(
        (&made["status"], &made["server_version"]),
        (&json!("ok"), &json!(1)),
        "{made}"
    );
    assert_eq!(made["superseded_conflicts"], json!([conflict_id]));
    assert_superseded(&stack, conflict_id).await;
    assert_late_resolution_rejected(&stack, conflict_id).await;

    // Every device pulls the resolution.
    stack.settle().await;
    let changes = stack.device("ben", "tablet").pull().await;
    let change = changes
        .iter()
        .find(|change| change["id"] == made["server_id"])
        .expect("the meter");
    assert_eq!(&change["conflict"]["id"], conflict_id);

    assert_retries_change_nothing(&ana, conflict_id).await;
    ana.pull().await;
}

#[tokio::test]
async fn correction_in_the_same_batch_supersedes_too() {
    let stack = Stack::new();
    let ana = office(&stack).await;
    let results = ana
        .push(json!([meter("A", 0), meter("B", 1), meter("free", 2)]))
        .await;

    let statuses: Vec<_> = results
        .iter()
        .map(|result| result["status"].as_str().expect("text"))
        .collect();
    assert_eq!(statuses, ["conflict", "conflict", "ok"], "{results:?}");
    assert_eq!(
        results[2]["superseded_conflicts"],
        json!([results[0]["conflict_id"]])
    );
    assert_eq!(
        (open(&stack).await.len(), stack.rows("resources").len()),
        (0, 3)
    );
}

/// Builds a create of the meter `natural`.
fn create_natural(note: u64) -> Item {
    Item::create("meter", "natural", json!({"code": "A", "note": note}))
}

/// Asserts that a result is `ok` with this version.
fn assert_applied(result: &Value, version: u64, context: &str) {
    assert_eq!(
        (&result["status"], &result["server_version"]),
        (&json!("ok"), &json!(version)),
        "{context}: {result}"
    );
}

#[tokio::test]
async fn create_based_on_tombstone_revives_resource() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    for (base, note) in [(0, 1), (2, 1), (4, 2)] {
        let create = create_natural(note).base(base);
        let made = ana.push_one(create.clone()).await;
        assert_applied(&made, base + 1, "a create");
        let again = ana.push_one(create).await;
        assert_applied(&again, base + 1, "a retry is idempotent");
        assert_eq!(
            ana.push_one(delete("natural", base + 1)).await["server_version"],
            base + 2
        );
    }

    // A create that is not based on the delete may be a retry of an earlier one, so it conflicts.
    let ben = stack.device("ben", "phone");
    for stale in [
        create_natural(3),
        create_natural(3).base(0),
        create_natural(3).base(5),
        create_natural(3).base(7),
    ] {
        let stale = ben.push_one(stale).await;
        assert_eq!(
            (&stale["status"], &stale["code"], &stale["server_deleted"]),
            (&json!("conflict"), &json!("id_taken"), &json!(true))
        );
    }

    // Another device that has received the delete may create the resource too. This supersedes its
    // rejected create.
    let made = ben.push_one(create_natural(4).base(6)).await;
    assert_applied(&made, 7, "a create by another device");
    assert_eq!(
        made["superseded_conflicts"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(open(&stack).await.len(), 0);
    assert_eq!(stack.rows("unique_keys").len(), 1);
}

/// Builds a delete of the meter `natural` by a device that has not received any version of it.
fn delete_natural(version: u64) -> Item {
    Item::delete("meter", "natural", version).base(0)
}

/// Pushes the queue in one batch or item by item. Returns the server versions.
async fn push_queue(device: &Device<'_>, queue: &[Item], is_one_batch: bool) -> Vec<Value> {
    let batches = if is_one_batch {
        vec![queue.to_vec()]
    } else {
        queue.iter().map(|item| vec![item.clone()]).collect()
    };

    let mut versions = Vec::new();
    for batch in batches {
        let results = device.push(json!(batch)).await;
        versions.extend(
            results
                .iter()
                .map(|result| result["server_version"].clone()),
        );
    }
    versions
}

/// Asserts that a stale create conflicts with the deleted meter, with this code.
async fn assert_stale(device: &Device<'_>, create: Item, code: &str) {
    let stale = device.push_one(create).await;
    assert_eq!(
        (&stale["code"], &stale["server_deleted"]),
        (&json!(code), &json!(true)),
        "{stale}"
    );
}

/// A device deletes a resource with a natural id and creates it again before it pulls the delete:
/// in one batch, in separate batches, and in retries of either.
#[rstest]
#[case::in_one_batch(true)]
#[case::in_separate_batches(false)]
#[tokio::test]
async fn create_after_own_delete_revives_resource(#[case] is_one_batch: bool) {
    // The second create has the same content as the first one.
    let first = || create_natural(1).base(0);
    let queue = [
        delete_natural(1),
        create_natural(1).base(0).version(2),
        delete_natural(3),
        create_natural(2).base(0).version(4),
    ];

    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    assert_eq!(ana.push_one(first()).await["status"], "ok");
    for _ in 0..2 {
        assert_eq!(push_queue(&ana, &queue, is_one_batch).await, [2, 3, 4, 5]);
    }

    // A retry of the first create returns its version, and content that another device has not
    // received is not overwritten.
    assert_eq!(ana.push_one(first()).await["server_version"], 1);
    let row = &stack.rows("resources")[0];
    assert_eq!(
        (&row["server_version"]["N"], &row["deleted"]["BOOL"]),
        (&json!("5"), &json!(false))
    );
    assert_eq!(ana.push_one(delete_natural(5)).await["server_version"], 6);
    for (version, base) in [(7, 0), (7, 4), (0, 5)] {
        let stale = create_natural(3).version(version).base(base);
        assert_stale(&ben, stale, "id_taken").await;
    }

    // A create of the same device that may have been applied before the delete conflicts as
    // well.
    for version in [0, 4, 5] {
        let stale = create_natural(9).version(version).base(0);
        assert_stale(&ana, stale, "already_created").await;
    }
}

/// A create that revived a resource twice with the same content returns the last of its versions.
#[tokio::test]
async fn repeated_revival_returns_the_last_version() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let create = |base: u64| Item::create("meter", "natural", json!({})).base(base);
    let edits = [
        create(0),
        delete("natural", 1),
        create(2),
        delete("natural", 3),
        create(4),
    ];

    for (base, edit) in edits.into_iter().enumerate() {
        let result = ana.push_one(edit).await;
        assert_eq!(result["server_version"], base + 1, "on {base}");
    }
    assert_eq!(ana.push_one(create(4)).await["server_version"], 5);
}
