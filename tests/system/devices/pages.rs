//! The pages of the list of devices: cursors, the bound of a response, and the list of a whole
//! tenant.

use serde_json::json;
use tidemark_core::wire::cursor;
use tidemark_tests::{Device, Stack};

use super::{admin, listed};

#[tokio::test]
async fn devices_are_paginated() {
    let stack = Stack::new();
    let expected: Vec<String> = (0..7).map(|number| format!("device {number}#%ü")).collect();
    for device_id in &expected {
        let mut device = stack.device("ana", device_id);
        device.pull_and_ack().await;
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

/// Creates 60 devices of one user, each with 100 channels whose names need many escapes. Returns
/// the user's token.
async fn devices_with_many_channels(stack: &Stack) -> String {
    let groups: Vec<String> = (0..100)
        .map(|number| format!("{number:03}{}", "\u{1}".repeat(253)))
        .collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let token = stack.token("acme", "ana", &[], &groups);

    let mut first = Device::new(stack, token.clone(), "00");
    first.pull().await;
    for number in 0..60 {
        let body = json!({"ack_token": first.since(), "device_id": format!("{number:02}")});
        stack.post("sync/ack", &token, &body).await.ok();
    }
    token
}

#[tokio::test]
async fn devices_with_many_channels_fit_responses() {
    let stack = Stack::new();
    let token = devices_with_many_channels(&stack).await;

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

/// Returns the devices in the tenant's list as (user, device id), and the number of pages.
async fn of_tenant(stack: &Stack, limit: usize) -> (Vec<(String, String)>, usize) {
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
        found.extend(listed(&page));
        let Some(next) = page["next_cursor"].as_str() else {
            return (found, pages);
        };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn admin_lists_all_tenant_devices_in_pages() {
    let stack = Stack::new();
    assert_eq!(of_tenant(&stack, 50).await, (vec![], 1));
    let mut expected = Vec::new();
    for user in ["ana", "ben#%", "zoë"] {
        for device_id in ["phone 1", "tablet#%"] {
            let mut device = stack.device(user, device_id);
            device.pull_and_ack().await;
            expected.push((user.to_owned(), device_id.to_owned()));
        }
    }

    let mut stranger = Device::new(
        &stack,
        stack.token("acme#", "eve", &["admin"], &[]),
        "phone",
    );
    stranger.pull_and_ack().await;

    let (mut found, pages) = of_tenant(&stack, 4).await;
    found.sort();
    assert_eq!((found, pages), (expected, 2));

    let ana = stack.token("acme", "ana", &["editor"], &[]);
    for path in ["devices?scope=tenant", "devices?scope=tenant&user=ana"] {
        assert_eq!(stack.get(path, &ana).await.status, 403);
    }

    // The user is escaped in the key of a device.
    let long = cursor::encode("devices?scope=tenant", [&"#".repeat(1024), "phone"]);
    for (query, code, path) in [
        ("scope=all", "invalid_request", "scope"),
        ("scope=tenant&user=ana", "invalid_request", "user"),
        ("scope=tenant&limit=0", "invalid_request", "limit"),
        ("scope=tenant&cursor=phone", "invalid_cursor", "cursor"),
        (
            &format!("scope=tenant&cursor={long}"),
            "invalid_cursor",
            "cursor",
        ),
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
async fn tenant_devices_with_many_channels_fit_responses() {
    let stack = Stack::new();
    devices_with_many_channels(&stack).await;

    let (found, pages) = of_tenant(&stack, 200).await;
    assert!(
        found.len() == 60 && pages > 1,
        "{} devices on {pages} pages",
        found.len()
    );
}
