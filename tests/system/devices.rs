//! Looking at devices, §4.8 of the protocol: who may, and how far behind each is.

use serde_json::{Value, json};
use tidemark_core::protocol::timestamp;
use tidemark_tests::{Device, Stack};

fn create(id: &str, channel: &str) -> Value {
    json!({"resource_type": "task", "action": "create", "client_version": 0, "channel": channel, "payload": {"id": id, "title": id}})
}

fn admin(stack: &Stack) -> Device<'_> {
    Device::new(stack, stack.token("acme", "boss", &["admin"], &[]), "desk")
}

async fn write(stack: &Stack, id: &str, channel: &str) {
    assert_eq!(
        admin(stack).push_one(create(id, channel)).await["status"],
        "ok"
    );
    stack.settle().await;
}

/// What is told of the channels of the only device there is.
async fn channels(stack: &Stack, token: &str) -> Value {
    let response = stack.get("devices", token).await.ok();
    assert_eq!(response["devices"].as_array().map(Vec::len), Some(1));
    response["devices"][0]["channels"].clone()
}

#[tokio::test]
async fn the_lag_of_a_device_is_derived_when_somebody_looks() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    write(&stack, "a", "tenant").await;
    ana.pull().await;
    ana.ack().await.ok();
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
    // Pulled and not acknowledged, it is behind as before.
    ana.pull().await;
    assert_eq!(channels(&stack, &ana.token).await[0]["lag_seconds"], 90);
    ana.ack().await.ok();
    assert_eq!(channels(&stack, &ana.token).await[0]["caught_up"], true);
}

#[tokio::test]
async fn a_channel_without_a_position_is_behind_by_nobody_knows_how_much() {
    let stack = Stack::new();
    for id in ["a", "b", "c"] {
        write(&stack, id, "tenant").await;
    }
    let mut ana = stack.device("ana", "phone");
    ana.pull_page(1).await;
    ana.ack().await.ok();
    let told = channels(&stack, &ana.token).await;
    assert_eq!(
        told[0],
        json!({"channel": "tenant", "applied_until": null, "caught_up": false, "lag_seconds": null})
    );
}

#[tokio::test]
async fn a_channel_that_the_user_has_left_is_not_told_of() {
    let stack = Stack::new();
    let mut ana = Device::new(&stack, stack.token("acme", "ana", &[], &["north"]), "phone");
    write(&stack, "a", "group/north").await;
    ana.pull().await;
    ana.ack().await.ok();
    assert_eq!(
        channels(&stack, &ana.token).await.as_array().map(Vec::len),
        Some(3)
    );
    ana.token = stack.token("acme", "ana", &[], &[]);
    ana.pull().await;
    ana.ack().await.ok();
    let told = channels(&stack, &ana.token).await;
    assert_eq!(
        (told.as_array().map(Vec::len), &told[1]["channel"]),
        (Some(2), &json!("user/ana"))
    );
}

#[tokio::test]
async fn a_device_says_when_it_was_seen_and_which_app_it_runs() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    ana.pull().await;
    let first_seen = timestamp(stack.now());
    let body = json!({"ack_token": ana.since, "device_id": "phone", "app_version": "4.2.0 (817)"});
    stack.post("sync/ack", &ana.token, &body).await.ok();
    stack.advance(chrono::Duration::minutes(5));
    ana.pull().await;
    ana.ack().await.ok();
    let mut told = stack.get("devices", &ana.token).await.ok()["devices"][0].clone();
    told["channels"].take();
    let last_seen = timestamp(stack.now());
    let expected = json!({"device_id": "phone", "user": "ana", "first_seen": first_seen, "last_seen": last_seen,
        "app_version": "4.2.0 (817)", "channels": null, "conflicts": {"open": 0, "unacknowledged": 0, "has_more": false}});
    assert_eq!(told, expected);
}

