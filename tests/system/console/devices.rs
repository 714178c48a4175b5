//! The page Devices.

use chrono::Duration;
use serde_json::json;
use tidemark_tests::scenario::{meter, open_conflict, resolve};

use super::{audit::all_pages, browser::Browser, deployment};

#[tokio::test]
async fn devices_are_listed_in_pages() {
    let stack = deployment();
    for (user, id) in [("ana", "phone"), ("ana", "<img>"), ("ben", "phone")] {
        stack.device(user, id).pull_and_ack().await;
    }
    let mut browser = Browser::signed_in(&stack, &["viewer"]);

    let pages = all_pages(&mut browser, "devices?limit=1").await;
    // The last page may be empty.
    assert!((3..=4).contains(&pages.len()), "{} pages", pages.len());
    let all = pages.concat();
    for text in ["<bdi>ana</bdi>", "<bdi>ben</bdi>", "<bdi>&lt;img&gt;</bdi>"] {
        assert!(all.contains(text), "{text} in {all}");
    }
    assert!(!all.contains("<img"), "{all}");

    let of_ana = all_pages(&mut browser, "devices?limit=1&user=ana").await;
    assert_eq!(of_ana.len(), 2);
    assert!(!of_ana.concat().contains("<bdi>ben</bdi>"));
    let nobody = browser.get("devices?user=eve").await.text;
    assert!(nobody.contains("No device of this user"), "{nobody}");
    assert_eq!(browser.get("devices?cursor=x").await.status, 400);
}

#[tokio::test]
async fn lag_and_conflicts_are_shown() {
    let stack = deployment();
    let fields = [json!({"n": 1}), json!({"n": 2}), json!({"n": 3})];
    let id = open_conflict(&stack, "m", fields).await;
    let mut ana = stack.device("ana", "phone");
    stack.settle().await;
    ana.pull_and_ack().await;
    let mut browser = Browser::signed_in(&stack, &["viewer"]);
    let page = browser.get("devices").await.text;
    let link = "href=\"./conflicts?user=ana&amp;device_id=phone\">1 open</a>";
    assert!(page.contains(link) && page.contains("up to date"), "{page}");

    stack.advance(Duration::minutes(5));
    resolve(&stack, &json!(id), &json!({"resolution": "accept_client"}))
        .await
        .ok();
    // The device acknowledges again before the resolution is in the log.
    stack.advance(Duration::minutes(1));
    ana.pull_and_ack().await;
    stack.settle().await;
    let office = stack.device("office", "pc");
    office
        .push_one(meter("update", "m", 3, json!({"n": 4})))
        .await;
    stack.settle().await;
    stack.advance(Duration::seconds(90));
    let page = browser.get("devices").await.text;
    for text in [
        ">0 open</a>",
        "1 resolved, not yet on the device",
        "<bdi>tenant</bdi>: up to 1 min 30 s behind",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
}
