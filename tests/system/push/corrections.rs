//! A rejected create that its device corrects has one conflict, which the successful create
//! supersedes (§3.9).

use serde_json::{Value, json};
use tidemark_tests::{Device, Stack};

fn meter(code: &str, note: u32) -> Value {
    json!({"resource_type": "meter", "action": "create", "client_temp_id": "t-1", "client_version": 0, "payload": {"code": code, "note": note}})
}

async fn conflict(stack: &Stack, id: &Value) -> Value {
    let admin = stack.token("acme", "root", &["admin"], &[]);
    stack
        .get(
            &format!("conflicts/{}", id.as_str().expect("an id")),
            &admin,
        )
        .await
        .ok()
}

async fn open(stack: &Stack) -> Vec<Value> {
    let admin = stack.token("acme", "root", &["admin"], &[]);
    stack.get("conflicts?status=open", &admin).await.ok()["conflicts"]
        .as_array()
        .expect("a list")
        .clone()
}

/// Creates meters with the codes A and B as the office, and returns Ana's phone.
async fn office(stack: &Stack) -> Device<'_> {
    let held = |id: &str, code: &str| json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": id, "code": code}});
    stack
        .device("office", "pc")
        .push(json!([held("m-a", "A"), held("m-b", "B")]))
        .await;
    stack.device("ana", "phone")
}

/// Returns the path of the resolution of a conflict.
fn resolution_of(conflict: &Value) -> String {
    format!("conflicts/{}/resolve", conflict.as_str().expect("an id"))
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

    let shown = conflict(&stack, &first["conflict_id"]).await;
    assert_eq!(
        (open(&stack).await.len(), &shown["edit_count"]),
        (1, &json!(6))
    );

    // Accepting the conflict applies the last create, once its value is free.
    let office = stack.device("office", "pc");
    office.push_one(json!({"resource_type": "meter", "action": "delete", "client_version": 1, "base_version": 1, "payload": {"id": "m-b"}})).await;
    let admin = stack.token("acme", "root", &["admin"], &[]);
    let outcome = stack
        .post(
            &resolution_of(&first["conflict_id"]),
            &admin,
            &json!({"resolution": "accept_client"}),
        )
        .await
        .ok();
    assert_eq!(outcome["server_payload"], json!({"code": "B", "note": 5}));
}