#[tokio::test]
async fn devices_are_for_their_user_and_for_admins_of_the_tenant() {
    let stack = Stack::new();
    for user in ["ana", "ben"] {
        for device_id in ["phone", "tablet"] {
            let mut device = stack.device(user, device_id);
            device.pull().await;
            device.ack().await.ok();
        }
    }
    let ids = |response: &Value| -> Vec<(String, String)> {
        let text =
            |device: &Value, name: &str| device[name].as_str().unwrap_or_default().to_owned();
        let devices = response["devices"].as_array().cloned().unwrap_or_default();
        devices
            .iter()
            .map(|device| (text(device, "user"), text(device, "device_id")))
            .collect()
    };
    let of = |user: &str| {
        vec![
            (user.to_owned(), "phone".to_owned()),
            (user.to_owned(), "tablet".to_owned()),
        ]
    };
    let (ana, boss) = (
        stack.token("acme", "ana", &[], &[]),
        stack.token("acme", "boss", &["admin"], &[]),
    );
    assert_eq!(ids(&stack.get("devices", &ana).await.ok()), of("ana"));
    assert_eq!(
        ids(&stack.get("devices?user=ana", &ana).await.ok()),
        of("ana")
    );
    assert_eq!(
        ids(&stack.get("devices?user=ben", &boss).await.ok()),
        of("ben")
    );
    assert_eq!(ids(&stack.get("devices", &boss).await.ok()), []);
    let rejected = stack.get("devices?user=ben", &ana).await;
    assert_eq!(
        (rejected.status, &rejected.json()["code"]),
        (403, &json!("forbidden"))
    );
    let stranger = stack.token("umbrella", "boss", &["admin"], &[]);
    assert_eq!(
        ids(&stack.get("devices?user=ana", &stranger).await.ok()),
        []
    );
}

#[tokio::test]
async fn devices_come_in_pages() {
    let stack = Stack::new();
    let expected: Vec<String> = (0..7).map(|number| format!("device {number}#%ü")).collect();
    for device_id in &expected {
        let mut device = stack.device("ana", device_id);
        device.pull().await;
        device.ack().await.ok();
    }
    let token = stack.token("acme", "ana", &[], &[]);
    let (mut ids, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = stack
            .get(&format!("devices?limit=3{cursor}"), &token)
            .await
            .ok();
        pages += 1;
        ids.extend(
            page["devices"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|device| device["device_id"].as_str().expect("an id").to_owned()),
        );
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        let encoded: String = next.bytes().map(|byte| format!("%{byte:02X}")).collect();
        cursor = format!("&cursor={encoded}");
    }
    assert_eq!((ids, pages), (expected, 3));
    let long = "x".repeat(257);
    for (query, path) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        (&format!("user={long}"), "user"),
        (&format!("cursor={long}"), "cursor"),
    ] {
        let response = stack.get(&format!("devices?{query}"), &token).await;
        assert_eq!(
            (response.status, &response.json()["path"]),
            (400, &json!(path)),
            "{query}"
        );
    }
}

#[tokio::test]
async fn many_devices_with_many_channels_fit_into_an_answer() {
    let stack = Stack::new();
    let groups: Vec<String> = (0..100)
        .map(|number| format!("{number:03}{}", "\u{1}".repeat(253)))
        .collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let token = stack.token("acme", "ana", &[], &groups);
    let mut first = Device::new(&stack, token.clone(), "00");
    first.pull().await;
    for number in 0..60 {
        let body = json!({"ack_token": first.since, "device_id": format!("{number:02}")});
        stack.post("sync/ack", &token, &body).await.ok();
    }
    let (mut found, mut cursor) = (0, String::new());
    loop {
        let response = stack
            .get(&format!("devices?limit=200{cursor}"), &token)
            .await;
        assert!(
            serde_json::to_string(&response.text).expect("text").len() < 5_000_000,
            "{}",
            response.text.len()
        );
        let page = response.ok();
        found += page["devices"].as_array().map_or(0, Vec::len);
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, 60);
}

