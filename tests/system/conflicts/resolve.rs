//! `POST /conflicts/{id}/resolve`: what each decision does.

use serde_json::{Value, json};
use tidemark::gateway::ApiKind;
use tidemark_tests::Stack;

use super::{admin, conflicted, conflicted_by, item, noise, rejected, resolve, shown, stored};

#[tokio::test]
async fn accept_client_applies_the_patch_to_the_current_payload() {
    for api in [ApiKind::Rest, ApiKind::Http] {
        let stack = Stack::new().behind(api);
        let id = conflicted(&stack, "m-1").await;
        // What was written since the conflict was detected stays.
        stack
            .device("office", "pc")
            .push_one(item("update", "m-1", 2, json!({"place": "cellar"})))
            .await;
        let response = resolve(
            &stack,
            &id,
            &json!({"resolution": "accept_client", "note": "Ana was there"}),
        )
        .await
        .ok();
        assert_eq!(
            response,
            json!({
                "id": id, "status": "resolved", "resolution": "accept_client", "resolved_by": "root",
                "resolved_at": "2026-09-21T14:13:20.000Z", "note": "Ana was there", "resource_type": "meter",
                "resource_id": "m-1", "channel": "tenant", "server_version": 4,
                "server_payload": {"code": "m-1", "reading": 42, "place": "cellar"},
            })
        );
        assert_eq!(
            stored(&stack, "m-1"),
            (
                4,
                false,
                r#"{"code":"m-1","reading":42,"place":"cellar"}"#.into()
            )
        );
    }
}

