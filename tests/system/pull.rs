//! Pull, §4 of the protocol: snapshots, pages of the log, resets and own changes.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tidemark_client::ResourceName;
use tidemark_tests::{Device, Item, Stack, scenario::member_of_north};

fn create(id: &str, text: &str) -> Item {
    Item::create("meter", id, json!({"text": text}))
}

fn edit(id: &str, base: u64, text: &str) -> Item {
    Item::update("meter", id, base, json!({"text": text})).base(base)
}

/// Builds a delete of the first version.
fn delete(id: &str) -> Item {
    Item::delete("meter", id, 1).base(1)
}

async fn creates(stack: &Stack, count: usize, text: &str) {
    let writer = stack.device("writer", "phone");
    for chunk in (0..count).collect::<Vec<_>>().chunks(50) {
        let items: Vec<Item> = chunk
            .iter()
            .map(|number| create(&format!("m-{number:04}"), text))
            .collect();
        writer.push(items.into()).await;
    }
}

#[tokio::test]
async fn snapshot_continues_in_log_without_gap() {
    let stack = Stack::new();
    creates(&stack, 25, "old").await;
    stack.settle().await;

    let mut ana = stack.device("ana", "phone");
    let mut pages = 0;
    let writer = stack.device("writer", "phone");
    loop {
        let page = ana.pull_page(4).await;
        pages += 1;
        if page["has_more"] == false {
            break;
        }

        // Rows before and after the reader's position are updated, created and deleted while it
        // pages.
        if pages <= 6 {
            writer
                .push_one(edit(&format!("m-{:04}", pages), 1, "new"))
                .await;
            writer
                .push_one(edit(&format!("m-{:04}", 24 - pages), 1, "new"))
                .await;
            writer.push_one(create(&format!("n-{pages}"), "new")).await;
            let deleted = delete(&format!("m-{:04}", 8 + pages));
            assert_eq!(writer.push_one(deleted).await["status"], "ok");
            stack.settle().await;
        }
    }

    assert!(pages > 8);
    let mut fresh = stack.device("fresh", "phone");
    fresh.pull().await;
    assert_eq!(ana.live(), fresh.live());
}

#[tokio::test]
async fn page_contains_only_newest_resource_state() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    ana.pull().await;
    creates(&stack, 2, "first").await;
    stack.settle().await;

    let writer = stack.device("writer", "phone");
    for version in 1..4 {
        writer
            .push_one(edit("m-0000", version, &format!("edit {version}")))
            .await;
        stack.settle().await;
    }

    let changes = ana.pull().await;
    assert_eq!(changes.len(), 2);
    assert_eq!(
        (&changes[0]["action"], &changes[0]["server_version"]),
        (&json!("create"), &json!(4))
    );
    assert_eq!(changes[0]["payload"], json!({"text": "edit 3"}));
}

fn assert_only_change(changes: &[Value], id: &str, server_version: u64) {
    assert_eq!(changes.len(), 1);
    let change = (&changes[0]["id"], &changes[0]["server_version"]);
    assert_eq!(change, (&json!(id), &json!(server_version)));
}

#[tokio::test]
async fn own_change_returns_only_with_foreign_edits() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    let mut tablet = stack.device("ana", "tablet");
    ana.pull().await;
    tablet.pull().await;

    ana.push(json!([create("a", "1"), create("b", "1")])).await;
    stack.settle().await;
    assert_eq!(ana.pull().await.len(), 0, "its own changes are omitted");
    assert_eq!(
        tablet.pull().await.len(),
        2,
        "another device of the same user"
    );

    stack
        .device("ben", "phone")
        .push_one(edit("a", 1, "2"))
        .await;
    ana.push_one(edit("b", 1, "2")).await;
    stack.settle().await;
    ana.push_one(edit("a", 2, "3")).await;
    stack.settle().await;
    let changes = ana.pull().await;
    assert_only_change(&changes, "a", 3); // only the device itself wrote b

    // Another user's change after her own in one page.
    ana.push_one(create("c", "1")).await;
    stack
        .device("ben", "phone")
        .push_one(edit("c", 1, "2"))
        .await;
    stack.settle().await;
    let changes = ana.pull().await;
    assert_only_change(&changes, "c", 2);

    // A snapshot always contains everything.
    ana.set_since(&Value::Null);
    assert_eq!(ana.pull().await.len(), 3);
}

