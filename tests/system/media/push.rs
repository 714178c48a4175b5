//! §6.3: a pushed item that names media is applied once the uploads are there, and only the user's
//! own.

use chrono::Duration;
use serde_json::{Value, json};
use tidemark_tests::{Device, Stack};

use crate::batches;

const PHOTO: &[u8] = b"a photo of a water meter";

async fn presigned(stack: &Stack, user: &str) -> Value {
    let body = json!({"filename": "meter.jpg", "content_type": "image/jpeg", "content_length": PHOTO.len()});
    stack
        .post("media/presign", &stack.token("acme", user, &[], &[]), &body)
        .await
        .ok()
}

fn submission(temp_id: &str, media: &Value) -> Value {
    json!({"resource_type": "submission", "action": "create", "client_temp_id": temp_id, "client_version": 0,
        "payload": {"form_id": "f-1", "data": {"reading": 7}, "media": media}})
}

#[tokio::test]
async fn an_item_whose_upload_is_missing_is_applied_after_the_upload_on_a_plain_retry() {
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
    assert_eq!(first[1]["status"], "ok", "one bad item stops no other");
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
async fn a_replay_looks_for_uploads_again() {
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
async fn what_follows_an_item_without_its_upload_may_be_sent_again_too() {
    let stack = Stack::new().today();
    let ana = stack.device("ana", "phone");
    let photo = presigned(&stack, "ana").await;
    let update = json!({"resource_type": "submission", "action": "update", "client_temp_id": "tmp-1", "client_version": 1,
        "base_version": 0, "payload": {"status": "done"}});
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
async fn keys_that_are_not_the_users_own_are_refused() {
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
async fn what_stands_in_the_resource_already_is_nobodys_to_verify_again() {
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
    // An admin edits the list and leaves ana's photo in it; adding one that was not uploaded is no
    // more theirs than anyone's.
    let admin = Device::new(&stack, stack.token("acme", "root", &["admin"], &[]), "desk");
    let edit = |base: u64, media: Value| {
        json!({"resource_type": "submission", "action": "update", "channel": "user/ana", "client_version": base,
            "base_version": base, "payload": {"id": made["server_id"], "media": media, "checked": base}})
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
async fn an_upload_url_that_has_expired_leaves_the_item_waiting() {
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
async fn an_edit_that_conflicts_is_kept_only_with_its_uploads() {
    let stack = Stack::new().today();
    let (ana, tablet) = (stack.device("ana", "phone"), stack.device("ana", "tablet"));
    let made = ana.push_one(submission("tmp-1", &json!([]))).await;
    let photo = presigned(&stack, "ana").await;
    let edit = |payload: Value| {
        let mut payload = payload;
        payload["id"] = made["server_id"].clone();
        json!({"resource_type": "submission", "action": "update", "client_version": 1, "base_version": 1, "payload": payload})
    };
    tablet.push_one(edit(json!({"status": "seen"}))).await;
    let item = edit(json!({"media": [photo["key"]]}));
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
async fn what_was_applied_is_not_judged_again_when_the_rest_of_its_batch_is_sent_again() {
    let stack = Stack::new().today();
    let (ana, tablet) = (stack.device("ana", "phone"), stack.device("ana", "tablet"));
    let made = ana.push_one(submission("tmp-1", &json!([]))).await;
    let photo = presigned(&stack, "ana").await;
    let edit = |version: u64, payload: Value| {
        let mut payload = payload;
        payload["id"] = made["server_id"].clone();
        json!({"resource_type": "submission", "action": "update", "client_version": version, "base_version": version, "payload": payload})
    };
    let mut second = edit(2, json!({"media": [photo["key"]]}));
    second["base_version"] = 1.into();
    let batch = json!([edit(1, json!({"status": "sent"})), second]);
    let first = ana.push_batch("b", &batch).await.ok()["results"].clone();
    assert_eq!(
        (&first[0]["status"], &first[1]["code"]),
        (&json!("ok"), &json!("media_missing"))
    );
    // Others write until the row has forgotten the first edit.
    for version in 2..20 {
        tablet
            .push_one(edit(version, json!({"status": version})))
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
        "the applied edit stands in no conflict"
    );
}

#[tokio::test]
async fn a_create_that_was_applied_is_answered_as_then_although_its_upload_is_gone() {
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
    // Nothing is to be written, so nothing but the row can tell that it was written before.
    assert_eq!(ana.push_one(create).await, first);
}

#[tokio::test]
async fn a_stale_edit_that_names_a_photo_others_took_out_conflicts_and_a_delete_names_none() {
    let catalog = "[board]\nchannel = 'tenant'\nid_prefix = 'b'\nmedia = ['media']";
    let stack = Stack::configured(&[("CATALOG", catalog)]).today();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let photo = presigned(&stack, "ana").await;
    stack.upload(&photo, PHOTO).await;
    let item = |action: &str, base: u64, media: Value| {
        json!({"resource_type": "board", "action": action, "client_version": base, "base_version": base,
            "payload": {"id": "b", "media": media, "base": base}})
    };
    assert_eq!(
        ana.push_one(item("create", 0, json!([photo["key"]]))).await["status"],
        "ok"
    );
    assert_eq!(
        ana.push_one(item("update", 1, json!([]))).await["status"],
        "ok"
    );
    let mut stale = item("update", 1, json!([photo["key"]]));
    stale["payload"]["note"] = "by ben".into();
    assert_eq!(ben.push_one(stale).await["code"], "version_mismatch");
    assert_eq!(
        ben.push_one(item("delete", 2, json!([photo["key"]]))).await["status"],
        "ok"
    );
}