#[tokio::test]
async fn accept_client_applies_the_edits_that_joined_in_turn_as_one_version() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let ana = stack.device("ana", "phone");
    let joining = json!([
        item("update", "m-1", 1, json!({"reading": 43, "note": "x"})),
        item("update", "m-1", 1, json!({"note": null}))
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
async fn accept_server_keeps_the_content_and_raises_the_version_all_the_same() {
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
async fn a_manual_merge_stores_its_payload_digit_for_digit() {
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

/// The meter `m-1`, deleted as version 2, and an update of version 1.
async fn deleted(stack: &Stack) -> String {
    let office = stack.device("office", "pc");
    office
        .push_one(item(
            "create",
            "m-1",
            0,
            json!({"code": "A", "reading": 50}),
        ))
        .await;
    office.push_one(item("delete", "m-1", 1, json!({}))).await;
    rejected(stack, item("update", "m-1", 1, json!({"reading": 42}))).await
}

#[tokio::test]
async fn a_conflict_with_a_delete_is_decided_either_way() {
    let stack = Stack::new();
    let id = deleted(&stack).await;
    let response = resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    assert_eq!(
        (&response["server_payload"], response.get("server_deleted")),
        (&json!({"code": "A", "reading": 42}), None)
    );
    assert_eq!(
        stored(&stack, "m-1"),
        (3, false, r#"{"code":"A","reading":42}"#.into())
    );

    let stack = Stack::new();
    let id = deleted(&stack).await;
    let response = resolve(&stack, &id, &json!({"resolution": "accept_server"}))
        .await
        .ok();
    assert_eq!(
        (&response["server_deleted"], &response["server_version"]),
        (&json!(true), &json!(3))
    );
    assert_eq!(
        stored(&stack, "m-1"),
        (3, true, r#"{"code":"A","reading":50}"#.into())
    );

    let stack = Stack::new();
    let id = deleted(&stack).await;
    resolve(
        &stack,
        &id,
        &json!({"resolution": "manual_merge", "payload": {"code": "A"}}),
    )
    .await
    .ok();
    assert_eq!(stored(&stack, "m-1"), (3, false, r#"{"code":"A"}"#.into()));
}

#[tokio::test]
async fn an_accepted_delete_keeps_a_large_payload_apart() {
    let stack = Stack::new();
    let text = noise(50_000);
    stack
        .device("office", "pc")
        .push_one(item("create", "m", 0, json!({"text": text})))
        .await;
    stack
        .device("office", "pc")
        .push_one(item("update", "m", 1, json!({"reading": 50})))
        .await;
    let conflict = rejected(&stack, item("delete", "m", 1, json!({}))).await;
    resolve(&stack, &conflict, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    let (version, is_deleted, payload) = stored(&stack, "m");
    assert_eq!((version, is_deleted), (3, true));
    assert!(payload.contains(&text), "the last payload is kept");
    let row = stack
        .rows("resources")
        .into_iter()
        .find(|row| row["sk"]["S"] == "meter#m")
        .expect("the row");
    assert!(row.to_string().len() < 1_000, "{row}");
}

#[tokio::test]
async fn the_last_payload_is_that_of_the_version_that_was_written() {
    let stack = Stack::new();
    let (theirs, own) = (noise(3_000), noise(3_001));
    stack
        .device("office", "pc")
        .push_one(item("create", "m", 0, json!({"text": theirs})))
        .await;
    // A create is decided as if its id were free, and again once it is not: both times, the delete
    // makes version 3.
    let batch = json!([
        item("create", "m", 0, json!({"own": own})),
        item("update", "m", 1, json!({"reading": 50})),
        item("delete", "m", 2, json!({})),
    ]);
    let results = stack.device("ana", "phone").push(batch).await;
    let told: Vec<_> = results
        .iter()
        .map(|it| {
            (
                it["status"].as_str().unwrap(),
                it["server_version"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(told, [("conflict", 1), ("ok", 2), ("ok", 3)]);
    let (version, is_deleted, payload) = stored(&stack, "m");
    assert_eq!((version, is_deleted), (3, true));
    assert!(
        payload.contains(&theirs) && !payload.contains(&own),
        "{payload}"
    );
}

#[tokio::test]
async fn an_accepted_delete_deletes() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    office
        .push_one(item("create", "m-1", 0, json!({"code": "A"})))
        .await;
    office
        .push_one(item("update", "m-1", 1, json!({"reading": 50})))
        .await;
    let id = rejected(&stack, item("delete", "m-1", 1, json!({}))).await;
    let response = resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    assert_eq!(
        (&response["server_deleted"], &response["server_version"]),
        (&json!(true), &json!(3))
    );
    assert_eq!(
        stored(&stack, "m-1"),
        (3, true, r#"{"code":"A","reading":50}"#.into())
    );
    // Its unique value is free again.
    assert_eq!(
        office
            .push_one(item("create", "m-2", 0, json!({"code": "A"})))
            .await["status"],
        "ok"
    );
}

#[tokio::test]
async fn an_accepted_create_takes_the_place_of_what_stands_under_its_id() {
    let stack = Stack::new();
    stack
        .device("office", "pc")
        .push_one(item(
            "create",
            "m-1",
            0,
            json!({"code": "A", "reading": 50}),
        ))
        .await;
    let id = rejected(&stack, item("create", "m-1", 0, json!({"code": "B"}))).await;
    assert_eq!(shown(&stack, &id).await["code"], "id_taken");
    resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    assert_eq!(stored(&stack, "m-1"), (2, false, r#"{"code":"B"}"#.into()));
}

#[tokio::test]
async fn conflicts_with_the_largest_payloads_are_decided() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    let (before, after) = (noise(350 * 1024 - 40), noise(350 * 1024 - 41));
    office
        .push_one(item("create", "m-1", 0, json!({"text": before})))
        .await;
    office
        .push_one(item("update", "m-1", 1, json!({"n": 1})))
        .await;
    let id = rejected(&stack, item("update", "m-1", 1, json!({"text": after}))).await;
    rejected(&stack, item("update", "m-1", 1, json!({"n": 2}))).await;
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
async fn the_same_decision_again_is_answered_as_the_first_time() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let first = json!({"resolution": "manual_merge", "payload": {"code": "m-1", "reading": 46}, "expected_server_version": 2});
    let response = resolve(&stack, &id, &first).await.ok();
    stack.advance(chrono::Duration::hours(1));
    assert_eq!(
        resolve(&stack, &id, &first).await.ok(),
        response,
        "although the version is another one by now"
    );
    let reordered = json!({"resolution": "manual_merge", "payload": {"reading": 46, "code": "m-1", "id": "m-1"}, "note": "again"});
    assert_eq!(resolve(&stack, &id, &reordered).await.ok(), response);
    let other = json!({"resolution": "manual_merge", "payload": {"code": "m-1", "reading": 46.0}});
    assert_eq!(
        resolve(&stack, &id, &other).await.json()["code"],
        "already_resolved",
        "another payload is another decision"
    );
    assert_eq!(
        (stored(&stack, "m-1").0, stack.rows("audit_log").len()),
        (3, 1),
        "nothing is written twice"
    );

    // Once the resource has moved on, what it held then is not told any more.
    stack
        .device("office", "pc")
        .push_one(item("update", "m-1", 3, json!({"reading": 47})))
        .await;
    let later = resolve(&stack, &id, &first).await.ok();
    assert_eq!(
        (&later["server_version"], &later["server_payload_omitted"]),
        (&json!(3), &json!(true))
    );
    assert_eq!(
        (&later["resolved_at"], later.get("server_payload")),
        (&response["resolved_at"], None)
    );
}

#[tokio::test]
async fn another_decision_is_refused_with_the_one_that_was_made() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    for decision in [
        json!({"resolution": "accept_server"}),
        json!({"resolution": "manual_merge", "payload": {"code": "m-1", "reading": 42}}),
    ] {
        let rejected = resolve(&stack, &id, &decision).await;
        let body = rejected.json();
        assert_eq!(
            (rejected.status, &body["code"]),
            (409, &json!("already_resolved"))
        );
        assert_eq!(
            [
                &body["resolution"],
                &body["resolved_by"],
                &body["resolved_at"]
            ],
            [
                &json!("accept_client"),
                &json!("root"),
                &json!("2026-09-21T14:13:20.000Z")
            ]
        );
    }
    assert_eq!(
        stored(&stack, "m-1"),
        (3, false, r#"{"code":"m-1","reading":42}"#.into())
    );
}

#[tokio::test]
async fn a_device_that_sends_an_accepted_edit_again_is_told_that_it_is_applied() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let sent = item("update", "m-1", 1, json!({"reading": 42}));
    resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    stack
        .device("office", "pc")
        .push_one(item("update", "m-1", 3, json!({"reading": 51})))
        .await;
    let again = stack.device("ana", "phone").push_one(sent).await;
    assert_eq!(
        (&again["status"], &again["server_version"]),
        (&json!("ok"), &json!(3))
    );
    assert_eq!(
        stored(&stack, "m-1"),
        (4, false, r#"{"code":"m-1","reading":51}"#.into()),
        "and it is not applied again"
    );
}

#[tokio::test]
async fn a_resolved_conflict_is_never_reopened() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    resolve(&stack, &id, &json!({"resolution": "accept_server"}))
        .await
        .ok();
    let ana = stack.device("ana", "phone");
    let again = ana
        .push_one(item("update", "m-1", 1, json!({"reading": 42})))
        .await;
    assert_eq!(
        [
            &again["status"],
            &again["conflict_id"],
            &again["resolution"]
        ],
        [&json!("conflict"), &json!(id), &json!("accept_server")],
        "it is answered with its outcome"
    );
    let other = ana
        .push_one(item("update", "m-1", 2, json!({"reading": 43})))
        .await;
    assert_eq!(other["status"], "conflict");
    assert_ne!(other["conflict_id"], id.as_str(), "the item opens its own");
    assert_eq!(shown(&stack, &id).await["edit_count"], 1);
}

#[tokio::test]
async fn what_a_decision_takes_and_frees_of_unique_values_changes_hands_with_it() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    let id = conflicted_by(&stack, "m-1", json!({"code": "B"})).await;
    office
        .push_one(item("create", "m-2", 0, json!({"code": "B"})))
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
        "nothing is half done"
    );

    office
        .push_one(item("update", "m-2", 1, json!({"code": "C"})))
        .await;
    resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    let taken = office
        .push_one(item("create", "m-3", 0, json!({"code": "B"})))
        .await;
    assert_eq!(
        (&taken["code"], &taken["holder_id"]),
        (&json!("unique_violation"), &json!("m-1"))
    );
    assert_eq!(
        office
            .push_one(item("create", "m-4", 0, json!({"code": "m-1"})))
            .await["status"],
        "ok",
        "its old value is free"
    );
}

#[tokio::test]
async fn a_value_that_somebody_else_holds_is_not_freed() {
    let stack = Stack::new();
    let id = conflicted_by(&stack, "m-1", json!({"code": "B"})).await;
    // As if the field had been declared unique when two resources held the value already.
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

#[tokio::test]
async fn an_edit_that_was_applied_by_itself_meanwhile_is_not_applied_again_by_a_decision() {
    let stack = Stack::new();
    let (ana, office) = (stack.device("ana", "phone"), stack.device("office", "pc"));
    office
        .push_one(item("create", "m-1", 0, json!({"reading": 1})))
        .await;
    office
        .push_one(item("update", "m-1", 1, json!({"reading": 2})))
        .await;
    // The second stands in the conflict only because of the first; alone it is good.
    let (first, second) = (
        item("update", "m-1", 1, json!({"reading": 3})),
        item("update", "m-1", 2, json!({"note": "ana's"})),
    );
    let results = ana.push(json!([first, second])).await;
    assert_eq!(results[1]["conflict_id"], results[0]["conflict_id"]);
    assert_eq!(ana.push_one(second).await["server_version"], 3);
    office
        .push_one(item("update", "m-1", 3, json!({"note": "the office's"})))
        .await;
    let id = results[0]["conflict_id"].as_str().expect("an id");
    let response = resolve(&stack, id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    assert_eq!(
        response["server_payload"],
        json!({"reading": 3, "note": "the office's"})
    );
}
