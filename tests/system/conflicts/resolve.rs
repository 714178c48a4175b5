//! `POST /conflicts/{id}/resolve`: the effect of each resolution.

use rstest::rstest;
use serde_json::{Value, json};
use tidemark::gateway::ApiKind;
use tidemark_tests::{Stack, noise};

use super::{admin, conflicted, conflicted_by, meter, rejected, resolve, shown, stored};

#[rstest]
#[case::rest(ApiKind::Rest)]
#[case::http(ApiKind::Http)]
#[tokio::test]
async fn accept_client_patches_the_current_payload(#[case] api: ApiKind) {
    let stack = Stack::new().behind(api);
    let id = conflicted(&stack, "m-1").await;
    // Changes that were written after the conflict was detected are kept.
    stack
        .device("office", "pc")
        .push_one(meter("update", "m-1", 2, json!({"place": "cellar"})))
        .await;

    let response = resolve(
        &stack,
        &id,
        &json!({"resolution": "accept_client", "note": "Ana was there"}),
    )
    .await
    .ok();

    insta::assert_json_snapshot!("accept_client_response", response);
    assert_eq!(
        stored(&stack, "m-1"),
        (
            4,
            false,
            r#"{"code":"m-1","reading":42,"place":"cellar"}"#.into()
        )
    );
}

#[tokio::test]
async fn accept_client_applies_joined_edits_together() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let ana = stack.device("ana", "phone");
    let joining = json!([
        meter("update", "m-1", 1, json!({"reading": 43, "note": "x"})),
        meter("update", "m-1", 1, json!({"note": null}))
    ]);
    assert!(
        ana.push(joining)
            .await
            .iter()
            .all(|it| it["conflict_id"] == id.as_str())
    );

    let response = resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    assert_eq!(
        (&response["server_version"], &response["server_payload"]),
        (&json!(3), &json!({"code": "m-1", "reading": 43}))
    );
}

#[tokio::test]
async fn accept_server_keeps_content_under_new_version() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let response = resolve(&stack, &id, &json!({"resolution": "accept_server"}))
        .await
        .ok();
    assert_eq!(
        (&response["server_version"], &response["server_payload"]),
        (&json!(3), &json!({"code": "m-1", "reading": 50}))
    );
    assert_eq!(
        stored(&stack, "m-1"),
        (3, false, r#"{"code":"m-1","reading":50}"#.into())
    );
}

#[tokio::test]
async fn manual_merge_keeps_exact_digits() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let body = r#"{"resolution": "manual_merge", "payload": {"z": 1.0, "id": "ignored", "big": 9007199254740993, "a": 1e300}}"#;
    let path = format!("conflicts/{id}/resolve");
    let response = stack
        .post_bytes(&path, Some(&admin(&stack)), body.as_bytes())
        .await;
    assert_eq!(response.status, 200, "{}", response.text);
    let payload = r#"{"z":1.0,"big":9007199254740993,"a":1e300}"#;
    assert!(response.text.contains(payload), "{}", response.text);
    assert_eq!(stored(&stack, "m-1"), (3, false, payload.into()));
}

#[tokio::test]
async fn accepted_create_replaces_the_existing_resource() {
    let stack = Stack::new();
    stack
        .device("office", "pc")
        .push_one(meter(
            "create",
            "m-1",
            0,
            json!({"code": "A", "reading": 50}),
        ))
        .await;

    let id = rejected(&stack, meter("create", "m-1", 0, json!({"code": "B"}))).await;
    assert_eq!(shown(&stack, &id).await["code"], "id_taken");
    resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    assert_eq!(stored(&stack, "m-1"), (2, false, r#"{"code":"B"}"#.into()));
}

#[tokio::test]
async fn conflicts_with_largest_payloads_are_resolved() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    let (before, after) = (noise(350 * 1024 - 40, 1), noise(350 * 1024 - 41, 2));
    office
        .push_one(meter("create", "m-1", 0, json!({"text": before})))
        .await;
    office
        .push_one(meter("update", "m-1", 1, json!({"n": 1})))
        .await;
    let id = rejected(&stack, meter("update", "m-1", 1, json!({"text": after}))).await;
    rejected(&stack, meter("update", "m-1", 1, json!({"n": 2}))).await;

    let response = resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    assert_eq!(response["server_payload"], json!({"text": after, "n": 2}));

    assert_eq!(stack.rows("audit_log").len(), 2, "the entry takes two rows");
    let entry = &super::audited(&stack).await[0];
    assert_eq!(
        (
            &entry["before"]["payload"]["text"],
            &entry["after"]["payload"]["text"]
        ),
        (&json!(before), &json!(after))
    );
}

#[tokio::test]
async fn resolution_takes_and_frees_unique_values() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    let id = conflicted_by(&stack, "m-1", json!({"code": "B"})).await;
    office
        .push_one(meter("create", "m-2", 0, json!({"code": "B"})))
        .await;
    let rejected = resolve(&stack, &id, &json!({"resolution": "accept_client"})).await;
    let body = rejected.json();
    assert_eq!(
        (rejected.status, &body["code"]),
        (409, &json!("unique_violation"))
    );
    assert_eq!(
        [&body["field"], &body["holder_id"], &body["holder_channel"]],
        [&json!("code"), &json!("m-2"), &json!("tenant")]
    );
    assert_eq!(
        (stored(&stack, "m-1").0, &shown(&stack, &id).await["status"]),
        (2, &json!("open")),
        "nothing is written"
    );

    office
        .push_one(meter("update", "m-2", 1, json!({"code": "C"})))
        .await;
    resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    let taken = office
        .push_one(meter("create", "m-3", 0, json!({"code": "B"})))
        .await;
    assert_eq!(
        (&taken["code"], &taken["holder_id"]),
        (&json!("unique_violation"), &json!("m-1"))
    );
    assert_eq!(
        office
            .push_one(meter("create", "m-4", 0, json!({"code": "m-1"})))
            .await["status"],
        "ok",
        "its old value is free"
    );
}

#[tokio::test]
async fn value_of_another_holder_is_not_freed() {
    let stack = Stack::new();
    let id = conflicted_by(&stack, "m-1", json!({"code": "B"})).await;
    // Simulates a field that was declared unique when two resources already held the value.
    let held = |row: &Value| row["holder_id"]["S"] == "m-1";
    let mut row = stack
        .rows("unique_keys")
        .into_iter()
        .find(held)
        .expect("the row");
    row["holder_id"] = json!({"S": "m-0"});
    stack.dynamodb("PutItem", &json!({"TableName": "unique_keys", "Item": row}));

    resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();

    let mut holders: Vec<_> = stack
        .rows("unique_keys")
        .iter()
        .map(|row| row["holder_id"]["S"].clone())
        .collect();
    holders.sort_by_key(ToString::to_string);
    assert_eq!(holders, ["m-0", "m-1"]);
}
