//! The list of devices, §4.8 of the protocol: who may read it, and how far each device lags behind.

mod pages;

use serde_json::{Value, json};
use tidemark_core::model::time::timestamp;
use tidemark_tests::{
    Device, Item, Stack,
    scenario::{self, member_of_north},
};

fn admin(stack: &Stack) -> Device<'_> {
    Device::new(stack, stack.token("acme", "boss", &["admin"], &[]), "desk")
}

async fn write(stack: &Stack, id: &str, channel: &str) {
    let create = Item::create("task", id, json!({"title": id})).channel(channel);
    assert_eq!(admin(stack).push_one(create).await["status"], "ok");
    stack.settle().await;
}

/// Returns the channels of the only device in the list.
async fn channels(stack: &Stack, token: &str) -> Value {
    let response = stack.get("devices", token).await.ok();
    assert_eq!(response["devices"].as_array().map(Vec::len), Some(1));
    response["devices"][0]["channels"].clone()
}

#[tokio::test]
async fn lag_is_computed_when_devices_are_listed() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    write(&stack, "a", "tenant").await;
    ana.pull_and_ack().await;
    let pulled_at = timestamp(stack.now());
    let state = |channel: &str, caught_up: bool, lag: i64| json!({"channel": channel, "applied_until": pulled_at, "caught_up": caught_up, "lag_seconds": lag});

    stack.advance(chrono::Duration::seconds(90));
    assert_eq!(
        channels(&stack, &ana.token).await,
        json!([state("tenant", true, 0), state("user/ana", true, 0)])
    );

    write(&stack, "b", "tenant").await;
    assert_eq!(
        channels(&stack, &ana.token).await,
        json!([state("tenant", false, 90), state("user/ana", true, 0)])
    );

    // A change that is pulled and not acknowledged still counts as lag.
    ana.pull().await;
    assert_eq!(channels(&stack, &ana.token).await[0]["lag_seconds"], 90);
    ana.ack().await.ok();
    assert_eq!(channels(&stack, &ana.token).await[0]["caught_up"], true);
}

#[tokio::test]
async fn lag_without_a_position_is_unknown() {
    let stack = Stack::new();
    for id in ["a", "b", "c"] {
        write(&stack, id, "tenant").await;
    }
    let mut ana = stack.device("ana", "phone");
    ana.pull_page(1).await;
    ana.ack().await.ok();
    let listed = channels(&stack, &ana.token).await;
    assert_eq!(
        listed[0],
        json!({"channel": "tenant", "applied_until": null, "caught_up": false, "lag_seconds": null})
    );
}

#[tokio::test]
async fn left_channel_is_not_listed() {
    let stack = Stack::new();
    let mut ana = member_of_north(&stack, "ana");
    write(&stack, "a", "group/north").await;
    ana.pull_and_ack().await;

    assert_eq!(
        channels(&stack, &ana.token).await.as_array().map(Vec::len),
        Some(3)
    );

    ana.token = stack.token("acme", "ana", &[], &[]);
    ana.pull_and_ack().await;
    let listed = channels(&stack, &ana.token).await;
    assert_eq!(
        (listed.as_array().map(Vec::len), &listed[1]["channel"]),
        (Some(2), &json!("user/ana"))
    );
}

#[tokio::test]
async fn device_reports_last_seen_and_app_version() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    ana.pull().await;
    let first_seen = timestamp(stack.now());
    let body =
        json!({"ack_token": ana.since(), "device_id": "phone", "app_version": "4.2.0 (817)"});
    stack.post("sync/ack", &ana.token, &body).await.ok();
    stack.advance(chrono::Duration::minutes(5));
    ana.pull_and_ack().await;

    let mut listed = stack.get("devices", &ana.token).await.ok()["devices"][0].clone();
    listed["channels"].take();
    let last_seen = timestamp(stack.now());
    let expected = json!({"device_id": "phone", "user": "ana", "first_seen": first_seen, "last_seen": last_seen,
        "app_version": "4.2.0 (817)", "channels": null, "conflicts": {"open": 0, "unacknowledged": 0, "has_more": false}});
    assert_eq!(listed, expected);
}

/// Returns the devices of a page, each as (user, device id).
fn listed(page: &Value) -> Vec<(String, String)> {
    let text = |device: &Value, name: &str| device[name].as_str().expect("text").to_owned();
    page["devices"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|device| (text(device, "user"), text(device, "device_id")))
        .collect()
}

