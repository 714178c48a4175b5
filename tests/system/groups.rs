//! Group membership (§4.4, §4.5): a joined group is filled with a snapshot, a group that the user
//! left is revoked once, and a position older than the retention is reset. Unsent edits survive all
//! of these.

use chrono::Duration;
use serde_json::json;
use tidemark_tests::{Device, Item, Stack, scenario::member_of_north};

fn task(id: &str, group: &str) -> Item {
    Item::create("task", id, json!({"title": id})).channel(&format!("group/{group}"))
}

/// Returns an update of the first version.
fn edit(id: &str, title: &str) -> Item {
    Item::update("task", id, 1, json!({"title": title}))
        .base(1)
        .channel("group/north")
}

/// Returns a delete of the first version.
fn delete(id: &str) -> Item {
    Item::delete("task", id, 1).base(1).channel("group/north")
}

fn member(stack: &Stack, groups: &[&str]) -> String {
    stack.token("acme", "ana", &[], groups)
}

fn lead(stack: &Stack) -> Device<'_> {
    Device::new(
        stack,
        stack.token("acme", "lead", &[], &["north", "south"]),
        "desk",
    )
}

fn ids(device: &Device<'_>) -> Vec<String> {
    device.live().into_keys().collect()
}

/// Returns Ana's phone after she joined the group north with its resources `n-1` and `n-2`. A
/// non-member gets nothing; joining fills the channel with resources that are older than the
/// membership.
async fn joined_north(stack: &Stack) -> Device<'_> {
    let mut ana = Device::new(stack, member(stack, &[]), "phone");
    ana.pull().await;
    assert!(ids(&ana).is_empty());

    ana.token = member(stack, &["north"]);
    ana.pull().await;
    assert_eq!(ids(&ana), ["n-1", "n-2"]);
    assert_eq!(ana.resets, 0, "a channel that begins is not reset");
    ana
}

#[tokio::test]
async fn joining_and_leaving_groups_updates_the_device() {
    let stack = Stack::new();
    let lead = lead(&stack);
    lead.push(json!([
        task("n-1", "north"),
        task("n-2", "north"),
        task("s-1", "south")
    ]))
    .await;
    stack.settle().await;

    let mut ana = joined_north(&stack).await;

    // Leaving revokes the channel once. An edit made before is rejected with an error that the app
    // can show, and is stored in sync_items.
    let unsent = edit("n-1", "typed in the field");
    ana.token = member(&stack, &["south"]);
    let page = ana.pull_page(100).await;
    assert_eq!(page["revoked"], json!(["group/north"]));
    assert_eq!(ids(&ana), ["s-1"]);
    assert_eq!(ana.pull_page(100).await.get("revoked"), None, "once");
    assert_eq!(
        ana.push_one(unsent.clone()).await["code"],
        "channel_forbidden"
    );

    // Meanwhile the group continues to write, and the retention passes.
    lead.push(json!([task("n-3", "north"), delete("n-2")]))
        .await;
    stack.settle().await;
    stack.advance(Duration::days(40));

    // Rejoining starts with a new snapshot: no earlier row remains, none is missing, and the unsent
    // edit is applied.
    ana.token = member(&stack, &["north", "south"]);
    ana.pull().await;
    assert_eq!(ids(&ana), ["n-1", "n-3", "s-1"]);
    assert_eq!(ana.push_one(unsent).await["server_version"], 2);
    stack.settle().await;
    ana.pull().await;
    lead_and_ana_agree(&stack, &mut ana).await;
}

async fn lead_and_ana_agree(stack: &Stack, ana: &mut Device<'_>) {
    let mut fresh = Device::new(stack, ana.token.clone(), "another phone");
    fresh.pull().await;
    let versions = |device: &Device<'_>| {
        device
            .live()
            .into_iter()
            .map(|(id, held)| (id, held.server_version))
            .collect::<Vec<_>>()
    };

    let mut own = versions(ana);
    // Her own accepted edit is not sent back: she holds version 1 with her edit on top.
    own.iter_mut()
        .filter(|(id, _)| id == "n-1")
        .for_each(|(_, version)| *version = 2);
    assert_eq!(own, versions(&fresh));
}

#[tokio::test]
async fn position_beyond_retention_resets_and_keeps_edits() {
    let stack = Stack::new();
    let lead = lead(&stack);
    lead.push(json!([task("n-1", "north"), task("n-2", "north")]))
        .await;
    stack.settle().await;
    let mut ana = member_of_north(&stack, "ana");
    ana.pull().await;
    let unsent = edit("n-1", "typed in the field");

    // The channel changes, then 31 days pass: the position is older than the retention.
    lead.push(json!([delete("n-2")])).await;
    stack.settle().await;
    stack.advance(Duration::days(31));
    ana.token = member(&stack, &["north"]); // the old one has expired
    let page = ana.pull_page(100).await;
    assert_eq!(page["reset"], json!(["group/north"]));
    ana.pull().await;
    assert_eq!(
        ids(&ana),
        ["n-1"],
        "the reset removes the resource that was deleted meanwhile"
    );
    assert_eq!(ana.push_one(unsent).await["status"], "ok");
}

#[tokio::test]
async fn log_retention_is_configurable() {
    let stack = Stack::configured(&[("LOG_RETENTION_DAYS", "3")]);
    let lead = lead(&stack);
    lead.push_one(task("n-1", "north")).await;
    stack.settle().await;
    let mut ana = member_of_north(&stack, "ana");
    ana.pull().await;
    lead.push_one(task("n-2", "north")).await;
    stack.settle().await;
    stack.advance(Duration::days(4));
    ana.token = member(&stack, &["north"]); // the old one has expired
    assert_eq!(ana.pull_page(100).await["reset"], json!(["group/north"]));
}
