//! §6.3: a pushed item that names media is applied once the uploads are stored, and only if they
//! are the user's own.

use chrono::Duration;
use serde_json::{Value, json};
use tidemark_tests::{Device, Item, Stack, scenario};

use crate::batches;

const PHOTO: &[u8] = b"a photo of a water meter";

async fn presigned(stack: &Stack, user: &str) -> Value {
    let body = json!({"filename": "meter.jpg", "content_type": "image/jpeg", "content_length": PHOTO.len()});
    stack
        .post("media/presign", &stack.token("acme", user, &[], &[]), &body)
        .await
        .ok()
}

fn submission(temp_id: &str, media: &Value) -> Item {
    let payload = json!({"form_id": "f-1", "data": {"reading": 7}, "media": media});
    Item::create_as("submission", temp_id, payload)
}

/// Returns an update of a submission that was created by a push with this result.
fn update(created: &Value, base: u64, patch: Value) -> Item {
    let id = created["server_id"].as_str().expect("an id");
    Item::update("submission", id, base, patch).base(base)
}

#[tokio::test]
async fn item_is_applied_after_its_missing_upload() {
    let stack = Stack::new().today();
    let ana = stack.device("ana", "phone");
    let photo = presigned(&stack, "ana").await;
    let batch = json!([
        submission("tmp-1", &json!([photo["key"]])),
        submission("tmp-2", &json!([]))
    ]);
    let first = ana.push_batch("b-1", &batch).await.ok()["results"].clone();
    assert_eq!(
        (&first[0]["code"], &first[0]["retryable"]),
        (&json!("media_missing"), &json!(true))
    );
    assert_eq!(first[1]["status"], "ok", "one failed item blocks no other");
    assert_eq!(
        (
            stack.rows("resources").len(),
            stack.rows("submission_media").len()
        ),
        (1, 0)
    );

    assert_eq!(stack.upload(&photo, PHOTO).await, 200);
    let again = ana.push_batch("b-1", &batch).await.ok()["results"].clone();
    assert_eq!(
        (&again[0]["status"], &again[0]["server_version"], &again[1]),
        (&json!("ok"), &json!(1), &first[1])
    );
    let row = &stack.rows("submission_media")[0];
    assert_eq!(row["key"]["S"], photo["key"]);
    assert_eq!(
        (&row["resource_id"]["S"], &row["content_length"]["N"]),
        (&again[0]["server_id"], &json!(PHOTO.len().to_string()))
    );
}

#[tokio::test]
async fn replay_looks_up_uploads_again() {
    let stack = Stack::new().today();
    let photo = presigned(&stack, "ana").await;
    let id = batches::push(
        &stack.device("ana", "phone"),
        "b-1",
        &json!([submission("tmp-1", &json!([photo["key"]]))]),
    )
    .await;
    let boss = batches::boss(&stack);

    let early = batches::replay(&stack, &boss, &id, &json!({})).await.ok();
    assert_eq!(
        (
            &early["results"][0]["code"],
            stack.rows("submission_media").len()
        ),
        (&json!("media_missing"), 0)
    );

    assert_eq!(stack.upload(&photo, PHOTO).await, 200);
    let replayed = batches::replay(&stack, &boss, &id, &json!({})).await.ok();
    assert_eq!(
        (
            &replayed["results"][0]["status"],
            stack.rows("submission_media").len()
        ),
        (&json!("ok"), 1)
    );
}

#[tokio::test]
async fn item_after_missing_upload_is_retryable() {
    let stack = Stack::new().today();
    let ana = stack.device("ana", "phone");
    let photo = presigned(&stack, "ana").await;
    let update = Item::new("submission", "update", 1)
        .base(0)
        .temp_id("tmp-1")
        .payload(json!({"status": "done"}));
    let batch = json!([submission("tmp-1", &json!([photo["key"]])), update]);

    let first = ana.push(batch.clone()).await;
    assert_eq!(
        (&first[1]["code"], &first[1]["retryable"]),
        (&json!("depends_on_failed_item"), &json!(true))
    );

    stack.upload(&photo, PHOTO).await;
    let again = ana.push(batch).await;
    assert_eq!(
        (&again[0]["server_version"], &again[1]["server_version"]),
        (&json!(1), &json!(2))
    );
}

#[tokio::test]
async fn foreign_media_keys_are_rejected() {
    let stack = Stack::new().today();
    let bens = presigned(&stack, "ben").await;
    stack.upload(&bens, PHOTO).await;
    let ana = stack.device("ana", "phone");

    for (temp_id, media) in [
        ("another user's", json!([bens["key"]])),
        ("made up", json!(["uploads/acme/ana/x"])),
        ("no key", json!(["photo.jpg"])),
        ("one text", bens["key"].clone()),
        ("no text", json!([7])),
        ("an object", json!({"key": bens["key"]})),
    ] {
        let result = ana.push_one(submission(temp_id, &media)).await;
        assert_eq!(
            (&result["code"], &result["retryable"]),
            (&json!("invalid_media_key"), &json!(false)),
            "{temp_id}"
        );
    }

    let many: Vec<String> = (0..51).map(|number| format!("key-{number}")).collect();
    assert_eq!(
        ana.push_one(submission("many", &json!(many))).await["code"],
        "too_many_media"
    );
    assert_eq!(
        ana.push_one(submission("none", &Value::Null)).await["status"],
        "ok"
    );

    assert!(stack.rows("submission_media").is_empty());
}