/// The devices that a list of the tenant shows, as (user, device), and its pages.
async fn of_tenant(stack: &Stack, limit: usize) -> (Vec<(String, String)>, usize) {
    let text = |device: &Value, name: &str| device[name].as_str().expect("text").to_owned();
    let (mut found, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = stack
            .get(
                &format!("devices?scope=tenant&limit={limit}{cursor}"),
                &admin(stack).token,
            )
            .await
            .ok();
        pages += 1;
        let devices = page["devices"].as_array().expect("a list");
        found.extend(
            devices
                .iter()
                .map(|device| (text(device, "user"), text(device, "device_id"))),
        );
        let Some(next) = page["next_cursor"].as_str() else {
            return (found, pages);
        };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn an_admin_sees_every_device_of_the_tenant_in_pages() {
    let stack = Stack::new();
    assert_eq!(of_tenant(&stack, 50).await, (vec![], 1));
    let mut expected = Vec::new();
    for user in ["ana", "ben#%", "zoë"] {
        for device_id in ["phone 1", "tablet#%"] {
            let mut device = stack.device(user, device_id);
            device.pull().await;
            device.ack().await.ok();
            expected.push((user.to_owned(), device_id.to_owned()));
        }
    }
    let mut stranger = Device::new(
        &stack,
        stack.token("acme#", "eve", &["admin"], &[]),
        "phone",
    );
    stranger.pull().await;
    stranger.ack().await.ok();
    let (mut found, pages) = of_tenant(&stack, 4).await;
    found.sort();
    assert_eq!((found, pages), (expected, 2));
    let ana = stack.token("acme", "ana", &["editor"], &[]);
    for path in ["devices?scope=tenant", "devices?scope=tenant&user=ana"] {
        assert_eq!(stack.get(path, &ana).await.status, 403);
    }
    for (query, code, path) in [
        ("scope=all", "invalid_request", "scope"),
        ("scope=tenant&user=ana", "invalid_request", "user"),
        ("scope=tenant&limit=0", "invalid_request", "limit"),
        ("scope=tenant&cursor=phone", "invalid_cursor", "cursor"),
    ] {
        let response = stack
            .get(&format!("devices?{query}"), &admin(&stack).token)
            .await;
        assert_eq!(
            (
                response.status,
                &response.json()["code"],
                &response.json()["path"]
            ),
            (400, &json!(code), &json!(path)),
            "{query}"
        );
    }
}

#[tokio::test]
async fn many_devices_of_a_tenant_with_many_channels_fit_into_answers() {
    let stack = Stack::new();
    let groups: Vec<String> = (0..100)
        .map(|number| format!("{number:03}{}", "\u{1}".repeat(253)))
        .collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let token = stack.token("acme", "ana", &[], &groups);
    let mut first = Device::new(&stack, token.clone(), "00");
    first.pull().await;
    for number in 0..60 {
        let body = json!({"ack_token": first.since, "device_id": format!("{number:02}")});
        stack.post("sync/ack", &token, &body).await.ok();
    }
    let (found, pages) = of_tenant(&stack, 200).await;
    assert!(
        found.len() == 60 && pages > 1,
        "{} devices on {pages} pages",
        found.len()
    );
}

#[tokio::test]
async fn a_device_says_which_conflicts_wait_for_it() {
    let stack = Stack::new();
    let boss = admin(&stack);
    let edit = |action: &str, version: u64, reading: u64| {
        json!({"resource_type": "meter", "action": action, "client_version": version, "base_version": version,
            "payload": {"id": "m", "reading": reading}})
    };
    boss.push_one(edit("create", 0, 1)).await;
    boss.push_one(edit("update", 1, 2)).await;
    stack.settle().await;
    let mut ana = stack.device("ana", "phone");
    ana.pull().await;
    ana.ack().await.ok();
    let conflicts = async || {
        let told =
            stack.get("devices?scope=tenant", &boss.token).await.ok()["devices"][0]["conflicts"]
                .clone();
        assert_eq!(
            told,
            stack.get("devices", &ana.token).await.ok()["devices"][0]["conflicts"],
            "the user sees the same"
        );
        [told["open"].as_u64(), told["unacknowledged"].as_u64()].map(Option::unwrap_or_default)
    };
    assert_eq!(conflicts().await, [0, 0]);
    let id = ana.push_one(edit("update", 1, 3)).await["conflict_id"].clone();
    // Another device's, and another user's: not this one's.
    stack
        .device("ana", "tablet")
        .push_one(edit("update", 1, 4))
        .await;
    stack
        .device("ben", "phone")
        .push_one(edit("update", 1, 5))
        .await;
    assert_eq!(conflicts().await, [1, 0]);
    stack.advance(chrono::Duration::minutes(5));
    let path = format!("conflicts/{}/resolve", id.as_str().expect("an id"));
    stack
        .post(&path, &boss.token, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    assert_eq!(conflicts().await, [0, 1]);
    // A pull before the log has it, acknowledged after the decision: the log says that the device
    // has not got it.
    let mut phone = stack.device("ana", "phone");
    phone.since = ana.since.clone();
    stack.advance(chrono::Duration::minutes(5));
    phone.pull().await;
    phone.ack().await.ok();
    stack.settle().await;
    assert_eq!(conflicts().await, [0, 1]);
    phone.pull().await;
    assert_eq!(conflicts().await, [0, 1], "pulled, and not acknowledged");
    phone.ack().await.ok();
    assert_eq!(conflicts().await, [0, 0]);
    // A day later nobody looks into the log any more.
    stack.advance(chrono::Duration::hours(25));
    phone.pull().await;
    phone.ack().await.ok();
    for row in stack.segments() {
        stack.dynamodb(
            "DeleteItem",
            &json!({"TableName": "changes", "Key": {"pk": row["pk"], "sk": row["sk"]}}),
        );
    }
    assert_eq!(conflicts().await, [0, 0]);
}
