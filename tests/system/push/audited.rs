//! Writes of an admin into foreign channels are recorded in the audit log before they take effect
//! (§7.1).

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark_tests::{Device, Item, Meter, Script, Stack, hooks::Moment, scenario};

fn task(action: &str, id: &str, channel: &str, version: u64) -> Item {
    let payload = json!({"id": id, "title": action});
    Item::new("task", action, version)
        .base(version)
        .channel(channel)
        .payload(payload)
}

/// Returns a device of an admin who belongs to the group `north`.
fn admin(stack: &Stack) -> Device<'_> {
    Device::new(
        stack,
        stack.token("acme", "root", &["admin"], &["north"]),
        "desk",
    )
}

#[tokio::test]
async fn admin_writes_into_foreign_channels_are_audited() {
    let stack = Stack::new();
    let items = json!([
        task("create", "a", "user/ana", 0),
        task("create", "b", "group/south", 0),
        task("create", "own", "user/root", 0),
        task("create", "member", "group/north", 0),
        task("create", "all", "tenant", 0),
        task("update", "missing", "user/ana", 1),
    ]);

    admin(&stack).push(items).await;
    let entries = scenario::audit_entries(&stack, "?order=oldest").await;
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];

    let summary = [
        &entry["action"],
        &entry["by"],
        &entry["via"],
        &entry["user"],
        &entry["device_id"],
    ];
    assert_eq!(summary, ["admin_write", "root", "api", "root", "desk"]);
    let written = |id: &str, channel: &str| json!({"channel": channel, "resource_type": "task", "resource_id": id, "server_version": 1, "deleted": false});
    assert_eq!(
        entry["resources"],
        json!([written("a", "user/ana"), written("b", "group/south")])
    );
    assert!(entry["before"].is_null() && entry["after"].is_null());
}

#[tokio::test]
async fn updates_and_deletes_by_admins_are_audited() {
    let stack = Stack::new();
    stack
        .device("ana", "phone")
        .push_one(task("create", "a", "user/ana", 0))
        .await;
    admin(&stack)
        .push_one(task("update", "a", "user/ana", 1))
        .await;

    // Entries of one moment are listed in no particular order.
    stack.advance(chrono::Duration::seconds(1));
    admin(&stack)
        .push_one(task("delete", "a", "user/ana", 2))
        .await;
    // This delete changes nothing.
    admin(&stack)
        .push_one(task("delete", "a", "user/ana", 3))
        .await;

    let resources: Vec<Value> = scenario::audit_entries(&stack, "?order=oldest")
        .await
        .iter()
        .map(|entry| entry["resources"][0].clone())
        .collect();
    let versions: Vec<(&Value, &Value)> = resources
        .iter()
        .map(|it| (&it["server_version"], &it["deleted"]))
        .collect();
    assert_eq!(
        versions,
        [(&json!(2), &json!(false)), (&json!(3), &json!(true))]
    );
}

#[tokio::test]
async fn ordinary_pushes_cost_no_audit_entry() {
    let meter = Arc::new(Meter::default());
    let stack = Stack::hooked(meter.clone());
    stack
        .device("ana", "phone")
        .push_one(task("create", "a", "user/ana", 0))
        .await;
    admin(&stack)
        .push(json!([
            task("create", "b", "tenant", 0),
            task("create", "c", "group/north", 0)
        ]))
        .await;
    assert!(!meter.take().calls.contains_key("TransactWriteItems"));
    assert!(stack.rows("audit_log").is_empty());
}

/// Regardless of where the function dies, no write is stored without its audit entry.
#[tokio::test(start_paused = true)]
async fn crashed_admin_write_is_never_unaudited() {
    for call in 0..8 {
        for moment in [Moment::Before, Moment::After] {
            let stack = Stack::new();
            let dying = Stack::over(
                stack.engine.clone(),
                Arc::new(Script::dying_at(call, moment)),
            );

            let device = admin(&dying);
            let items = json!([task("create", "a", "user/ana", 0)]);
            let _ =
                tokio::time::timeout(std::time::Duration::from_secs(60), device.send(&items)).await;

            assert!(
                stack.rows("resources").len() <= stack.rows("audit_log").len(),
                "{call}"
            );
        }
    }
}
