//! §5.2, §6.3: no decision, policy or replay brings a media key into a resource whose upload was
//! not verified for it.

use serde_json::{Value, json};
use tidemark_core::media::MediaKey;
use tidemark_tests::{ApiResponse, Device, Stack};

use super::{PHOTO, ask, key, old_key, photo};
use crate::batches;

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

fn item(resource_type: &str, action: &str, base: u64, payload: Value) -> Value {
    json!({"resource_type": resource_type, "action": action, "client_version": base, "base_version": base, "payload": payload})
}

/// The key of an upload by a user, which is there.
async fn uploaded(stack: &Stack, user: &str) -> String {
    let response = ask(stack, user, &photo()).await.ok();
    assert_eq!(stack.upload(&response, PHOTO).await, 200);
    key(&response)
}

async fn resolve(stack: &Stack, id: &Value, decision: &Value) -> ApiResponse {
    let id = id.as_str().expect("an id");
    stack
        .post(
            &format!("conflicts/{id}/resolve"),
            &stack.token("acme", "root", &["admin"], &[]),
            decision,
        )
        .await
}

/// Asserts that a decision was refused for a key at this place, and wrote nothing.
async fn assert_rejected(stack: &Stack, id: &Value, decision: &Value, path: &str) {
    let tables = ["resources", "conflicts", "audit_log", "submission_media"];
    let before = tables.map(|table| stack.rows(table));
    let response = resolve(stack, id, decision).await;
    let problem = response.json();
    let told = (
        response.status,
        &problem["code"],
        &problem["reason"],
        &problem["path"],
    );
    assert_eq!(
        told,
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

/// The board `b` at version 2 without media, and Ana's edit of version 1 that conflicts with it;
/// the conflict's id.
async fn conflicted(stack: &Stack, payload: Value) -> Value {
    let ben = stack.device("ben", "pc");
    ben.push_one(item("board", "create", 0, json!({"id": "b", "code": "B"})))
        .await;
    ben.push_one(item("board", "update", 1, json!({"id": "b", "by": "ben"})))
        .await;
    let mut payload = payload;
    payload["id"] = "b".into();
    let result = stack
        .device("ana", "phone")
        .push_one(item("board", "update", 1, payload))
        .await;
    assert_eq!(result["status"], "conflict", "{result}");
    result["conflict_id"].clone()
}

#[tokio::test]
async fn manual_merge_stores_only_verified_keys() {
    let stack = stack();
    let kept = uploaded(&stack, "ana").await;
    let id = conflicted(&stack, json!({"media": [kept]})).await;
    // Verified for another resource.
    let elsewhere = uploaded(&stack, "ana").await;
    let other = item(
        "board",
        "create",
        0,
        json!({"id": "other", "media": elsewhere}),
    );
    assert_eq!(
        stack.device("ana", "phone").push_one(other).await["status"],
        "ok"
    );
    let of_another_tenant = {
        let token = stack.token("other", "ana", &[], &[]);
        let response = stack.post("media/presign", &token, &photo()).await.ok();
        stack.upload(&response, PHOTO).await;
        key(&response)
    };
    let (admins, bens) = (
        uploaded(&stack, "root").await,
        uploaded(&stack, "ben").await,
    );
    for foreign in [
        elsewhere,
        of_another_tenant,
        admins,
        bens,
        old_key("ana", 7),
        "photo.jpg".into(),
        String::new(),
    ] {
        for (field, value) in [("media", json!([kept, foreign])), ("cover", json!(foreign))] {
            let decision =
                json!({"resolution": "manual_merge", "payload": {"code": "B", field: value}});
            assert_rejected(&stack, &id, &decision, &format!("payload.{field}")).await;
        }
    }
    for value in [
        json!(7),
        json!({"key": kept}),
        json!([kept, 7]),
        json!([[kept]]),
    ] {
        let decision =
            json!({"resolution": "manual_merge", "payload": {"code": "B", "media": value}});
        assert_rejected(&stack, &id, &decision, "payload.media").await;
    }
    let many: Vec<String> = (0..51).map(|_| kept.clone()).collect();
    let decision = json!({"resolution": "manual_merge", "payload": {"code": "B", "media": many}});
    assert_eq!(
        resolve(&stack, &id, &decision).await.json()["reason"],
        "too_many_media"
    );

    let decision = json!({"resolution": "manual_merge", "payload": {"code": "B", "media": null, "cover": kept}});
    assert_eq!(
        resolve(&stack, &id, &decision).await.ok()["server_payload"]["cover"],
        json!(kept)
    );
    // The same decision again is answered, not checked.
    resolve(&stack, &id, &decision).await.ok();
}

#[tokio::test]
async fn manual_merge_keeps_keys_the_resource_had() {
    let stack = stack();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "pc"));
    let (standing, removed) = (uploaded(&stack, "ben").await, uploaded(&stack, "ben").await);
    let media = json!([standing, removed]);
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
            json!({"id": "b", "media": [standing]})
        ))
        .await["status"],
        "ok"
    );
    let id = ana
        .push_one(item("board", "update", 1, json!({"id": "b", "by": "ana"})))
        .await["conflict_id"]
        .clone();
    let decision = json!({"resolution": "manual_merge", "payload": {"media": [removed, standing]}});
    assert_eq!(
        resolve(&stack, &id, &decision).await.ok()["server_payload"]["media"],
        json!([removed, standing])
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

/// A key that others took out of the resource is one that was verified for it, whoever uploaded it.
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

/// As conflicts were stored when a stale edit could be kept without its uploads.
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
async fn stale_edits_with_foreign_keys_are_refused() {
    let stack = stack();
    let bens = uploaded(&stack, "ben").await;
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "pc"));
    for resource_type in ["board", "card", "note"] {
        ben.push_one(item(resource_type, "create", 0, json!({"id": "x"})))
            .await;
        ben.push_one(item(
            resource_type,
            "update",
            1,
            json!({"id": "x", "by": "ben"}),
        ))
        .await;
        for foreign in [json!(bens), json!([old_key("ben", 7)]), json!("photo.jpg")] {
            let stale = item(
                resource_type,
                "update",
                1,
                json!({"id": "x", "media": foreign, "by": "ana"}),
            );
            let result = ana.push_one(stale).await;
            assert_eq!(
                (&result["code"], &result["retryable"]),
                (&json!("invalid_media_key"), &json!(false)),
                "{resource_type}"
            );
        }
        let fresh = item(
            resource_type,
            "update",
            2,
            json!({"id": "x", "media": bens}),
        );
        assert_eq!(
            ana.push_one(fresh).await["code"],
            "invalid_media_key",
            "{resource_type}"
        );
    }
    assert!(stack.rows("conflicts").is_empty());
}

