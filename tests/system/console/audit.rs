//! The page Audit and its file.

use chrono::Duration;
use lambda_http::http::header;
use serde_json::json;
use tidemark_tests::{
    Stack, noise,
    scenario::{open_conflict, resolve},
};

use super::{browser::Browser, deployment};

/// Returns the path of the next page that a list links to.
pub(super) fn next_page(page: &str) -> Option<String> {
    let (before, _) = page.split_once("\" rel=\"next\"")?;
    let (_, reference) = before.rsplit_once("href=\"")?;
    let path = reference.replace("&amp;", "&").replace("../", "");
    path.strip_prefix("./").map(ToOwned::to_owned)
}

/// Opens a list and all its further pages. Returns their texts.
pub(super) async fn all_pages(browser: &mut Browser<'_>, path: &str) -> Vec<String> {
    let (mut pages, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next {
        assert!(pages.len() < 100, "the list does not end");
        let response = browser.get(&path).await;
        assert_eq!(response.status, 200, "{path}: {}", response.text);
        next = next_page(&response.text);
        pages.push(response.text);
    }
    pages
}

/// Resolves a conflict about each of these meters, a second apart.
async fn resolve_each(stack: &Stack, meters: &[&str], note: &str) {
    for meter in meters {
        let fields = [json!({"n": 40}), json!({"n": 41}), json!({"n": 42})];
        let id = open_conflict(stack, meter, fields).await;
        stack.advance(Duration::seconds(1));
        let decision = json!({"resolution": "accept_client", "note": note});
        resolve(stack, &json!(id), &decision).await.ok();
    }
}

#[tokio::test]
async fn entries_are_shown_with_changes() {
    let stack = deployment();
    resolve_each(&stack, &["m-1"], "<img src=x onerror=alert(1)>").await;
    let page = Browser::signed_in(&stack, &["viewer"]).get("audit").await;
    assert_eq!(page.status, 200);
    for text in [
        "<bdi>root</bdi>",
        "resolved a conflict: applied the device's edits",
        "<bdi>m-1</bdi>",
        "<bdi>phone</bdi> of <bdi>ana</bdi>",
        "/payload/n",
        "<del>41</del>",
        "<ins>42</ins>",
        "&lt;img src=x",
        "href=\"./conflicts/conf-",
    ] {
        assert!(page.text.contains(text), "{text} in {}", page.text);
    }
    assert!(!page.text.contains("<img"), "{}", page.text);
    assert!(!page.text.contains("<del>m-1"), "only changes are shown");
}

#[tokio::test]
async fn order_and_cursor_are_in_address() {
    let stack = deployment();
    let meters = ["m-1", "m-2", "m-3"];
    resolve_each(&stack, &meters, "why").await;
    let mut browser = Browser::signed_in(&stack, &["admin"]);

    let newest = all_pages(&mut browser, "audit?limit=1").await;
    assert_eq!(newest.len(), 3);
    for (page, meter) in newest.iter().zip(["m-3", "m-2", "m-1"]) {
        assert!(page.contains(&format!("<bdi>{meter}</bdi>")), "{page}");
        assert_eq!(page.matches("the conflict</a>").count(), 1, "{page}");
    }
    assert!(newest[1].contains(">First page</a>"));

    let oldest = browser.get("audit?limit=1&order=oldest").await.text;
    assert!(oldest.contains("<bdi>m-1</bdi>"), "{oldest}");
    // The oldest log goes on: its last page has a link, too.
    let next = next_page(&oldest).unwrap();
    let other_order = next.replace("order=oldest", "order=newest");
    for (path, status) in [
        (next.as_str(), 200),
        (&other_order, 400),
        ("audit?limit=51", 400),
        ("audit?order=up", 400),
    ] {
        assert_eq!(browser.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn page_is_a_file_without_formulas() {
    let stack = deployment();
    resolve_each(&stack, &["m-1", "m-2"], "=cmd()").await;
    let mut browser = Browser::signed_in(&stack, &["viewer"]);
    let page = browser.get("audit?limit=1").await.text;
    assert!(page.contains("href=\"./audit.csv?limit=1\""), "{page}");

    let file = browser.get("audit.csv?limit=1").await;
    let headers = &file.headers;
    assert_eq!(headers[header::CONTENT_TYPE], "text/csv; charset=utf-8");
    let disposition = &headers[header::CONTENT_DISPOSITION];
    assert_eq!(disposition, "attachment; filename=\"audit.csv\"");
    let lines: Vec<&str> = file.text.trim_start_matches('\u{feff}').lines().collect();
    assert_eq!(lines.len(), 2, "{}", file.text);
    assert!(lines[0].starts_with("\"id\",\"at\",\"by\","));
    assert!(lines[1].contains(",\"m-2\","), "{}", lines[1]);
    assert!(lines[1].ends_with(",\"'=cmd()\""), "{}", lines[1]);

    let all = browser.get("audit.csv").await.text;
    assert_eq!(all.lines().count(), 3, "{all}");
}

#[tokio::test]
async fn large_entries_are_cut_on_pages() {
    let stack = deployment();
    // The noise does not compress, so the entry is stored in parts.
    let text = |seed| json!({ "text": noise(300 * 1024, seed) });
    let fields = [json!({"text": "x"}), text(1), text(2)];
    let id = open_conflict(&stack, "m-1", fields).await;
    let decision = json!({"resolution": "accept_client"});
    resolve(&stack, &json!(id), &decision).await.ok();

    let page = Browser::signed_in(&stack, &["viewer"]).get("audit").await;
    assert!(page.text.contains("/payload/text"), "{}", page.text);
    assert!(page.text.contains("more characters"), "{}", page.text);
    assert!(page.text.len() < 50_000, "{} bytes", page.text.len());
}