#[tokio::test]
async fn devices_are_visible_to_user_and_admins() {
    let stack = Stack::new();
    for user in ["ana", "ben"] {
        for device_id in ["phone", "tablet"] {
            let mut device = stack.device(user, device_id);
            device.pull_and_ack().await;
        }
    }

    let of = |user: &str| ["phone", "tablet"].map(|id| (user.to_owned(), id.to_owned()));
    let (ana, boss) = (
        stack.token("acme", "ana", &[], &[]),
        stack.token("acme", "boss", &["admin"], &[]),
    );
    let stranger = stack.token("umbrella", "boss", &["admin"], &[]);
    for (path, token, expected) in [
        ("devices", &ana, of("ana").as_slice()),
        ("devices?user=ana", &ana, &of("ana")),
        ("devices?user=ben", &boss, &of("ben")),
        ("devices", &boss, &[]),
        ("devices?user=ana", &stranger, &[]),
    ] {
        let page = stack.get(path, token).await.ok();
        assert_eq!(listed(&page), expected, "{path}");
    }

    let rejected = stack.get("devices?user=ben", &ana).await;
    assert_eq!(
        (rejected.status, &rejected.json()["code"]),
        (403, &json!("forbidden"))
    );
}

/// Returns an edit of the meter `m`.
fn meter(action: &str, version: u64, reading: u64) -> Item {
    scenario::meter(action, "m", version, json!({"reading": reading}))
}

/// Returns the conflicts of Ana's phone, as the admin's list and as her own list count them: open,
/// and resolved without an acknowledgement.
async fn conflict_counts(stack: &Stack, ana: &Device<'_>) -> [u64; 2] {
    let tenant = stack
        .get("devices?scope=tenant", &admin(stack).token)
        .await
        .ok();
    let counts = &tenant["devices"][0]["conflicts"];
    assert_eq!(
        *counts,
        stack.get("devices", &ana.token).await.ok()["devices"][0]["conflicts"],
        "the user sees the same"
    );
    ["open", "unacknowledged"].map(|count| counts[count].as_u64().unwrap_or_default())
}

/// Creates the meter `m` at version 2, and a conflict of Ana's phone, which is returned with the id
/// of the conflict. Conflicts of another device and of another user do not count.
async fn conflicted(stack: &Stack) -> (Device<'_>, String) {
    let boss = admin(stack);
    boss.push_one(meter("create", 0, 1)).await;
    boss.push_one(meter("update", 1, 2)).await;
    stack.settle().await;
    let mut ana = stack.device("ana", "phone");
    ana.pull_and_ack().await;
    assert_eq!(conflict_counts(stack, &ana).await, [0, 0]);

    let id = ana.push_one(meter("update", 1, 3)).await["conflict_id"].clone();
    for (user, device_id, reading) in [("ana", "tablet", 4), ("ben", "phone", 5)] {
        stack
            .device(user, device_id)
            .push_one(meter("update", 1, reading))
            .await;
    }
    assert_eq!(conflict_counts(stack, &ana).await, [1, 0]);
    (ana, id.as_str().expect("an id").to_owned())
}

#[tokio::test]
async fn device_counts_its_open_conflicts() {
    let stack = Stack::new();
    let (ana, id) = conflicted(&stack).await;
    let counts = async || conflict_counts(&stack, &ana).await;

    stack.advance(chrono::Duration::minutes(5));
    let decision = json!({"resolution": "accept_client"});
    stack
        .post(
            &format!("conflicts/{id}/resolve"),
            &admin(&stack).token,
            &decision,
        )
        .await
        .ok();
    assert_eq!(counts().await, [0, 1]);

    // The device pulls before the resolution is in the log and acknowledges after it was made: the
    // log shows that the device does not have it.
    let mut phone = stack.device("ana", "phone");
    phone.set_since(&ana.since());
    stack.advance(chrono::Duration::minutes(5));
    phone.pull_and_ack().await;
    stack.settle().await;
    assert_eq!(counts().await, [0, 1]);
    phone.pull().await;
    assert_eq!(counts().await, [0, 1], "pulled, and not acknowledged");
    phone.ack().await.ok();
    assert_eq!(counts().await, [0, 0]);

    // A day later the log is not read any more.
    stack.advance(chrono::Duration::hours(25));
    phone.pull_and_ack().await;
    scenario::expire_log(&stack);
    assert_eq!(counts().await, [0, 0]);
}
