//! §5.2, §6.3: no resolution adds a media key to a resource for which its upload was not verified.

mod pushes;

use serde_json::{Value, json};
use tidemark_tests::{Item, Stack, scenario::resolve};

use super::{PHOTO, ask, key, old_key, photo};

const CATALOG: &str = "
[board]
channel = 'tenant'
id_prefix = 'b'
media = ['media', 'cover']
unique = ['code']

[card]
channel = 'tenant'
id_prefix = 'c'
media = ['media']
policy = 'client_wins'

[note]
channel = 'tenant'
id_prefix = 'n'
media = ['media']
policy = 'field_merge'
";

fn stack() -> Stack {
    Stack::configured(&[("CATALOG", CATALOG)]).today()
}

fn item(resource_type: &str, action: &str, base: u64, payload: Value) -> Item {
    Item::new(resource_type, action, base)
        .base(base)
        .payload(payload)
}

/// Uploads the photo as a user and returns its key.
async fn uploaded(stack: &Stack, user: &str) -> String {
    let response = ask(stack, user, &photo()).await.ok();
    assert_eq!(stack.upload(&response, PHOTO).await, 200);
    key(&response)
}

/// Checks that a resolution is rejected because of the key at this path, and that it writes
/// nothing.
async fn assert_rejected(stack: &Stack, id: &Value, decision: &Value, path: &str) {
    let tables = ["resources", "conflicts", "audit_log", "submission_media"];
    let before = tables.map(|table| stack.rows(table));
    let response = resolve(stack, id, decision).await;
    let problem = response.json();

    let actual = (
        response.status,
        &problem["code"],
        &problem["reason"],
        &problem["path"],
    );
    assert_eq!(
        actual,
        (
            422,
            &json!("unprocessable"),
            &json!("invalid_media_key"),
            &json!(path)
        ),
        "{problem}"
    );
    assert_eq!(tables.map(|table| stack.rows(table)), before);
}

/// Creates the board `b` at version 2 without media, and a conflict with Ana's edit of version 1.
/// Returns the id of the conflict.
async fn conflicted(stack: &Stack, payload: Value) -> Value {
    let ben = stack.device("ben", "pc");
    ben.push_one(item("board", "create", 0, json!({"id": "b", "code": "B"})))
        .await;
    ben.push_one(item("board", "update", 1, json!({"id": "b", "by": "ben"})))
        .await;
    let result = stack
        .device("ana", "phone")
        .push_one(item("board", "update", 1, payload).id("b"))
        .await;
    assert_eq!(result["status"], "conflict", "{result}");
    result["conflict_id"].clone()
}

/// Returns keys that are not verified for the board of the conflict: of another resource, of
/// another tenant, of other users, and keys that presign never returned.
async fn foreign_keys(stack: &Stack) -> [String; 7] {
    let elsewhere = uploaded(stack, "ana").await;
    let other = json!({"id": "other", "media": elsewhere});
    let result = stack
        .device("ana", "phone")
        .push_one(item("board", "create", 0, other))
        .await;
    assert_eq!(result["status"], "ok");

    let token = stack.token("other", "ana", &[], &[]);
    let presigned = stack.post("media/presign", &token, &photo()).await.ok();
    stack.upload(&presigned, PHOTO).await;
    [
        elsewhere,
        key(&presigned),
        uploaded(stack, "root").await,
        uploaded(stack, "ben").await,
        old_key("ana", 7),
        "photo.jpg".into(),
        String::new(),
    ]
}

/// Returns a manual merge that sets a field of the board.
fn merge(field: &str, value: Value) -> Value {
    json!({"resolution": "manual_merge", "payload": {"code": "B", field: value}})
}

#[tokio::test]
async fn manual_merge_stores_only_verified_keys() {
    let stack = stack();
    let kept = uploaded(&stack, "ana").await;
    let id = conflicted(&stack, json!({"media": [kept]})).await;

    for foreign in foreign_keys(&stack).await {
        for (field, value) in [("media", json!([kept, foreign])), ("cover", json!(foreign))] {
            let path = format!("payload.{field}");
            assert_rejected(&stack, &id, &merge(field, value), &path).await;
        }
    }
    for value in [
        json!(7),
        json!({"key": kept}),
        json!([kept, 7]),
        json!([[kept]]),
    ] {
        assert_rejected(&stack, &id, &merge("media", value), "payload.media").await;
    }

    let many: Vec<String> = (0..51).map(|_| kept.clone()).collect();
    let response = resolve(&stack, &id, &merge("media", json!(many))).await;
    assert_eq!(response.json()["reason"], "too_many_media");

    let mut decision = merge("media", Value::Null);
    decision["payload"]["cover"] = json!(kept);
    assert_eq!(
        resolve(&stack, &id, &decision).await.ok()["server_payload"]["cover"],
        json!(kept)
    );
    // A repeated resolution returns the outcome and checks nothing.
    resolve(&stack, &id, &decision).await.ok();
}

