//! The resolution of several conflicts in the same way.

use tidemark_tests::scenario;

use super::{Form, admin, edit, list::many, outcome, push, stored};
use crate::console::{browser::Browser, deployment};

/// Selects all conflicts of the first page of the list, and returns the form of the preview.
async fn previewed(browser: &mut Browser<'_>, query: &str) -> Form {
    let page = browser.get(&format!("conflicts{query}")).await;
    let mut list = Form::of(&page.text);
    list.check_all();
    let preview = browser.post(&list.path(), &list.encoded("")).await;
    assert_eq!(preview.status, 200, "{}", preview.text);
    Form::of(&preview.text)
}

#[tokio::test]
async fn only_the_changed_conflict_remains() {
    let stack = deployment();
    let ids = many(&stack, 25).await;
    let mut browser = admin(&stack);
    let mut form = previewed(&mut browser, "").await;
    assert_eq!(form.count("select"), 25);
    push(
        &stack,
        "office",
        &[edit("update", "m-007", 2, r#"{"n":9}"#)],
    )
    .await;
    form.pick("resolution", "accept_client");
    form.enter("note", "the north tour");

    let result = browser.post(&form.path(), &form.encoded("")).await;
    assert_eq!(result.status, 200);
    assert!(
        result
            .text
            .contains("24 conflicts resolved, 1 not resolved."),
        "{}",
        result.text
    );
    let reason = "the resource is now at version 3";
    assert_eq!(result.text.matches(reason).count(), 1, "{}", result.text);
    assert!(
        result.text.contains(&format!("conflicts/{}\"", ids[7])),
        "{}",
        result.text
    );

    let entries = scenario::audit_entries(&stack, "?limit=200").await;
    assert_eq!(entries.len(), 24);
    for entry in &entries {
        let bulk_id = entry["bulk_id"].as_str().unwrap();
        assert!(result.text.contains(bulk_id), "{entry}");
        assert_eq!(entry["note"], "the north tour");
    }
    assert_eq!(stored(&stack, "m-007"), (3, r#"{"n":9}"#.to_owned()));
    assert_eq!(stored(&stack, "m-008"), (3, r#"{"n":3}"#.to_owned()));
    assert!(outcome(&stack, &ids[7]).await.is_null());
}

#[tokio::test]
async fn preview_writes_nothing() {
    let stack = deployment();
    many(&stack, 2).await;
    let mut browser = admin(&stack);
    let form = previewed(&mut browser, "?type=meter&select=all").await;
    assert_eq!(form.value("list"), "type=meter");
    assert_eq!(form.picked("resolution"), None);

    let again = browser.post(&form.path(), &form.encoded("")).await;
    assert_eq!(again.status, 422, "{}", again.text);
    assert!(
        again.text.contains("Select how to resolve"),
        "{}",
        again.text
    );
    assert_eq!(Form::of(&again.text).count("select"), 2);
    let mut long = form.clone();
    long.pick("resolution", "accept_server");
    long.enter("note", &"x".repeat(2001));
    assert_eq!(
        browser.post(&long.path(), &long.encoded("")).await.status,
        422
    );
    assert_eq!(stored(&stack, "m-001").0, 2);
}

#[tokio::test]
async fn selection_is_bounded() {
    let stack = deployment();
    let ids = many(&stack, 26).await;
    let mut browser = admin(&stack);
    let mut selected: Vec<String> = ids
        .iter()
        .map(|id| format!("select={id}+2+version_mismatch+meter"))
        .collect();
    let all = browser.post("conflicts/resolve", &selected.join("&")).await;
    assert_eq!(all.status, 400, "{}", all.text);
    assert!(all.text.contains("More than 25"), "{}", all.text);

    // A conflict that is selected twice counts once, and malformed selections are dropped.
    selected.truncate(25);
    selected.push(selected[0].clone());
    selected.push("select=x".to_owned());
    let some = browser.post("conflicts/resolve", &selected.join("&")).await;
    assert_eq!(some.status, 200, "{}", some.text);
    for body in ["", "select=x", "select=x+y+z+meter"] {
        let none = browser.post("conflicts/resolve", body).await;
        assert_eq!(none.status, 400, "{}", none.text);
    }
}

#[tokio::test]
async fn viewer_cannot_resolve_several() {
    let stack = deployment();
    many(&stack, 1).await;
    let mut form = previewed(&mut admin(&stack), "").await;
    form.pick("resolution", "accept_client");
    let mut viewer = Browser::signed_in(&stack, &["viewer"]);
    let response = viewer.post(&form.path(), &form.encoded("")).await;
    assert_eq!(response.status, 403);
    let page = viewer.get("conflicts").await;
    assert!(!page.text.contains("checkbox"), "{}", page.text);
    assert_eq!(stored(&stack, "m-000").0, 2);
}