#[tokio::test]
async fn own_change_on_unseen_version_is_echoed() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    ana.push_one(Item::create("meter", "m", json!({"a": 0, "b": 0})))
        .await;
    stack.settle().await;
    ana.pull().await;
    let edit = |field: &str, client_version: u64| {
        Item::update("meter", "m", client_version, json!({field: 5}))
    };

    // Ana numbers her edit before she sends it and states no base version, so that the numbers are
    // equal by coincidence.
    stack.device("ben", "phone").push_one(edit("a", 1)).await;
    stack.settle().await;

    assert_eq!(ana.push_one(edit("b", 2)).await["server_version"], 3);
    assert_eq!(
        ana.pull().await.len(),
        1,
        "only Ben's change, because hers is not sequenced yet"
    );

    stack.settle().await;
    ana.pull().await;
    let mut fresh = stack.device("fresh", "phone");
    fresh.pull().await;
    assert_eq!(ana.live(), fresh.live());
}

#[tokio::test]
async fn page_limits_apply_within_a_segment() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    ana.pull().await;
    creates(&stack, 50, "small").await;
    stack.settle().await;
    let segments = stack.segments().len();
    assert_eq!(segments, 1);

    for (limit, has_more) in [(7, true), (1, true), (42, false)] {
        let page = ana.pull_page(limit).await;
        assert_eq!(
            (page["changes"].as_array().map(Vec::len), &page["has_more"]),
            (Some(limit), &json!(has_more))
        );
    }

    // 20 payloads of 160 KB, 320 KB when escaped, exceed one response: each page stays below
    // Lambda's response limit, even escaped.
    let writer = stack.device("writer", "tablet");
    let large = "\"".repeat(80 * 1024);
    for number in 0..20 {
        assert_eq!(
            writer
                .push_one(create(&format!("l-{number}"), &large))
                .await["status"],
            "ok"
        );
    }
    stack.settle().await;

    let mut from_log = 0;
    loop {
        let page = ana.pull_page(500).await;
        from_log += page["changes"].as_array().map_or(0, Vec::len);
        assert!(
            serde_json::to_string(&page.to_string())
                .expect("text")
                .len()
                < 5_000_000
        );
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(from_log, 20);
}

#[tokio::test]
async fn large_sequenced_batch_is_delivered_in_pages() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    ana.pull().await;
    creates(&stack, 250, "small").await;
    stack.settle().await;

    let segments = stack.segments().len();
    assert_eq!(segments, 3);
    for (changes, has_more) in [(100, true), (100, true), (50, false)] {
        let page = ana.pull_page(100).await;
        assert_eq!(
            (page["changes"].as_array().map(Vec::len), &page["has_more"]),
            (Some(changes), &json!(has_more))
        );
    }
    assert_eq!(ana.live().len(), 250);
}

#[tokio::test]
async fn empty_pull_returns_a_usable_token() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    for _ in 0..3 {
        let page = ana.pull_page(100).await;
        assert_eq!(
            (&page["changes"], &page["has_more"]),
            (&json!([]), &json!(false))
        );
    }
    creates(&stack, 1, "x").await;
    stack.settle().await;
    assert_eq!(ana.pull().await.len(), 1);
}

#[tokio::test]
async fn position_beyond_retention_is_reset_unless_quiet() {
    let stack = Stack::new();
    creates(&stack, 3, "x").await;
    stack.settle().await;
    let mut ana = stack.device("ana", "phone");
    ana.pull().await;

    stack.advance(chrono::Duration::days(300));
    ana.token = stack.token("acme", "ana", &[], &[]);
    assert_eq!(
        ana.pull_page(100).await.get("reset"),
        None,
        "no change was made, so none was missed"
    );

    stack.advance(chrono::Duration::days(31));
    let writer = stack.device("writer", "phone");
    writer.push_one(delete("m-0000")).await;
    stack.settle().await;

    ana.token = stack.token("acme", "ana", &[], &[]);
    let page = ana.pull_page(1).await;
    assert_eq!(page["reset"], json!(["tenant"]));
    assert_eq!(ana.pull_page(100).await.get("reset"), None, "once");
    ana.pull().await;
    assert_eq!(
        ana.live().into_keys().collect::<Vec<_>>(),
        ["m-0001", "m-0002"]
    );
}

