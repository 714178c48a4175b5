//! §3.9: a create that was rejected and is corrected by its device: one conflict, which the create
//! that succeeds takes the place of.

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

/// The office holds the codes A and B.
async fn office(stack: &Stack) -> Device<'_> {
    let held = |id: &str, code: &str| json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": id, "code": code}});
    stack
        .device("office", "pc")
        .push(json!([held("m-a", "A"), held("m-b", "B")]))
        .await;
    stack.device("ana", "phone")
}

#[tokio::test]
async fn corrections_of_a_rejected_create_share_a_conflict() {
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
    // Accepting the conflict makes the last of them, once its value is free.
    let office = stack.device("office", "pc");
    office.push_one(json!({"resource_type": "meter", "action": "delete", "client_version": 1, "base_version": 1, "payload": {"id": "m-b"}})).await;
    let admin = stack.token("acme", "root", &["admin"], &[]);
    let path = format!(
        "conflicts/{}/resolve",
        first["conflict_id"].as_str().expect("an id")
    );
    let outcome = stack
        .post(&path, &admin, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    assert_eq!(outcome["server_payload"], json!({"code": "B", "note": 5}));
}

#[tokio::test]
async fn successful_create_supersedes_its_conflict() {
    let stack = Stack::new();
    let mut ana = office(&stack).await;
    let rejected = ana.push_one(meter("A", 0)).await;
    let joined = ana.push_one(json!({"resource_type": "meter", "action": "update", "client_temp_id": "t-1", "client_version": 1, "base_version": 0, "payload": {"n": 1}})).await;
    assert_eq!(joined["conflict_id"], rejected["conflict_id"]);
    let made = ana.push_one(meter("free", 1)).await;
    assert_eq!(
        (&made["status"], &made["server_version"]),
        (&json!("ok"), &json!(1)),
        "{made}"
    );
    assert_eq!(
        made["superseded_conflicts"],
        json!([rejected["conflict_id"]])
    );
    assert_eq!(open(&stack).await.len(), 0);
    // What was typed is kept, and who ended the conflict is recorded.
    let shown = conflict(&stack, &rejected["conflict_id"]).await;
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
        (
            &rejected["conflict_id"],
            &json!("policy:superseded"),
            &json!("policy")
        )
    );
    assert_eq!(
        (&entry["before"], &entry["after"]["payload"]),
        (&Value::Null, &json!({"code": "free", "note": 1}))
    );
    // An admin who decides it now is told so, and nothing is reverted.
    let path = format!(
        "conflicts/{}/resolve",
        rejected["conflict_id"].as_str().expect("an id")
    );
    let late = stack
        .post(&path, &admin, &json!({"resolution": "accept_client"}))
        .await;
    assert_eq!(late.json()["code"], "already_resolved", "{}", late.text);
    // Every device is told with a pull; a retry of the rejected create finds its conflict, and
    // changes nothing.
    stack.settle().await;
    let changes = stack.device("ben", "tablet").pull().await;
    let change = changes
        .iter()
        .find(|change| change["id"] == made["server_id"])
        .expect("the meter");
    assert_eq!(change["conflict"]["id"], rejected["conflict_id"]);
    let again = ana.push_one(meter("A", 0)).await;
    assert_eq!(
        (
            &again["status"],
            &again["conflict_id"],
            &again["resolution"]
        ),
        (
            &json!("conflict"),
            &rejected["conflict_id"],
            &json!("accept_server")
        )
    );
    let retried = ana.push_one(meter("free", 1)).await;
    assert_eq!(
        (&retried["status"], &retried["server_version"]),
        (&json!("ok"), &json!(1))
    );
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

#[tokio::test]
async fn create_on_a_tombstone_it_has_seen_revives() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let create = |base: Option<u64>, note: u64| {
        let mut item = json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": "natural", "code": "A", "note": note}});
        if let Some(base) = base {
            item["base_version"] = base.into();
        }
        item
    };
    let delete = |base: u64| json!({"resource_type": "meter", "action": "delete", "client_version": base, "base_version": base, "payload": {"id": "natural"}});
    for (base, note) in [(0, 1), (2, 1), (4, 2)] {
        let made = ana.push_one(create(Some(base), note)).await;
        assert_eq!(
            (&made["status"], &made["server_version"]),
            (&json!("ok"), &json!(base + 1)),
            "{made}"
        );
        let again = ana.push_one(create(Some(base), note)).await;
        assert_eq!(
            (&again["status"], &again["server_version"]),
            (&json!("ok"), &json!(base + 1)),
            "a retry is idempotent: {again}"
        );
        assert_eq!(
            ana.push_one(delete(base + 1)).await["server_version"],
            base + 2
        );
    }
    // A create that has not seen the delete may be a retry of an earlier one, and stays a conflict.
    for base in [None, Some(0), Some(5), Some(7)] {
        let stale = stack.device("ben", "phone").push_one(create(base, 3)).await;
        assert_eq!(
            (&stale["status"], &stale["code"], &stale["server_deleted"]),
            (&json!("conflict"), &json!("id_taken"), &json!(true))
        );
    }
    // Another device that has seen it may make the resource too, and takes the place of its
    // rejected create.
    let ben = stack.device("ben", "phone");
    let made = ben.push_one(create(Some(6), 4)).await;
    assert_eq!(
        (&made["status"], &made["server_version"]),
        (&json!("ok"), &json!(7)),
        "{made}"
    );
    assert_eq!(
        made["superseded_conflicts"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(open(&stack).await.len(), 0);
    assert_eq!(stack.rows("unique_keys").len(), 1);
}

/// A device deletes a resource with a natural id and creates it again before it hears of the
/// delete: in one batch, in two, and while the responses are lost.
#[tokio::test]
async fn create_behind_its_own_delete_revives() {
    let item = |action: &str, version: u64, base: u64, note: u64| {
        let payload = if action == "delete" {
            json!({"id": "natural"})
        } else {
            json!({"id": "natural", "code": "A", "note": note})
        };
        json!({"resource_type": "meter", "action": action, "client_version": version, "base_version": base, "payload": payload})
    };
    for is_one_batch in [true, false] {
        let stack = Stack::new();
        let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
        assert_eq!(ana.push_one(item("create", 0, 0, 1)).await["status"], "ok");
        // With the same content as the first create, too.
        let queue = [
            item("delete", 1, 0, 0),
            item("create", 2, 0, 1),
            item("delete", 3, 0, 0),
            item("create", 4, 0, 2),
        ];
        for _ in 0..2 {
            let versions: Vec<Value> = match is_one_batch {
                true => ana
                    .push(Value::Array(queue.to_vec()))
                    .await
                    .iter()
                    .map(|result| result["server_version"].clone())
                    .collect(),
                false => {
                    let mut versions = Vec::new();
                    for item in &queue {
                        versions.push(ana.push_one(item.clone()).await["server_version"].clone());
                    }
                    versions
                }
            };
            assert_eq!(versions, [2, 3, 4, 5]);
        }
        // A retry of the first create is answered as the first time, and what another device has
        // not seen is not overwritten.
        assert_eq!(
            ana.push_one(item("create", 0, 0, 1)).await["server_version"],
            1
        );
        let row = &stack.rows("resources")[0];
        assert_eq!(
            (&row["server_version"]["N"], &row["deleted"]["BOOL"]),
            (&json!("5"), &json!(false))
        );
        assert_eq!(
            ana.push_one(item("delete", 5, 0, 0)).await["server_version"],
            6
        );
        for (version, base) in [(7, 0), (7, 4), (0, 5)] {
            let stale = ben.push_one(item("create", version, base, 3)).await;
            assert_eq!(
                (&stale["code"], &stale["server_deleted"]),
                (&json!("id_taken"), &json!(true)),
                "{stale}"
            );
        }
        // Nor does a create of the same device revive that may have been applied before the delete.
        for version in [0, 4, 5] {
            let stale = ana.push_one(item("create", version, 0, 9)).await;
            assert_eq!(
                (&stale["code"], &stale["server_deleted"]),
                (&json!("already_created"), &json!(true)),
                "{stale}"
            );
        }
    }
}

/// What was revived twice with the same content is answered with the version it was made the last
/// time.
#[tokio::test]
async fn create_that_revives_twice_is_answered_with_the_last_version() {
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
