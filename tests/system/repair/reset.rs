//! After the tables are restored from an older copy, every device is reset and has what the server
//! has.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidemark_client::ResourceName;
use tidemark_tests::{Device, Stack};

use super::{admin, repair, write};

/// The tables that are restored together.
const TABLES: [&str; 3] = ["resources", "changes", "conflicts"];

fn copy(stack: &Stack) -> BTreeMap<&'static str, Vec<Value>> {
    TABLES
        .into_iter()
        .map(|table| (table, stack.rows(table)))
        .collect()
}

/// Replaces the tables by the copy. The stream of a restored table contains only later writes.
async fn restore(stack: &Stack, copy: &BTreeMap<&'static str, Vec<Value>>) {
    for (table, rows) in copy {
        for row in stack.rows(table) {
            stack.dynamodb(
                "DeleteItem",
                &json!({"TableName": table, "Key": {"pk": row["pk"], "sk": row["sk"]}}),
            );
        }
        for row in rows {
            stack.dynamodb("PutItem", &json!({"TableName": table, "Item": row}));
        }
    }
    stack.forget().await;
}

/// Creates the meter `hers` from Ana's phone. Her own change is not delivered to her, so her
/// position stays at the end of the restored log.
async fn create_own(ana: &mut Device<'_>) {
    write(ana, "create", "hers", "tenant", 0, "after").await;
    ana.store_created(ResourceName::server("tenant", "meter", "hers"), "{}");
}

/// Resets all channels, after a dry run that changes nothing, and asserts that only the first reset
/// has an effect.
async fn reset_once(stack: &Stack, changes: &[Value]) {
    let dry = repair(stack, json!({"start_over": true, "dry_run": true})).await;
    assert_eq!(
        (&dry["started_over"], stack.rows("changes")),
        (&json!(1), changes.to_vec())
    );

    let done = repair(stack, json!({"start_over": true})).await;
    assert_eq!(
        (
            &done["started_over"],
            &done["missing"],
            done.get("compared")
        ),
        (&json!(1), &json!(0), None)
    );
    assert_eq!(
        repair(stack, json!({"start_over": true})).await["started_over"],
        0,
        "nothing happened since"
    );
}

/// Asserts that a device is reset and then has what the server has.
async fn assert_reset(device: &mut Device<'_>) {
    let page = device.pull_page(100).await;
    assert_eq!(page["reset"][0], "tenant");
    assert_eq!(
        device
            .live()
            .into_iter()
            .map(|(id, held)| (id, held.server_version))
            .collect::<Vec<_>>(),
        [("a".to_owned(), 1)]
    );
}

#[tokio::test]
async fn restored_tables_reset_every_device() {
    let stack = Stack::new();
    let (writer, mut ana) = (admin(&stack), stack.device("ana", "phone"));
    write(&writer, "create", "a", "tenant", 0, "before").await;
    stack.settle().await;
    let before = copy(&stack);
    ana.pull().await;
    create_own(&mut ana).await;

    // Ben is ahead: the restored log has not reached his position.
    write(&writer, "update", "a", "tenant", 1, "after").await;
    stack.settle().await;
    let mut ben = stack.device("ben", "phone");
    ben.pull().await;
    restore(&stack, &before).await;
    stack.advance(chrono::Duration::minutes(10));
    reset_once(&stack, &before["changes"]).await;

    // All devices are reset once and then follow the log.
    let mut fresh = stack.device("cleo", "phone");
    for device in [&mut ana, &mut ben, &mut fresh] {
        assert_reset(device).await;
    }
    write(&writer, "update", "a", "tenant", 1, "anew").await;
    stack.settle().await;
    for device in [&mut ana, &mut ben, &mut fresh] {
        let page = device.pull_page(100).await;
        assert_eq!(
            (page.get("reset"), &page["changes"][0]["server_version"]),
            (None, &json!(2))
        );
    }
}

#[tokio::test]
async fn never_sequenced_channel_can_be_reset() {
    let stack = Stack::new();
    let (writer, mut ana) = (admin(&stack), stack.device("ana", "phone"));
    ana.pull().await;
    write(&writer, "create", "a", "tenant", 0, "never sequenced").await;
    stack.forget().await;

    assert_eq!(
        repair(
            &stack,
            json!({"start_over": true, "tenant": "acme", "channel": "tenant"})
        )
        .await["started_over"],
        1
    );

    ana.pull().await;
    assert_eq!(ana.live().len(), 1);
    write(&writer, "update", "a", "tenant", 1, "sequenced").await;
    stack.settle().await;
    ana.pull().await;
    assert_eq!(ana.live()["a"].server_version, 2);
    assert_eq!(ana.resets, 1);
}

#[tokio::test]
async fn reset_rejects_a_start_time() {
    let stack = Stack::new();
    let response = stack
        .invoke(
            "changelog",
            &json!({"repair": {"start_over": true, "since": "2026-01-01T00:00:00Z"}}),
        )
        .await;
    assert_eq!(
        (&response["status"], &response["path"]),
        (&json!(400), &json!("repair.since"))
    );
}

#[tokio::test]
async fn reset_replaces_a_corrupt_segment() {
    let stack = Stack::new();
    let (writer, mut ana) = (admin(&stack), stack.device("ana", "phone"));
    ana.pull().await;
    write(&writer, "create", "a", "tenant", 0, "before").await;
    stack.settle().await;
    for mut row in stack.rows("changes") {
        if row.get("entries").is_some() {
            row["entries"] = json!({"B": ""});
            stack.dynamodb("PutItem", &json!({"TableName": "changes", "Item": row}));
        }
    }
    let request = json!({"since_token": ana.since(), "device_id": "phone"});
    let response = stack.post("sync/pull", &ana.token, &request).await;
    assert_eq!(response.status, 503);

    let channel = json!({"start_over": true, "tenant": "acme", "channel": "tenant"});
    assert_eq!(repair(&stack, channel).await["started_over"], 1);
    assert_reset(&mut ana).await;
    write(&writer, "update", "a", "tenant", 1, "after").await;
    stack.settle().await;
    ana.pull().await;
    assert_eq!(ana.live()["a"].server_version, 2);
}