#[tokio::test]
async fn position_ahead_of_log_is_reset() {
    let stack = Stack::new();
    creates(&stack, 2, "x").await;
    stack.settle().await;
    let mut ana = stack.device("ana", "phone");
    ana.pull().await;
    // A second deployment with fewer changes, which the device takes for a restored one.
    let restored = Stack::new();
    creates(&restored, 1, "restored").await;
    let mut moved = Device::new(&restored, ana.token.clone(), "phone");
    moved.client = ana.client.clone();
    assert_eq!(moved.pull_page(100).await["reset"], json!(["tenant"]));
    assert_eq!(moved.live().into_keys().collect::<Vec<_>>(), ["m-0000"]);
}

#[tokio::test]
async fn forbidden_channel_is_revoked_once() {
    let stack = Stack::new();
    let task = Item::create_as("task", "t", json!({"title": "read"}))
        .version(1)
        .channel("group/north");
    let mut ana = member_of_north(&stack, "ana");
    assert_eq!(ana.push_one(task).await["status"], "ok");
    ana.pull().await;
    assert_eq!(ana.rows().len(), 1);
    ana.token = stack.token("acme", "ana", &[], &[]);
    let page = ana.pull_page(100).await;
    assert_eq!(page["revoked"], json!(["group/north"]));
    assert!(ana.rows().is_empty());
    assert_eq!(ana.pull_page(100).await.get("revoked"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_and_readers_leave_no_gap() {
    let stack = Stack::new();
    let is_done = AtomicBool::new(false);
    let write = async |user: &'static str| {
        let writer = stack.device(user, "phone");
        for number in 0..40 {
            let id = format!("{user}-{number}");
            writer
                .push(json!([create(&id, "1"), edit(&id, 1, "2")]))
                .await;
            writer.push_one(edit(&id, 2, "3")).await;
            tokio::task::yield_now().await;
        }
    };
    let read = async |user: &'static str| {
        let mut reader = stack.device(user, "tablet");
        while !is_done.load(Ordering::SeqCst) {
            reader.pull_page(7).await;
            tokio::task::yield_now().await;
        }
        stack.settle().await;
        reader.pull().await;
        reader.live()
    };

    let writers = async {
        tokio::join!(write("w1"), write("w2"), write("w3"));
        is_done.store(true, Ordering::SeqCst);
    };
    let sequencer = async {
        while !is_done.load(Ordering::SeqCst) {
            stack.settle().await;
            tokio::task::yield_now().await;
        }
    };

    let ((), (), first, second) = tokio::join!(writers, sequencer, read("r1"), read("r2"));
    let mut fresh = stack.device("fresh", "phone");
    fresh.pull().await;
    assert_eq!(fresh.live().len(), 120);
    assert_eq!(first, fresh.live());
    assert_eq!(second, fresh.live());
}

/// Found by the simulation, seed 15: a snapshot lists no deletes, so a device that had never pulled
/// kept its own resource forever.
#[tokio::test]
async fn first_pull_after_delete_removes_own_resource() {
    let stack = Stack::new();
    let (mut ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "tablet"));
    let create = Item::create("meter", "m-1", json!({"at": 1}));
    assert_eq!(ana.push_one(create).await["status"], "ok");
    ana.store_created(
        ResourceName::server("tenant", "meter", "m-1"),
        r#"{"at":1}"#,
    );

    assert_eq!(ben.push_one(delete("m-1")).await["status"], "ok");
    stack.settle().await;

    let page = ana.pull_page(100).await;
    assert_eq!(
        page["reset"],
        json!(["tenant", "user/ana"]),
        "the device replaces its copies"
    );
    assert!(ana.live().is_empty());
    assert_eq!(ana.pull_page(100).await.get("reset"), None, "once");
}
