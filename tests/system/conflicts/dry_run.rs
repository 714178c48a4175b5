//! `dry_run` of a resolution: it writes nothing, and returns what the same request would store, or
//! the reason why it would be rejected.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidemark_tests::Stack;

use super::{conflicted, conflicted_by, meter, resolve, shown};

/// Returns the rows of every table.
pub(super) fn all_rows(stack: &Stack) -> BTreeMap<String, Vec<Value>> {
    let listed = stack.dynamodb("ListTables", &json!({}));
    let tables = listed["TableNames"].as_array().expect("tables").iter();
    tables
        .map(|table| table.as_str().expect("a name"))
        .map(|table| (table.to_owned(), stack.rows(table)))
        .collect()
}

/// Returns the request as a dry run.
fn dry(request: &Value) -> Value {
    let mut request = request.clone();
    request["dry_run"] = true.into();
    request
}

/// Returns one request for each resolution, all of which can be made.
fn requests() -> [Value; 4] {
    [
        json!({"resolution": "accept_client", "note": "Ana was there"}),
        json!({"resolution": "accept_server"}),
        json!({"resolution": "manual_merge", "payload": {"code": "M", "reading": 46}}),
        json!({"resolution": "field_pick", "fields": {"code": "client", "note": {"value": 1}},
            "expected_server_version": 2}),
    ]
}

#[tokio::test]
async fn dry_run_predicts_response_and_writes_nothing() {
    for request in requests() {
        let stack = Stack::new();
        let id = conflicted_by(&stack, "m-1", json!({"code": "B", "reading": 42})).await;
        let before = all_rows(&stack);

        let mut predicted = resolve(&stack, &id, &dry(&request)).await.ok();
        assert_eq!(all_rows(&stack), before, "{request}");
        assert_eq!(
            [&predicted["status"], &predicted["dry_run"]],
            [&json!("open"), &json!(true)]
        );
        assert_eq!(shown(&stack, &id).await["status"], "open");

        predicted["status"] = "resolved".into();
        predicted.as_object_mut().expect("a body").remove("dry_run");
        let made = resolve(&stack, &id, &request).await.ok();
        assert_eq!(predicted, made);
        assert!(made["server_payload"].is_object(), "{made}");
    }
}

/// Asserts that a dry run is rejected like the request, with this code, and writes nothing.
async fn assert_predicts_problem(stack: &Stack, id: &str, request: &Value, code: &str) {
    let before = all_rows(stack);
    let predicted = resolve(stack, id, &dry(request)).await;
    assert_eq!(all_rows(stack), before, "{request}");

    let made = resolve(stack, id, request).await;
    let without_id = |mut problem: Value| {
        problem["request_id"].take();
        problem
    };
    assert_eq!(predicted.status, made.status);
    let predicted = without_id(predicted.json());
    assert_eq!(predicted, without_id(made.json()));
    assert_eq!(predicted["code"], code, "{predicted}");
}

#[tokio::test]
async fn dry_run_returns_reason_of_rejection() {
    let stack = Stack::new();
    let id = conflicted_by(&stack, "m-1", json!({"code": "B"})).await;
    stack
        .device("office", "pc")
        .push_one(meter("create", "m-2", 0, json!({"code": "B"})))
        .await;

    let deep = (0..64).fold(json!(1), |inner, _| json!([inner]));
    for (request, code) in [
        (json!({"resolution": "accept_client"}), "unique_violation"),
        (
            json!({"resolution": "field_pick", "fields": {"code": "client"},
                "expected_server_version": 2}),
            "unique_violation",
        ),
        (
            json!({"resolution": "accept_client", "expected_server_version": 1}),
            "version_changed",
        ),
        (
            json!({"resolution": "manual_merge", "payload": {"a": deep}}),
            "unprocessable",
        ),
        (json!({"resolution": "manual_merge"}), "invalid_request"),
    ] {
        assert_predicts_problem(&stack, &id, &request, code).await;
    }
    let accept = json!({"resolution": "accept_client"});
    assert_predicts_problem(&stack, "conf-unknown", &accept, "not_found").await;
}

/// A value that the resource holds already is no violation.
#[tokio::test]
async fn own_unique_value_is_no_violation() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let create = meter("create", "m-2", 0, json!({"code": "B"}));
    stack.device("office", "pc").push_one(create).await;
    let merge = dry(&json!({"resolution": "manual_merge", "payload": {"code": "B"}}));
    assert_eq!(resolve(&stack, &id, &merge).await.status, 409);

    // Simulates a field that was declared unique after the resource had got its value.
    let held = |row: &Value| row["holder_id"]["S"] == "m-2";
    let mut row = stack
        .rows("unique_keys")
        .into_iter()
        .find(held)
        .expect("the row");
    row["holder_id"] = json!({"S": "m-1"});
    stack.dynamodb("PutItem", &json!({"TableName": "unique_keys", "Item": row}));
    let predicted = resolve(&stack, &id, &merge).await.ok();
    assert_eq!(predicted["server_payload"], json!({"code": "B"}));
}

#[tokio::test]
async fn dry_run_of_resolved_conflict_returns_outcome() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let accept = json!({"resolution": "accept_client"});
    let mut made = resolve(&stack, &id, &accept).await.ok();

    made["dry_run"] = true.into();
    assert_eq!(resolve(&stack, &id, &dry(&accept)).await.ok(), made);
    let other = resolve(&stack, &id, &dry(&json!({"resolution": "accept_server"}))).await;
    assert_eq!(
        (other.status, &other.json()["code"]),
        (409, &json!("already_resolved"))
    );
    assert_eq!(stack.rows("audit_log").len(), 1);
}

#[tokio::test]
async fn direct_invocation_can_be_dry() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let before = all_rows(&stack);
    let event = json!({"conflict_id": id, "tenant": "acme", "resolved_by": "ops",
        "resolution": "accept_client", "dry_run": true});
    let response = stack.invoke("resolve", &event).await;
    assert_eq!(
        [&response["status"], &response["server_version"]],
        [&json!("open"), &json!(3)]
    );
    assert_eq!(all_rows(&stack), before);
}
