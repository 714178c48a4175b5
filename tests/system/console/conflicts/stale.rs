//! A page that was opened before the conflict or its resource changed.

use chrono::Duration;
use serde_json::json;
use tidemark_tests::{Stack, scenario};

use super::{Form, admin, conflicted, edit, open, outcome, push, send, store, stored};
use crate::{
    auth::{Key, good_claims},
    console::{
        browser::{Browser, SESSION, location},
        deployment,
    },
};

const PAYLOADS: [&str; 3] = [
    r#"{"a":1,"b":1,"c":1}"#,
    r#"{"a":2,"b":2,"c":2}"#,
    r#"{"a":3,"b":3,"c":3}"#,
];

#[tokio::test]
async fn picks_that_are_still_valid_are_kept() {
    let stack = deployment();
    let id = conflicted(&stack, "m-1", PAYLOADS).await;
    let mut browser = admin(&stack);
    let mut form = open(&mut browser, &id).await;
    form.pick("/a", "device");
    form.pick("/b", "server");
    form.pick("/c", "value");
    form.enter("value:/c", "9.0");
    form.enter("note", "why");
    push(&stack, "office", &[edit("update", "m-1", 2, r#"{"b":5}"#)]).await;

    let again = send(&mut browser, &form, "store").await;
    assert_eq!(again.status, 409, "{}", again.text);
    assert!(again.text.contains("the server is now at version 3"));
    let mark = "changed since you opened the page";
    assert_eq!(again.text.matches(&format!(">{mark}<")).count(), 1);
    assert_eq!(stored(&stack, "m-1").0, 3);

    let mut form = Form::of(&again.text);
    assert_eq!(form.picked("/a"), Some("device"));
    assert_eq!(form.picked("/b"), None, "the server has another value");
    assert_eq!(form.picked("/c"), Some("value"));
    assert_eq!(form.value("value:/c"), "9.0");
    assert_eq!(form.value("note"), "why");

    form.pick("/b", "server");
    store(&mut browser, &form).await;
    let expected = (4, r#"{"a":3,"b":5,"c":9.0}"#.to_owned());
    assert_eq!(stored(&stack, "m-1"), expected);
}

/// The device sent another edit, so that its values are not those that the page showed.
#[tokio::test]
async fn joined_edit_makes_page_stale() {
    let stack = deployment();
    let id = conflicted(&stack, "m-1", PAYLOADS).await;
    let mut browser = admin(&stack);
    let mut form = open(&mut browser, &id).await;
    for pointer in ["/a", "/b", "/c"] {
        form.pick(pointer, "device");
    }
    let joined = edit("update", "m-1", 2, r#"{"a":4}"#);
    let joined = joined.replace("\"base_version\":2", "\"base_version\":1");
    push(&stack, "ana", &[joined]).await;

    let again = send(&mut browser, &form, "store").await;
    assert_eq!(again.status, 409, "{}", again.text);
    let form = Form::of(&again.text);
    assert_eq!(form.picked("/a"), None);
    assert_eq!(form.picked("/b"), Some("device"));
    assert_eq!(stored(&stack, "m-1").0, 2);
}

#[tokio::test]
async fn resolved_conflict_has_no_actions() {
    let stack = deployment();
    let id = conflicted(&stack, "m-1", PAYLOADS).await;
    let mut browser = admin(&stack);
    let form = open(&mut browser, &id).await;
    let decision = json!({"resolution": "accept_client", "note": "<img src=x>"});
    scenario::resolve(&stack, &json!(id), &decision).await.ok();

    let page = browser.get(&format!("conflicts/{id}")).await;
    let late = send(&mut browser, &form, "server").await;
    assert_eq!((page.status, late.status), (200, 409));
    for text in [&page.text, &late.text] {
        let (_, main) = text.split_once("<main").unwrap();
        assert!(!main.contains("<form"), "{main}");
        for shown in [
            "edits were applied",
            "<bdi>root</bdi>",
            "&lt;img src=x&gt;",
            "not yet",
        ] {
            assert!(main.contains(shown), "{shown} in {main}");
        }
    }
    assert!(
        late.text.contains("resolved in the meantime"),
        "{}",
        late.text
    );
    assert_eq!(outcome(&stack, &id).await["resolution"], "accept_client");
}

#[tokio::test]
async fn form_without_version_stores_nothing() {
    let stack = deployment();
    let id = conflicted(&stack, "m-1", PAYLOADS).await;
    let mut browser = admin(&stack);
    for body in [
        "",
        "action=store",
        "action=store&%2Fa=device&%2Fb=device&%2Fc=device",
    ] {
        let response = browser.post(&format!("conflicts/{id}"), body).await;
        assert_eq!(response.status, 409, "{}", response.text);
    }
    assert_eq!(stored(&stack, "m-1").0, 2);
}

/// Replaces the token of the session by an expired one. Returns the earlier token.
fn expire_session(stack: &Stack, browser: &mut Browser<'_>) -> String {
    let mut claims = good_claims(stack);
    claims["exp"] = (stack.now() - Duration::seconds(1)).timestamp().into();
    let expired = Key::development().sign(&claims);
    let session = browser.cookies.insert(SESSION.to_owned(), expired);
    session.unwrap()
}

/// A redirect to the provider would lose the picks: the policy of the page forbids that a form leads
/// to a provider that redirects to another origin.
#[tokio::test]
async fn picks_survive_an_expired_session() {
    let stack = deployment();
    let id = conflicted(&stack, "m-1", PAYLOADS).await;
    let mut browser = admin(&stack);
    let mut form = open(&mut browser, &id).await;
    form.pick("/a", "device");
    form.pick("/b", "server");
    form.pick("/c", "value");
    form.enter("value:/c", "9.0");
    form.enter("note", "<b>\"why\"");

    let session = expire_session(&stack, &mut browser);
    let page = send(&mut browser, &form, "store").await;
    assert_eq!(page.status, 401, "{}", page.text);
    assert!(browser.cookies.is_empty());
    assert_eq!(stored(&stack, "m-1").0, 2, "nothing is stored");

    let target = format!("sign-in?target=conflicts%2F{id}%3Flist%3Duser%253Dana");
    assert!(page.text.contains(&target), "{target} in {}", page.text);
    assert!(page.text.contains("target=\"_blank\" rel=\"noopener\""));
    browser.cookies.insert(SESSION.to_owned(), session);
    let again = Form::of(&page.text);
    assert_eq!(again.value("note"), "<b>\"why\"");
    let response = send(&mut browser, &again, "").await;
    assert!(location(&response).ends_with(&format!("conflicts/{id}?list=user%3Dana")));

    let expected = (3, r#"{"a":3,"b":2,"c":9.0}"#.to_owned());
    assert_eq!(stored(&stack, "m-1"), expected);
    assert_eq!(outcome(&stack, &id).await["note"], "<b>\"why\"");
}