#[tokio::test]
async fn stored_media_keys_are_not_verified_again() {
    let stack = Stack::new().today();
    let ana = stack.device("ana", "phone");
    let (first, second) = (
        presigned(&stack, "ana").await,
        presigned(&stack, "ana").await,
    );
    stack.upload(&first, PHOTO).await;
    let made = ana
        .push_one(submission("tmp-1", &json!([first["key"]])))
        .await;

    // An admin edits the list and keeps Ana's photo in it. A key that was not uploaded is rejected
    // for an admin as for any other user.
    let admin = Device::new(&stack, scenario::admin(&stack), "desk");
    let edit = |base: u64, media: Value| {
        update(&made, base, json!({"media": media, "checked": base})).channel("user/ana")
    };

    assert_eq!(
        admin.push_one(edit(1, json!([first["key"]]))).await["status"],
        "ok"
    );
    let result = admin
        .push_one(edit(2, json!([first["key"], second["key"]])))
        .await;
    assert_eq!(result["code"], "invalid_media_key");
    assert_eq!(stack.rows("submission_media").len(), 1);
}

#[tokio::test]
async fn expired_upload_url_leaves_media_missing() {
    let stack = Stack::new().today();
    stack.advance(Duration::seconds(-901));
    let photo = presigned(&stack, "ana").await;
    stack.advance(Duration::seconds(901));
    assert_eq!(stack.upload(&photo, PHOTO).await, 403);
    let result = stack
        .device("ana", "phone")
        .push_one(submission("tmp-1", &json!([photo["key"]])))
        .await;
    assert_eq!(result["code"], "media_missing");
}

#[tokio::test]
async fn conflicting_edit_is_stored_with_its_uploads() {
    let stack = Stack::new().today();
    let (ana, tablet) = (stack.device("ana", "phone"), stack.device("ana", "tablet"));
    let made = ana.push_one(submission("tmp-1", &json!([]))).await;
    let photo = presigned(&stack, "ana").await;

    tablet
        .push_one(update(&made, 1, json!({"status": "seen"})))
        .await;
    let item = update(&made, 1, json!({"media": [photo["key"]]}));
    assert_eq!(ana.push_one(item.clone()).await["code"], "media_missing");
    stack.upload(&photo, PHOTO).await;
    assert_eq!(ana.push_one(item).await["code"], "version_mismatch");

    assert_eq!(
        (
            stack.conflicts().len(),
            stack.rows("submission_media").len()
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn applied_item_is_not_evaluated_again() {
    let stack = Stack::new().today();
    let (ana, tablet) = (stack.device("ana", "phone"), stack.device("ana", "tablet"));
    let made = ana.push_one(submission("tmp-1", &json!([]))).await;
    let photo = presigned(&stack, "ana").await;

    let second = update(&made, 2, json!({"media": [photo["key"]]})).base(1);
    let batch = json!([update(&made, 1, json!({"status": "sent"})), second]);
    let first = ana.push_batch("b", &batch).await.ok()["results"].clone();
    assert_eq!(
        (&first[0]["status"], &first[1]["code"]),
        (&json!("ok"), &json!("media_missing"))
    );

    // Other writers change the resource until the first edit has left the deduplication window.
    for version in 2..20 {
        tablet
            .push_one(update(&made, version, json!({"status": version})))
            .await;
    }

    stack.upload(&photo, PHOTO).await;
    let again = ana.push_batch("b", &batch).await.ok()["results"].clone();
    assert_eq!(
        (&again[0], &again[1]["status"]),
        (&first[0], &json!("conflict"))
    );
    assert_eq!(
        stack.conflicts()[0]["edit_count"]["N"],
        "1",
        "the applied edit is in no conflict"
    );
}

#[tokio::test]
async fn applied_create_is_idempotent_without_its_upload() {
    let stack = Stack::new().today();
    let ana = stack.device("ana", "phone");
    let photo = presigned(&stack, "ana").await;
    stack.upload(&photo, PHOTO).await;
    let create = submission("tmp-1", &json!([photo["key"]]));
    let first = ana.push_one(create.clone()).await;
    assert_eq!(first["status"], "ok");
    let key = photo["key"].as_str().expect("a key");
    stack.remove(key).await;
    stack
        .remove(&format!("incoming/{}", key.trim_start_matches("uploads/")))
        .await;
    // Only the stored resource shows that the create was applied, because the retry writes nothing.
    assert_eq!(ana.push_one(create).await, first);
}

#[tokio::test]
async fn removed_media_key_in_stale_edit_conflicts() {
    let catalog = "[board]\nchannel = 'tenant'\nid_prefix = 'b'\nmedia = ['media']";
    let stack = Stack::configured(&[("CATALOG", catalog)]).today();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let photo = presigned(&stack, "ana").await;
    stack.upload(&photo, PHOTO).await;
    let item = |action: &str, base: u64, media: Value| {
        Item::new("board", action, base)
            .base(base)
            .payload(json!({"id": "b", "media": media, "base": base}))
    };

    assert_eq!(
        ana.push_one(item("create", 0, json!([photo["key"]]))).await["status"],
        "ok"
    );
    assert_eq!(
        ana.push_one(item("update", 1, json!([]))).await["status"],
        "ok"
    );

    let stale = item("update", 1, json!([photo["key"]]));
    let stale =
        stale.payload(json!({"id": "b", "media": [photo["key"]], "base": 1, "note": "by ben"}));
    assert_eq!(ben.push_one(stale).await["code"], "version_mismatch");
    assert_eq!(
        ben.push_one(item("delete", 2, json!([photo["key"]]))).await["status"],
        "ok"
    );
}