#[tokio::test]
async fn create_accepted_after_unique_violation_keeps_its_photo() {
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

#[tokio::test]
async fn key_may_be_named_by_a_second_resource_of_its_user() {
    let stack = stack();
    let photo = uploaded(&stack, "ana").await;
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "pc"));
    for id in ["b-1", "b-2"] {
        assert_eq!(
            ana.push_one(item(
                "board",
                "create",
                0,
                json!({"id": id, "media": photo})
            ))
            .await["status"],
            "ok"
        );
    }
    // Of another user's key only the resources that it was verified for.
    assert_eq!(
        ben.push_one(item(
            "board",
            "update",
            1,
            json!({"id": "b-2", "cover": photo})
        ))
        .await["status"],
        "ok"
    );
    let moved = item("board", "create", 0, json!({"id": "b-3", "media": photo}));
    assert_eq!(ben.push_one(moved).await["code"], "invalid_media_key");
    assert_eq!(stack.rows("submission_media").len(), 2);
}

#[tokio::test]
async fn replay_verifies_keys_as_the_push_did() {
    let stack = stack();
    let ana = stack.device("ana", "phone");
    let (bens, own) = (uploaded(&stack, "ben").await, uploaded(&stack, "ana").await);
    let items = json!([
        item("board", "create", 0, json!({"id": "b-1", "media": bens})),
        item("board", "update", 1, json!({"id": "b-2", "media": own})),
    ]);
    let id = batches::push(&ana, "b", &items).await;
    stack
        .device("ben", "pc")
        .push_one(item("board", "create", 0, json!({"id": "b-2"})))
        .await;
    for dry_run in [true, false] {
        let results = batches::replay(
            &stack,
            &batches::boss(&stack),
            &id,
            &json!({"dry_run": dry_run}),
        )
        .await
        .ok();
        assert_eq!(results["results"][0]["code"], "invalid_media_key");
        assert_eq!(results["results"][1]["status"], "ok");
    }
}

#[tokio::test]
async fn no_reference_takes_the_place_of_a_key() {
    let catalog = "[board]\nchannel = 'tenant'\nid_prefix = 'b'\nmedia = ['media']\nreferences = { media = 'board' }";
    let stack = Stack::configured(&[("CATALOG", catalog)]).today();
    let (own, bens) = (uploaded(&stack, "ana").await, uploaded(&stack, "ben").await);
    let mut named = item("board", "create", 0, json!({"id": bens}));
    named["client_temp_id"] = own.as_str().into();
    let results = stack
        .device("ana", "phone")
        .push(json!([
            named,
            item("board", "create", 0, json!({"id": "b", "media": own}))
        ]))
        .await;
    assert_eq!(
        (&results[0]["status"], &results[1]["status"]),
        (&json!("ok"), &json!("ok"))
    );
    let rows = stack.rows("resources");
    let row = rows
        .iter()
        .find(|row| row["sk"]["S"] == "board#b")
        .expect("the row");
    assert!(
        row["payload"]["S"].as_str().expect("text").contains(&own),
        "{row}"
    );
}

/// An admin's push goes by the same rule as anybody's.
#[tokio::test]
async fn admins_push_only_keys_of_their_own() {
    let stack = stack();
    let bens = uploaded(&stack, "ben").await;
    let admin = Device::new(&stack, stack.token("acme", "root", &["admin"], &[]), "desk");
    let create = |media: &str| item("board", "create", 0, json!({"id": "b", "media": media}));
    assert_eq!(
        admin.push_one(create(&bens)).await["code"],
        "invalid_media_key"
    );
    let own = uploaded(&stack, "root").await;
    assert!(MediaKey::parse(&own).is_some_and(|key| key.is_of("acme", "root")));
    assert_eq!(admin.push_one(create(&own)).await["status"], "ok");
}
