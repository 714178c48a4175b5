//! The tables were restored from an older copy: every device starts over, and holds what the server
//! holds.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidemark_tests::{Stack, device::DeviceCopy};

use super::{admin, repair, write};

/// The tables that a restore brings back together.
const TABLES: [&str; 3] = ["resources", "changes", "conflicts"];

fn copy(stack: &Stack) -> BTreeMap<&'static str, Vec<Value>> {
    TABLES
        .into_iter()
        .map(|table| (table, stack.rows(table)))
        .collect()
}

/// Makes the tables what they were. The stream of a restored table begins with what is written
/// afterwards.
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

#[tokio::test]
async fn what_a_restore_took_back_is_gone_from_devices_too() {
    let stack = Stack::new();
    let (writer, mut ana) = (admin(&stack), stack.device("ana", "phone"));
    write(&writer, "create", "a", "tenant", 0, "before").await;
    stack.settle().await;
    let before = copy(&stack);
    ana.pull().await;
    // Hers is not sent back to her: her position stays what it was, and the end of the log that is
    // restored.
    write(&ana, "create", "hers", "tenant", 0, "after").await;
    let hers = DeviceCopy {
        server_version: 1,
        payload: Some("{}".into()),
    };
    ana.rows
        .insert(("tenant".into(), "meter".into(), "hers".into()), hers);
    // Ben was so far ahead that the restored log has not come to where he stands.
    write(&writer, "update", "a", "tenant", 1, "after").await;
    stack.settle().await;
    let mut ben = stack.device("ben", "phone");
    ben.pull().await;
    restore(&stack, &before).await;
    stack.advance(chrono::Duration::minutes(10));

    let dry = repair(&stack, json!({"start_over": true, "dry_run": true})).await;
    assert_eq!(
        (&dry["started_over"], stack.rows("changes")),
        (&json!(1), before["changes"].clone())
    );
    let done = repair(&stack, json!({"start_over": true})).await;
    assert_eq!(
        (
            &done["started_over"],
            &done["missing"],
            done.get("compared")
        ),
        (&json!(1), &json!(0), None)
    );
    assert_eq!(
        repair(&stack, json!({"start_over": true})).await["started_over"],
        0,
        "nothing happened since"
    );

    // Devices of all kinds start over, once, and go on in the log.
    let mut fresh = stack.device("cleo", "phone");
    for device in [&mut ana, &mut ben, &mut fresh] {
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
async fn a_channel_that_was_never_sequenced_starts_over_too() {
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
async fn channels_start_over_as_a_whole() {
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
