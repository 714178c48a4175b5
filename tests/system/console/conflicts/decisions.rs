//! Conflicts whose fields cannot be merged: deletes, taken ids and taken unique values.

use serde_json::json;
use tidemark_tests::noise;

use super::{Form, admin, conflict_of, edit, open, outcome, push, send, store, stored};
use crate::console::{browser::Browser, deployment};

#[tokio::test]
async fn delete_is_applied_or_dropped() {
    for (decision, is_deleted) in [("accept_client", true), ("accept_server", false)] {
        let stack = deployment();
        // The last payload of the deleted resource and its audit entry do not fit into one row.
        let large = json!({"n": 1, "text": noise(300_000, 1)}).to_string();
        push(&stack, "office", &[edit("create", "m-1", 0, &large)]).await;
        push(&stack, "office", &[edit("update", "m-1", 1, r#"{"n":2}"#)]).await;
        let delete = edit("delete", "m-1", 1, r#""x":0}"#).replace(",\"x\":0", "");
        let id = conflict_of(&push(&stack, "ana", &[delete]).await[0]);

        let mut browser = admin(&stack);
        let mut form = open(&mut browser, &id).await;
        assert_eq!((form.picked("decision"), form.count("decision")), (None, 2));
        let without = send(&mut browser, &form, "store").await;
        assert_eq!(without.status, 422, "{}", without.text);

        form.pick("decision", decision);
        store(&mut browser, &form).await;
        assert_eq!(outcome(&stack, &id).await["resolution"], decision);
        let row = &stack.rows("resources")[0];
        assert_eq!(row["deleted"]["BOOL"] == true, is_deleted, "{decision}");

        let today = browser.get("today").await;
        assert!(
            today.text.contains(&format!("conflicts/{id}")),
            "{}",
            today.text
        );
    }
}

#[tokio::test]
async fn taken_unique_value_is_replaced() {
    let stack = deployment();
    push(
        &stack,
        "office",
        &[edit("create", "m-2", 0, r#"{"code":"A"}"#)],
    )
    .await;
    let create = edit("create", "m-1", 0, r#"{"code":"A","reading":42.50}"#);
    let id = conflict_of(&push(&stack, "ana", &[create]).await[0]);

    let mut browser = admin(&stack);
    let page = browser
        .get(&format!("conflicts/{id}?list=user%3Dana"))
        .await;
    assert!(page.text.contains("resource_id=m-2"), "{}", page.text);
    let mut form = Form::of(&page.text);
    assert_eq!(
        form.count("decision"),
        2,
        "the edits cannot be applied as they are"
    );
    assert_eq!(form.value("value:/code"), "\"A\"");

    form.pick("decision", "other_values");
    form.enter("value:/code", "B");
    let again = send(&mut browser, &form, "store").await;
    assert_eq!(again.status, 422, "{}", again.text);
    let mut form = Form::of(&again.text);
    assert_eq!(form.picked("decision"), Some("other_values"));
    assert_eq!(form.value("value:/code"), "B");

    form.enter("value:/code", "\"A\"");
    let again = send(&mut browser, &form, "store").await;
    assert_eq!(again.status, 409, "{}", again.text);
    assert!(
        again.text.contains("href=\"#value-code\""),
        "{}",
        again.text
    );

    form.enter("value:/code", "\"B\"");
    store(&mut browser, &form).await;
    let expected = (1, r#"{"code":"B","reading":42.50}"#.to_owned());
    assert_eq!(stored(&stack, "m-1"), expected);
}

#[tokio::test]
async fn create_with_taken_value_is_dropped() {
    let stack = deployment();
    push(
        &stack,
        "office",
        &[edit("create", "m-2", 0, r#"{"code":"A"}"#)],
    )
    .await;
    let create = edit("create", "m-1", 0, r#"{"code":"A"}"#);
    let id = conflict_of(&push(&stack, "ana", &[create]).await[0]);

    let mut browser = admin(&stack);
    let mut form = open(&mut browser, &id).await;
    form.pick("decision", "accept_server");
    store(&mut browser, &form).await;
    assert_eq!(stack.rows("resources").len(), 1);
    assert_eq!(outcome(&stack, &id).await["server_version"], 0);
}

#[tokio::test]
async fn taken_id_has_two_decisions() {
    let stack = deployment();
    push(&stack, "office", &[edit("create", "m-1", 0, r#"{"n":1}"#)]).await;
    let create = edit("create", "m-1", 0, r#"{"n":2.0}"#);
    let id = conflict_of(&push(&stack, "ana", &[create]).await[0]);

    let mut viewer = Browser::signed_in(&stack, &["viewer"]);
    let page = viewer.get(&format!("conflicts/{id}")).await;
    assert!(
        page.text.contains("may be two different things"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("name=\"decision\""), "{}", page.text);

    let mut browser = admin(&stack);
    let mut form = open(&mut browser, &id).await;
    form.pick("decision", "accept_client");
    store(&mut browser, &form).await;
    assert_eq!(stored(&stack, "m-1"), (2, r#"{"n":2.0}"#.to_owned()));
}

#[tokio::test]
async fn changed_resource_makes_decision_stale() {
    let stack = deployment();
    push(&stack, "office", &[edit("create", "m-1", 0, r#"{"n":1}"#)]).await;
    let create = edit("create", "m-1", 0, r#"{"n":2.0}"#);
    let id = conflict_of(&push(&stack, "ana", &[create]).await[0]);
    let mut browser = admin(&stack);
    let mut form = open(&mut browser, &id).await;
    form.pick("decision", "accept_client");
    push(&stack, "office", &[edit("update", "m-1", 1, r#"{"n":5}"#)]).await;

    let again = send(&mut browser, &form, "store").await;
    assert_eq!(again.status, 409, "{}", again.text);
    let form = Form::of(&again.text);
    assert_eq!(form.picked("decision"), Some("accept_client"));
    assert_eq!(form.value("expected_server_version"), "2");
    assert_eq!(stored(&stack, "m-1").0, 2);
}
