//! What the catalog decides about unique values: which fields are unique, also after resources
//! exist, and whether the empty text counts as a value.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::http::NoHook;
use tidemark_tests::{Device, Stack, scenario};

use super::{create, delete, patch, statuses};

#[tokio::test]
async fn field_declared_unique_later_claims_nothing() {
    let plain = Stack::configured(&[("CATALOG", "[meter]\nchannel = 'tenant'\nid_prefix = 'm'")]);
    plain
        .device("ana", "phone")
        .push(json!([create("m-1", "A"), create("m-2", "B")]))
        .await;

    let stack = Stack::over(plain.engine.clone(), Arc::new(NoHook));
    let ana = stack.device("ana", "phone");
    assert_eq!(ana.push_one(create("m-3", "A")).await["status"], "ok");

    // A resource that has a value without a claim does not free it after another resource has
    // claimed it.
    assert_eq!(
        ana.push_one(patch("m-1", 1, json!({"code": "C"}))).await["status"],
        "ok"
    );
    assert_eq!(ana.push_one(create("m-4", "A")).await["holder_id"], "m-3");
    assert_eq!(
        ana.push_one(patch("m-2", 1, json!({"code": "D"}))).await["status"],
        "ok"
    );
    assert_eq!(stack.rows("unique_keys").len(), 3);
}

const IGNORES_EMPTY: &str =
    "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\nunique = ['code']\nunique_ignores_empty = true";

#[tokio::test]
async fn empty_string_is_unique_value_by_default() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    assert_eq!(ana.push_one(create("m-1", "")).await["status"], "ok");
    let result = ana.push_one(create("m-2", "")).await;
    assert_eq!(
        (&result["code"], &result["holder_id"]),
        (&json!("unique_violation"), &json!("m-1"))
    );
}

/// Asserts that empty values other than the empty text, and white space, are unique values.
async fn assert_only_empty_text_is_ignored(device: &Device<'_>) {
    for (first, code) in [
        ("a", json!(" ")),
        ("b", json!("\u{0}")),
        ("c", json!([])),
        ("d", json!({})),
        ("e", json!(0)),
        ("f", json!(false)),
    ] {
        let made = create(&format!("m-{first}1"), code.clone());
        assert_eq!(device.push_one(made).await["status"], "ok", "{code}");

        let repeated = create(&format!("m-{first}2"), code.clone());
        assert_eq!(
            device.push_one(repeated).await["code"],
            "unique_violation",
            "{code}"
        );
    }
}

/// Merges a conflict with an empty code as an admin. Returns the payload that is stored.
async fn merge_empty(stack: &Stack, conflict: &Value) -> Value {
    let decision = json!({"resolution": "manual_merge", "payload": {"code": ""}});
    scenario::resolve(stack, conflict, &decision).await.ok()["server_payload"].clone()
}

#[tokio::test]
async fn catalog_may_ignore_empty_unique_values() {
    let stack = Stack::configured(&[("CATALOG", IGNORES_EMPTY)]);
    let ana = stack.device("ana", "phone");
    assert_eq!(
        statuses(
            &ana.push(json!([
                create("m-1", ""),
                create("m-2", ""),
                create("m-3", "A")
            ]))
            .await
        ),
        ["ok"; 3]
    );
    assert_eq!(stack.rows("unique_keys").len(), 1);
    assert_only_empty_text_is_ignored(&ana).await;

    // A value is freed by a change to the empty text, and taken by a change from it.
    assert_eq!(
        ana.push_one(patch("m-3", 1, json!({"code": ""}))).await["status"],
        "ok"
    );
    assert_eq!(
        ana.push_one(patch("m-1", 1, json!({"code": "A"}))).await["status"],
        "ok"
    );
    let taken = ana.push_one(patch("m-2", 1, json!({"code": "A"}))).await;
    assert_eq!(
        (&taken["code"], &taken["holder_id"]),
        (&json!("unique_violation"), &json!("m-1"))
    );

    // A resolution by an admin follows the same rule.
    assert_eq!(
        merge_empty(&stack, &taken["conflict_id"]).await,
        json!({"code": ""})
    );
}

#[tokio::test]
async fn empty_values_held_before_do_not_block() {
    let before = Stack::new();
    let ana = before.device("ana", "phone");
    assert_eq!(
        statuses(
            &ana.push(json!([create("m-1", ""), create("m-2", "B")]))
                .await
        ),
        ["ok", "ok"]
    );

    let stack = Stack::configured_over(
        before.engine.clone(),
        Arc::new(NoHook),
        &[("CATALOG", IGNORES_EMPTY)],
    );
    let ana = stack.device("ana", "phone");
    assert_eq!(
        statuses(
            &ana.push(json!([
                create("m-3", ""),
                patch("m-2", 1, json!({"code": ""}))
            ]))
            .await
        ),
        ["ok", "ok"]
    );

    assert_eq!(
        statuses(
            &ana.push(json!([
                patch("m-1", 1, json!({"code": "B"})),
                delete("m-3", 1)
            ]))
            .await
        ),
        ["ok", "ok"]
    );
}
