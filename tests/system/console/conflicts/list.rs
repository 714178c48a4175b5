//! The list of conflicts, its file, and the page Today.

use lambda_http::http::header;
use tidemark_tests::Stack;

use super::{conflict_of, edit, push};
use crate::console::{audit::all_pages, browser::Browser, deployment};

/// Opens conflicts about this number of meters, each with the office's version and Ana's.
pub(super) async fn many(stack: &Stack, count: usize) -> Vec<String> {
    let numbers: Vec<usize> = (0..count).collect();
    let mut ids = Vec::new();
    for some in numbers.chunks(50) {
        let items = |action: &str, version: u64, n: u64| -> Vec<String> {
            let fields = format!(r#"{{"n":{n}}}"#);
            let id = |number: &usize| format!("m-{number:03}");
            some.iter()
                .map(|number| edit(action, &id(number), version, &fields))
                .collect()
        };
        push(stack, "office", &items("create", 0, 1)).await;
        push(stack, "office", &items("update", 1, 2)).await;
        let results = push(stack, "ana", &items("update", 1, 3)).await;
        ids.extend(results.iter().map(conflict_of));
    }
    ids
}

#[tokio::test]
async fn pages_contain_every_conflict_once() {
    let stack = deployment();
    let mut expected = many(&stack, 60).await;
    let mut browser = Browser::signed_in(&stack, &["viewer"]);
    let pages = all_pages(&mut browser, "conflicts?user=ana&order=newest").await;
    assert!(pages.len() >= 3, "{}", pages.len());

    let links = pages
        .iter()
        .flat_map(|page| page.split("/conflicts/").skip(1));
    let mut shown: Vec<String> = links
        .filter_map(|rest| Some(rest.split_once('?')?.0.to_owned()))
        .collect();
    shown.sort();
    expected.sort();
    assert_eq!(shown, expected);
    assert!(pages[1].contains("First page"), "{}", pages[1]);
}

#[tokio::test]
async fn filter_selects_conflicts() {
    let stack = deployment();
    many(&stack, 2).await;
    let mut browser = Browser::signed_in(&stack, &["viewer"]);
    for (query, count) in [
        ("", 2),
        (
            "?type=meter&user=ana&device_id=ana-phone&code=version_mismatch&channel=tenant",
            2,
        ),
        ("?resource_id=m-001", 1),
        ("?user=ben", 0),
        ("?status=resolved", 0),
        ("?detected_from=2200-01-01T00:00", 0),
        ("?detected_until=2200-01-01T00:00&status=all", 2),
    ] {
        let page = browser.get(&format!("conflicts{query}")).await;
        assert_eq!(page.status, 200, "{query}");
        let rows = page.text.matches("<th scope=\"row\">").count();
        assert_eq!(rows, count, "{query}");
        assert_eq!(page.text.contains("class=\"empty\""), count == 0, "{query}");
    }

    let page = browser.get("conflicts?channel=nowhere").await;
    assert_eq!(page.status, 400);
    assert!(page.text.contains("value=\"nowhere\""), "{}", page.text);
    assert_eq!(browser.get("conflicts?cursor=x").await.status, 400);
}

#[tokio::test]
async fn file_has_a_row_for_each_conflict() {
    let stack = deployment();
    let fields = r#"{"n":1}"#;
    for id in ["=1+1", "m-2"] {
        push(&stack, "office", &[edit("create", id, 0, fields)]).await;
        push(&stack, "office", &[edit("update", id, 1, r#"{"n":2}"#)]).await;
        let results = push(&stack, "ana", &[edit("update", id, 1, r#"{"n":3}"#)]).await;
        conflict_of(&results[0]);
    }
    let mut browser = Browser::signed_in(&stack, &["viewer"]);
    let file = browser.get("conflicts.csv?user=ana").await;
    assert_eq!(file.status, 200);
    let kind = &file.headers[header::CONTENT_TYPE];
    assert_eq!(kind, "text/csv; charset=utf-8");
    assert_eq!(
        file.headers[header::CONTENT_DISPOSITION],
        "attachment; filename=\"conflicts.csv\""
    );
    assert_eq!(file.text.lines().count(), 3, "{}", file.text);
    for text in [
        "\"'=1+1\"",
        "\"m-2\"",
        "\"version_mismatch\"",
        "\"ana-phone\"",
    ] {
        assert!(file.text.contains(text), "{text} in {}", file.text);
    }

    let none = browser.get("conflicts.csv?user=ben").await;
    assert_eq!(none.text.lines().count(), 1, "{}", none.text);
    assert_eq!(browser.get("conflicts.csv?code=none").await.status, 400);
}

#[tokio::test]
async fn today_counts_open_conflicts() {
    let stack = deployment();
    let mut browser = Browser::signed_in(&stack, &["viewer"]);
    let empty = browser.get("today").await;
    assert!(
        empty.text.contains("No conflict is open."),
        "{}",
        empty.text
    );

    many(&stack, 3).await;
    let page = browser.get("today").await;
    let link = "href=\"./conflicts?type=meter&amp;code=version_mismatch\">3</a>";
    assert!(page.text.contains(link), "{}", page.text);
    let list = browser
        .get("conflicts?type=meter&code=version_mismatch")
        .await;
    assert_eq!(list.text.matches("<th scope=\"row\">").count(), 3);
}

/// Follows the links from the first conflict of a list to the last one.
#[tokio::test]
async fn next_conflicts_follow_the_list() {
    let stack = deployment();
    let ids = many(&stack, 3).await;
    for order in ["oldest", "newest"] {
        let mut browser = Browser::signed_in(&stack, &["viewer"]);
        let list = browser.get(&format!("conflicts?order={order}")).await;
        let mut seen = Vec::new();
        let mut next = first_link(&list.text, "<th scope=\"row\">");
        while let Some(path) = next {
            assert!(seen.len() < 3, "{path}");
            let page = browser.get(&path).await;
            assert_eq!(page.status, 200, "{path}");
            seen.push(path.split(['/', '?']).nth(1).unwrap().to_owned());
            next = first_link(&page.text, "Back to the list</a>");
        }
        seen.sort();
        let mut expected = ids.clone();
        expected.sort();
        assert_eq!(seen, expected, "{order}");
    }
}

/// Returns the target of the link that follows a text directly.
fn first_link(page: &str, after: &str) -> Option<String> {
    let (_, rest) = page.split_once(after)?;
    let (target, _) = rest.strip_prefix("<a href=\"")?.split_once('"')?;
    let path = target.replace("&amp;", "&").replace("../", "");
    path.strip_prefix("./").map(ToOwned::to_owned)
}