/// Asserts that the conflict keeps its two edits, and that it and the audit log record what
/// resolved it.
async fn assert_superseded(stack: &Stack, id: &Value) {
    assert_eq!(open(stack).await.len(), 0);
    let shown = conflict(stack, id).await;
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

    let admin = stack.token("acme", "root", &["admin"], &[]);
    let audit = stack.get("audit", &admin).await.ok();
    let entry = &audit["entries"][0];
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
    let admin = stack.token("acme", "root", &["admin"], &[]);
    let decision = json!({"resolution": "accept_client"});
    let late = stack.post(&resolution_of(id), &admin, &decision).await;
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
    let joined = ana.push_one(json!({"resource_type": "meter", "action": "update", "client_temp_id": "t-1", "client_version": 1, "base_version": 0, "payload": {"n": 1}})).await;
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

/// Builds a create of the meter `natural` with this base version, if any.
fn create_natural(base: Option<u64>, note: u64) -> Value {
    let mut item = json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": "natural", "code": "A", "note": note}});
    if let Some(base) = base {
        item["base_version"] = base.into();
    }
    item
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
    let delete = |base: u64| json!({"resource_type": "meter", "action": "delete", "client_version": base, "base_version": base, "payload": {"id": "natural"}});

    for (base, note) in [(0, 1), (2, 1), (4, 2)] {
        let made = ana.push_one(create_natural(Some(base), note)).await;
        assert_applied(&made, base + 1, "a create");
        let again = ana.push_one(create_natural(Some(base), note)).await;
        assert_applied(&again, base + 1, "a retry is idempotent");
        assert_eq!(
            ana.push_one(delete(base + 1)).await["server_version"],
            base + 2
        );
    }

    // A create that is not based on the delete may be a retry of an earlier one, so it conflicts.
    let ben = stack.device("ben", "phone");
    for base in [None, Some(0), Some(5), Some(7)] {
        let stale = ben.push_one(create_natural(base, 3)).await;
        assert_eq!(
            (&stale["status"], &stale["code"], &stale["server_deleted"]),
            (&json!("conflict"), &json!("id_taken"), &json!(true))
        );
    }

    // Another device that has received the delete may create the resource too. This supersedes its
    // rejected create.
    let made = ben.push_one(create_natural(Some(6), 4)).await;
    assert_applied(&made, 7, "a create by another device");
    assert_eq!(
        made["superseded_conflicts"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(open(&stack).await.len(), 0);
    assert_eq!(stack.rows("unique_keys").len(), 1);
}

/// Builds a create or delete of the meter `natural`.
fn natural(action: &str, version: u64, base: u64, note: u64) -> Value {
    let payload = if action == "delete" {
        json!({"id": "natural"})
    } else {
        json!({"id": "natural", "code": "A", "note": note})
    };
    json!({"resource_type": "meter", "action": action, "client_version": version, "base_version": base, "payload": payload})
}

/// Pushes the queue in one batch or item by item. Returns the server versions.
async fn push_queue(device: &Device<'_>, queue: &[Value], is_one_batch: bool) -> Vec<Value> {
    let batches = if is_one_batch {
        vec![queue.to_vec()]
    } else {
        queue.iter().map(|item| vec![item.clone()]).collect()
    };

    let mut versions = Vec::new();
    for batch in batches {
        let results = device.push(Value::Array(batch)).await;
        versions.extend(
            results
                .iter()
                .map(|result| result["server_version"].clone()),
        );
    }
    versions
}

/// Asserts that a stale create conflicts with the deleted meter, with this code.
async fn assert_stale(device: &Device<'_>, create: Value, code: &str) {
    let stale = device.push_one(create).await;
    assert_eq!(
        (&stale["code"], &stale["server_deleted"]),
        (&json!(code), &json!(true)),
        "{stale}"
    );
}

/// A device deletes a resource with a natural id and creates it again before it pulls the delete:
/// in one batch, in separate batches, and in retries of either.
#[tokio::test]
async fn create_after_own_delete_revives_resource() {
    // The second create has the same content as the first one.
    let first = || natural("create", 0, 0, 1);
    let queue = [
        natural("delete", 1, 0, 0),
        natural("create", 2, 0, 1),
        natural("delete", 3, 0, 0),
        natural("create", 4, 0, 2),
    ];

    for is_one_batch in [true, false] {
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
        let delete = natural("delete", 5, 0, 0);
        assert_eq!(ana.push_one(delete).await["server_version"], 6);
        for (version, base) in [(7, 0), (7, 4), (0, 5)] {
            assert_stale(&ben, natural("create", version, base, 3), "id_taken").await;
        }

        // A create of the same device that may have been applied before the delete conflicts as
        // well.
        for version in [0, 4, 5] {
            assert_stale(&ana, natural("create", version, 0, 9), "already_created").await;
        }
    }
}

/// A create that revived a resource twice with the same content returns the last of its versions.
#[tokio::test]
async fn repeated_revival_returns_the_last_version() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let item = |action: &str, base: u64| {
        let version = if action == "create" { 0 } else { base };
        json!({"resource_type": "meter", "action": action, "client_version": version, "base_version": base, "payload": {"id": "natural"}})
    };

    for (action, base) in [
        ("create", 0),
        ("delete", 1),
        ("create", 2),
        ("delete", 3),
        ("create", 4),
    ] {
        assert_eq!(
            ana.push_one(item(action, base)).await["server_version"],
            base + 1,
            "{action} on {base}"
        );
    }
    assert_eq!(ana.push_one(item("create", 4)).await["server_version"], 5);
}
