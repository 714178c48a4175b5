//! §4.4, §4.5: a group that is joined is filled from the start, one that is left is revoked once,
//! and one whose position is too old starts over; unsent edits survive all of it.

use chrono::Duration;
use serde_json::{Value, json};
use tidemark_tests::{Device, Stack};

fn task(id: &str, group: &str) -> Value {
    json!({"resource_type": "task", "action": "create", "client_version": 0, "channel": format!("group/{group}"),
        "payload": {"id": id, "title": id}})
}

fn edit(id: &str, base: u64, title: &str) -> Value {
    json!({"resource_type": "task", "action": "update", "client_version": base, "base_version": base,
        "channel": "group/north", "payload": {"id": id, "title": title}})
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

#[tokio::test]
async fn a_device_that_joins_leaves_and_rejoins_holds_exactly_what_it_may_read() {
    let stack = Stack::new();
    let lead = lead(&stack);
    lead.push(json!([
        task("n-1", "north"),
        task("n-2", "north"),
        task("s-1", "south")
    ]))
    .await;
    stack.settle().await;

    // Not a member: nothing. Joining fills the channel with what was there long before.
    let mut ana = Device::new(&stack, member(&stack, &[]), "phone");
    ana.pull().await;
    assert!(ids(&ana).is_empty());
    ana.token = member(&stack, &["north"]);
    ana.pull().await;
    assert_eq!(ids(&ana), ["n-1", "n-2"]);
    assert_eq!(ana.resets, 0, "it begins, and nothing starts over");

    // Leaving revokes once; what she typed before is refused with an error she can show, and stands
    // in sync_items.
    let unsent = edit("n-1", 1, "typed in the field");
    ana.token = member(&stack, &["south"]);
    let page = ana.pull_page(100).await;
    assert_eq!(page["revoked"], json!(["group/north"]));
    assert_eq!(ids(&ana), ["s-1"]);
    assert_eq!(ana.pull_page(100).await.get("revoked"), None, "once");
    assert_eq!(
        ana.push_one(unsent.clone()).await["code"],
        "channel_forbidden"
    );

    // Meanwhile the group goes on, and the retention runs out.
    lead.push(json!([task("n-3", "north"), {"resource_type": "task", "action": "delete", "client_version": 1, "base_version": 1,
        "channel": "group/north", "payload": {"id": "n-2"}}]))
        .await;
    stack.settle().await;
    stack.advance(Duration::days(40));

    // Re-joining starts with a snapshot again: no row of before is left over, none is missing, the
    // unsent edit is applied.
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
    let titles = |device: &Device<'_>| {
        device
            .live()
            .into_iter()
            .map(|(id, held)| (id, held.server_version))
            .collect::<Vec<_>>()
    };
    let mut own = titles(ana);
    // Its own accepted edit is not sent back: it holds version 1 with its edit on top.
    own.iter_mut()
        .filter(|(id, _)| id == "n-1")
        .for_each(|(_, version)| *version = 2);
    assert_eq!(own, titles(&fresh));
}

#[tokio::test]
async fn a_member_away_for_longer_than_the_retention_starts_over_and_keeps_unsent_edits() {
    let stack = Stack::new();
    let lead = lead(&stack);
    lead.push(json!([task("n-1", "north"), task("n-2", "north")]))
        .await;
    stack.settle().await;
    let mut ana = Device::new(&stack, member(&stack, &["north"]), "phone");
    ana.pull().await;
    let unsent = edit("n-1", 1, "typed in the field");

    // Something changes in the channel, then 31 days pass: the position is too old.
    lead.push(
        json!([{"resource_type": "task", "action": "delete", "client_version": 1, "base_version": 1,
        "channel": "group/north", "payload": {"id": "n-2"}}]),
    )
    .await;
    stack.settle().await;
    stack.advance(Duration::days(31));
    ana.token = member(&stack, &["north"]); // the old one has expired
    let page = ana.pull_page(100).await;
    assert_eq!(page["reset"], json!(["group/north"]));
    ana.pull().await;
    assert_eq!(
        ids(&ana),
        ["n-1"],
        "the row that was deleted meanwhile is gone with the reset"
    );
    assert_eq!(ana.push_one(unsent).await["status"], "ok");
}

#[tokio::test]
async fn the_retention_is_a_setting() {
    let stack = Stack::configured(&[("LOG_RETENTION_DAYS", "3")]);
    let lead = lead(&stack);
    lead.push_one(task("n-1", "north")).await;
    stack.settle().await;
    let mut ana = Device::new(&stack, member(&stack, &["north"]), "phone");
    ana.pull().await;
    lead.push_one(task("n-2", "north")).await;
    stack.settle().await;
    stack.advance(Duration::days(4));
    ana.token = member(&stack, &["north"]); // the old one has expired
    assert_eq!(ana.pull_page(100).await["reset"], json!(["group/north"]));
}
