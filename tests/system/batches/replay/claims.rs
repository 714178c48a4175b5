//! The permissions of a replay: who may request it, with which claims it runs, and how it is
//! audited.

use chrono::Duration;
use serde_json::{Value, json};
use tidemark_core::model::time::timestamp;
use tidemark_tests::{Device, Item, Stack};

use super::{
    super::{boss, create, edit, everything, get, id_of, push, replay},
    audit, prepared,
};

/// Returns a create of a task, or an update of its version.
fn task(id: &str, channel: &str, version: u64, title: &str) -> Item {
    let action = if version == 0 { "create" } else { "update" };
    Item::new("task", action, version)
        .base(version)
        .channel(channel)
        .payload(json!({"id": id, "title": title}))
}

#[tokio::test]
async fn replay_uses_the_stored_claims() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    ana.token = stack.token("acme", "ana", &[], &["north"]);
    let items = json!([
        task("north", "group/north", 1, "x"),
        task("south", "group/south", 0, "x"),
        task("ben", "user/ben", 0, "x")
    ]);
    let id = push(&ana, "b", &items).await;

    // Ana has left the group since, and the admin is in no group.
    let late = task("north", "group/north", 0, "y");
    let desk = Device::new(&stack, boss(&stack), "desk");
    assert_eq!(desk.push_one(late).await["status"], "ok");

    let results = replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"].clone();
    assert_eq!(
        (&results[0]["status"], &results[0]["server_version"]),
        (&json!("ok"), &json!(2))
    );
    assert_eq!(
        (&results[1]["code"], &results[2]["code"]),
        (&json!("channel_forbidden"), &json!("channel_forbidden"))
    );

    let row = stack.rows("resources").remove(0);
    assert_eq!(row["run_by"]["S"], "ana#phone", "{row}");
    assert_eq!(stack.rows("resources").len(), 1);
}

/// Pushes an edit in Ana's channel as an admin, before Ana creates the resource. Returns the id of
/// the batch.
async fn batch_of_an_admin(stack: &Stack) -> String {
    let mut root = stack.device("root", "phone");
    root.token = stack.token("acme", "root", &["admin", "editor"], &["north"]);
    let late = edit("m", 1, "late").channel("user/ana");
    let id = push(&root, "b", &json!([late])).await;

    let create = create("m", "1").channel("user/ana");
    stack.device("ana", "phone").push_one(create).await;
    id
}

#[tokio::test]
async fn replay_runs_without_the_stored_admin_role() {
    let stack = Stack::new();
    let id = batch_of_an_admin(&stack).await;

    let (without, with) = (json!(["editor"]), json!(["admin", "editor"]));
    let (default, dry) = (
        json!({}),
        json!({"with_stored_roles": true, "dry_run": true}),
    );
    let (no, yes) = (
        json!({"with_stored_roles": false}),
        json!({"with_stored_roles": true}),
    );
    for (body, roles, member, outcome) in [
        (default, &without, "code", "channel_forbidden"),
        (no, &without, "code", "channel_forbidden"),
        (dry, &with, "status", "ok"),
        (yes, &with, "status", "ok"),
    ] {
        let response = replay(&stack, &boss(&stack), &id, &body).await.ok();
        let runs_as = json!({"user": "root", "roles": roles, "groups": ["north"]});
        assert_eq!(response["runs_as"], runs_as, "{body}");
        assert_eq!(response["results"][0][member], outcome, "{body}");
        if body["dry_run"] != true {
            assert_finished_as(&stack, &runs_as, &body);
        }
    }

    assert!(
        audit(&stack, "admin_write").is_empty(),
        "a replay has its own audit entries"
    );
}

/// Checks that the audit log contains a replay with these claims.
fn assert_finished_as(stack: &Stack, runs_as: &Value, body: &Value) {
    assert!(
        audit(stack, "replay_finished")
            .iter()
            .any(|entry| entry["runs_as"] == *runs_as),
        "{body}"
    );
}

#[tokio::test]
async fn audit_log_records_replay_before_and_after() {
    let stack = Stack::new();
    let id = prepared(&stack).await;
    let before = get(&stack, &boss(&stack), &id).await.ok()["results"].clone();
    replay(&stack, &boss(&stack), &id, &json!({"dry_run": true}))
        .await
        .ok();
    assert_eq!(stack.rows("audit_log"), [json!(null); 0]);

    replay(&stack, &boss(&stack), &id, &json!({})).await.ok();
    let after = get(&stack, &boss(&stack), &id).await.ok()["results"].clone();

    for (action, after) in [("replay_started", Value::Null), ("replay_finished", after)] {
        let mut entries = audit(&stack, action);
        assert_eq!(entries.len(), 1, "{action}");
        entries[0]["id"].take();
        let expected = json!({"id": null, "at": timestamp(stack.now()), "action": action, "by": "boss", "via": "api", "user": "ana",
            "device_id": "phone", "batch_id": id, "runs_as": {"user": "ana", "roles": [], "groups": []}, "before": before, "after": after});
        assert_eq!(entries[0], expected);
    }
}

#[tokio::test]
async fn replay_is_for_admins_and_validates_requests() {
    let stack = Stack::new();
    let id = prepared(&stack).await;
    let before = everything(&stack);

    let token = |tenant, user, roles: &[&str]| stack.token(tenant, user, roles, &[]);
    for (token, status) in [
        (token("acme", "ana", &[]), 403),
        (token("acme", "ben", &["editor"]), 403),
        (token("umbrella", "boss", &["admin"]), 404),
        ("none".to_owned(), 401),
    ] {
        assert_eq!(replay(&stack, &token, &id, &json!({})).await.status, status);
    }
    for unknown in [&id_of("ana", "other"), "x"] {
        assert_eq!(
            replay(&stack, &boss(&stack), unknown, &json!({}))
                .await
                .status,
            404
        );
    }

    for (body, path) in [
        (json!({"dry_run": "yes"}), "dry_run"),
        (json!({"dry_run": 1}), "dry_run"),
        (json!([true]), "$"),
        (json!(null), "$"),
    ] {
        let response = replay(&stack, &boss(&stack), &id, &body).await;
        assert_eq!(
            (response.status, &response.json()["path"]),
            (400, &json!(path)),
            "{body}"
        );
    }

    stack.advance(Duration::days(91));
    assert_eq!(
        replay(&stack, &boss(&stack), &id, &json!({})).await.status,
        404,
        "expired"
    );
    assert_eq!(everything(&stack), before);
}
