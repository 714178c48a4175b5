//! After a resolution, a repeated resolution and a retried edit return the outcome and change
//! nothing.

use serde_json::json;
use tidemark_tests::Stack;

use super::{conflicted, meter, resolve, shown, stored};

#[tokio::test]
async fn repeated_resolution_is_idempotent() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let first = json!({"resolution": "manual_merge", "payload": {"code": "m-1", "reading": 46}, "expected_server_version": 2});
    let response = resolve(&stack, &id, &first).await.ok();
    stack.advance(chrono::Duration::hours(1));
    assert_eq!(
        resolve(&stack, &id, &first).await.ok(),
        response,
        "although the version has changed"
    );

    let reordered = json!({"resolution": "manual_merge", "payload": {"reading": 46, "code": "m-1", "id": "m-1"}, "note": "again"});
    assert_eq!(resolve(&stack, &id, &reordered).await.ok(), response);
    let other = json!({"resolution": "manual_merge", "payload": {"code": "m-1", "reading": 46.0}});
    assert_eq!(
        resolve(&stack, &id, &other).await.json()["code"],
        "already_resolved",
        "another payload is another resolution"
    );
    assert_eq!(
        (stored(&stack, "m-1").0, stack.rows("audit_log").len()),
        (3, 1),
        "nothing is written twice"
    );

    // After the resource has changed, the replayed response omits the payload.
    stack
        .device("office", "pc")
        .push_one(meter("update", "m-1", 3, json!({"reading": 47})))
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
async fn other_resolution_gets_already_resolved() {
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
async fn retried_edit_of_accepted_conflict_is_ok() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let sent = meter("update", "m-1", 1, json!({"reading": 42}));
    resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    stack
        .device("office", "pc")
        .push_one(meter("update", "m-1", 3, json!({"reading": 51})))
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
async fn resolved_conflict_is_never_reopened() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    resolve(&stack, &id, &json!({"resolution": "accept_server"}))
        .await
        .ok();

    let ana = stack.device("ana", "phone");
    let again = ana
        .push_one(meter("update", "m-1", 1, json!({"reading": 42})))
        .await;
    assert_eq!(
        [
            &again["status"],
            &again["conflict_id"],
            &again["resolution"]
        ],
        [&json!("conflict"), &json!(id), &json!("accept_server")],
        "the retry returns the outcome"
    );

    let other = ana
        .push_one(meter("update", "m-1", 2, json!({"reading": 43})))
        .await;
    assert_eq!(other["status"], "conflict");
    assert_ne!(
        other["conflict_id"],
        id.as_str(),
        "the item opens another conflict"
    );
    assert_eq!(shown(&stack, &id).await["edit_count"], 1);
}

#[tokio::test]
async fn edit_applied_meanwhile_is_not_applied_twice() {
    let stack = Stack::new();
    let (ana, office) = (stack.device("ana", "phone"), stack.device("office", "pc"));
    office
        .push_one(meter("create", "m-1", 0, json!({"reading": 1})))
        .await;
    office
        .push_one(meter("update", "m-1", 1, json!({"reading": 2})))
        .await;

    // The second edit is in the conflict only because of the first. Alone it can be applied.
    let (first, second) = (
        meter("update", "m-1", 1, json!({"reading": 3})),
        meter("update", "m-1", 2, json!({"note": "ana's"})),
    );
    let results = ana.push(json!([first, second])).await;
    assert_eq!(results[1]["conflict_id"], results[0]["conflict_id"]);
    assert_eq!(ana.push_one(second).await["server_version"], 3);
    office
        .push_one(meter("update", "m-1", 3, json!({"note": "the office's"})))
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
