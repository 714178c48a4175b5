//! Resolutions that involve a delete: of the server's resource, or by the conflicting edit.

use serde_json::json;
use tidemark_tests::{Stack, noise};

use super::{meter, rejected, resolve, stored};

/// Creates the meter `m-1`, deletes it as version 2, and pushes an update that is based on the
/// created version. Returns the conflict's id.
async fn deleted(stack: &Stack) -> String {
    let office = stack.device("office", "pc");
    office
        .push_one(meter(
            "create",
            "m-1",
            0,
            json!({"code": "A", "reading": 50}),
        ))
        .await;
    office.push_one(meter("delete", "m-1", 1, json!({}))).await;
    rejected(stack, meter("update", "m-1", 1, json!({"reading": 42}))).await
}

#[tokio::test]
async fn conflict_with_delete_accepts_every_resolution() {
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
async fn accepted_delete_stores_large_payload_apart() {
    let stack = Stack::new();
    let text = noise(50_000, 1);
    stack
        .device("office", "pc")
        .push_one(meter("create", "m", 0, json!({"text": text})))
        .await;
    stack
        .device("office", "pc")
        .push_one(meter("update", "m", 1, json!({"reading": 50})))
        .await;

    let conflict = rejected(&stack, meter("delete", "m", 1, json!({}))).await;
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
async fn last_payload_matches_the_written_version() {
    let stack = Stack::new();
    let (theirs, own) = (noise(3_000, 1), noise(3_001, 2));
    stack
        .device("office", "pc")
        .push_one(meter("create", "m", 0, json!({"text": theirs})))
        .await;

    // The create is decided as if its id were free, and again after its condition failed. Both
    // times, the delete makes version 3.
    let batch = json!([
        meter("create", "m", 0, json!({"own": own})),
        meter("update", "m", 1, json!({"reading": 50})),
        meter("delete", "m", 2, json!({})),
    ]);
    let results = stack.device("ana", "phone").push(batch).await;

    let outcomes: Vec<_> = results
        .iter()
        .map(|it| {
            (
                it["status"].as_str().unwrap(),
                it["server_version"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(outcomes, [("conflict", 1), ("ok", 2), ("ok", 3)]);

    let (version, is_deleted, payload) = stored(&stack, "m");
    assert_eq!((version, is_deleted), (3, true));
    assert!(
        payload.contains(&theirs) && !payload.contains(&own),
        "{payload}"
    );
}

#[tokio::test]
async fn accepted_delete_deletes_the_resource() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    office
        .push_one(meter("create", "m-1", 0, json!({"code": "A"})))
        .await;
    office
        .push_one(meter("update", "m-1", 1, json!({"reading": 50})))
        .await;
    let id = rejected(&stack, meter("delete", "m-1", 1, json!({}))).await;

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
            .push_one(meter("create", "m-2", 0, json!({"code": "A"})))
            .await["status"],
        "ok"
    );
}
