//! The page Status.

use chrono::Duration;
use serde_json::json;
use tidemark_tests::{Device, Item, Stack};

use super::{audit::all_pages, browser::Browser, deployment};

async fn create(stack: &Stack, id: &str, channel: &str) {
    let boss = Device::new(stack, stack.token("acme", "boss", &["admin"], &[]), "desk");
    let task = Item::create("task", id, json!({"title": "x"})).channel(channel);
    assert_eq!(boss.push_one(task).await["status"], "ok");
}

#[tokio::test]
async fn channels_are_listed_in_pages() {
    let stack = deployment();
    create(&stack, "a", "tenant").await;
    stack.settle().await;
    stack.advance(Duration::seconds(90));
    create(&stack, "b", "group/<img> #%").await;
    stack.settle().await;

    let mut browser = Browser::signed_in(&stack, &["viewer"]);
    let pages = all_pages(&mut browser, "status?limit=1").await;
    // The last page may be empty.
    assert!((2..=3).contains(&pages.len()), "{} pages", pages.len());
    assert!(pages[0].contains("<bdi>group/&lt;img&gt; #%</bdi>") && !pages[0].contains("<img"));
    assert!(pages[0].contains("./status?channel=group%2F%3Cimg%3E+%23%25"));
    for text in ["<bdi>tenant</bdi>", "1 min 30 s", ">Refresh</a>", ">0</dd>"] {
        assert!(pages[1].contains(text), "{text} in {}", pages[1]);
    }
}

#[tokio::test]
async fn channel_is_compared_with_its_log() {
    let stack = deployment();
    create(&stack, "a", "tenant").await;
    stack.settle().await;
    create(&stack, "b", "tenant").await;
    stack.advance(Duration::seconds(90));

    let mut browser = Browser::signed_in(&stack, &["viewer"]);
    let page = browser.get("status?channel=tenant").await;
    assert_eq!(page.status, 200);
    for text in [
        "<td>1</td>",
        "<dt>Resources on this page</dt><dd>2</dd>",
        "1 min 30 s ago",
        ">All channels</a>",
        "href=\"./status?channel=tenant\">Refresh</a>",
    ] {
        assert!(page.text.contains(text), "{text} in {}", page.text);
    }
    assert_eq!(browser.get("status?channel=x").await.status, 400);
    assert_eq!(browser.get("status?cursor=x").await.status, 400);
}