#[tokio::test]
async fn field_pick_stores_only_verified_keys() {
    let stack = stack();
    let kept = uploaded(&stack, "ana").await;
    let id = conflicted(&stack, json!({"media": [kept]})).await;
    let picking = |fields: Value| json!({"resolution": "field_pick", "fields": fields, "expected_server_version": 2});

    for foreign in foreign_keys(&stack).await {
        let request = picking(json!({"media": "client", "cover": {"value": foreign}}));
        assert_rejected(&stack, &id, &request, "fields.cover").await;
    }
    let request = picking(json!({"media": {"value": 7}}));
    assert_rejected(&stack, &id, &request, "fields.media").await;

    let request = picking(json!({"media": "client", "cover": {"value": kept}}));
    let stored = &resolve(&stack, &id, &request).await.ok()["server_payload"];
    assert_eq!(
        [&stored["media"], &stored["cover"], &stored["by"]],
        [&json!([kept]), &json!(kept), &json!("ben")]
    );
}

#[tokio::test]
async fn manual_merge_keeps_keys_the_resource_had() {
    let stack = stack();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "pc"));
    let (current, removed) = (uploaded(&stack, "ben").await, uploaded(&stack, "ben").await);
    let media = json!([current, removed]);
    assert_eq!(
        ben.push_one(item(
            "board",
            "create",
            0,
            json!({"id": "b", "media": media})
        ))
        .await["status"],
        "ok"
    );
    assert_eq!(
        ben.push_one(item(
            "board",
            "update",
            1,
            json!({"id": "b", "media": [current]})
        ))
        .await["status"],
        "ok"
    );

    let id = ana
        .push_one(item("board", "update", 1, json!({"id": "b", "by": "ana"})))
        .await["conflict_id"]
        .clone();

    let decision = json!({"resolution": "manual_merge", "payload": {"media": [removed, current]}});
    assert_eq!(
        resolve(&stack, &id, &decision).await.ok()["server_payload"]["media"],
        json!([removed, current])
    );
}

#[tokio::test]
async fn accept_client_stores_keys_verified_when_kept() {
    let stack = stack();
    let photo = uploaded(&stack, "ana").await;
    let id = conflicted(&stack, json!({"media": photo})).await;
    let accepted = resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    assert_eq!(accepted["server_payload"]["media"], json!(photo));
}

/// A key that another user removed from the resource was verified for it, regardless of who
/// uploaded it.
#[tokio::test]
async fn accept_client_restores_a_removed_key() {
    let stack = stack();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "pc"));
    let photo = uploaded(&stack, "ben").await;
    ben.push_one(item(
        "board",
        "create",
        0,
        json!({"id": "b", "media": photo}),
    ))
    .await;
    ben.push_one(item(
        "board",
        "update",
        1,
        json!({"id": "b", "media": null}),
    ))
    .await;

    let result = ana
        .push_one(item(
            "board",
            "update",
            1,
            json!({"id": "b", "media": [photo], "by": "ana"}),
        ))
        .await;

    let accepted = resolve(
        &stack,
        &result["conflict_id"],
        &json!({"resolution": "accept_client"}),
    )
    .await
    .ok();
    assert_eq!(accepted["server_payload"]["media"], json!([photo]));
}

/// Builds a conflict as it was stored when a stale edit was accepted without its uploads.
#[tokio::test]
async fn accept_client_rejects_an_unverified_key() {
    let stack = stack();
    let bens = uploaded(&stack, "ben").await;
    let id = conflicted(&stack, json!({"by": "ana"})).await;

    let row = stack.rows("conflicts")[0].clone();
    let payload = json!({"media": [bens], "by": "ana"}).to_string();
    stack.dynamodb(
        "UpdateItem",
        &json!({"TableName": "conflicts", "Key": {"pk": row["pk"], "sk": row["sk"]},
            "UpdateExpression": "SET client_payload = :payload", "ExpressionAttributeValues": {":payload": {"S": payload}}}),
    );

    assert_rejected(
        &stack,
        &id,
        &json!({"resolution": "accept_client"}),
        "resolution",
    )
    .await;
    resolve(&stack, &id, &json!({"resolution": "accept_server"}))
        .await
        .ok();
}

#[tokio::test]
async fn accepted_create_after_unique_violation_keeps_photo() {
    let stack = stack();
    stack
        .device("ben", "pc")
        .push_one(item(
            "board",
            "create",
            0,
            json!({"id": "b-1", "code": "B"}),
        ))
        .await;

    let (photo, bens) = (uploaded(&stack, "ana").await, uploaded(&stack, "ben").await);
    let create = item(
        "board",
        "create",
        0,
        json!({"id": "b-2", "code": "B", "media": photo}),
    );

    let id = stack.device("ana", "phone").push_one(create).await["conflict_id"].clone();
    let merged = |media: &str| json!({"resolution": "manual_merge", "payload": {"code": "C", "media": media}});
    assert_rejected(&stack, &id, &merged(&bens), "payload.media").await;
    assert_eq!(
        resolve(&stack, &id, &merged(&photo)).await.ok()["server_payload"]["media"],
        json!(photo)
    );
}
