//! Replays through the console that make every kind of call: the function has the permissions for
//! all of them.

use std::{sync::Arc, time};

use chrono::Duration;
use serde_json::{Value, json};
use tidemark::engine::http::CallFate;
use tidemark_tests::{Item, Script, Stack, hooks::Moment};

use super::{
    super::{
        ENABLED,
        browser::{Browser, location},
        deployment,
    },
    boss, create, edit, get,
};
use crate::{
    batches::{id_of, push},
    conflicts::legacy::age_conflicts,
};

/// A type with unique values, and one whose conflicts are resolved by its policy.
const CATALOG: &str = "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\nunique = ['code']\n\
    policy = 'manual'\n[note]\nchannel = 'tenant'\nid_prefix = 'n'\npolicy = 'client_wins'";

const PHOTO: &[u8] = b"a photo of a water meter";

/// Returns the statuses of the results of a batch.
async fn statuses(stack: &Stack, id: &str) -> Vec<Value> {
    let batch = get(stack, &boss(stack), id).await.ok();
    let results = batch["results"].as_array().unwrap();
    results.iter().map(|it| it["status"].clone()).collect()
}

/// Pushes items from Ana's phone. The function dies after it stored the items, at its first write
/// of a resource.
async fn die(stack: &Stack, batch_id: &str, items: &Value) {
    let hang = |_, operation: &str, _: &str, moment| {
        let is_write = ["BatchExecuteStatement", "TransactWriteItems"].contains(&operation);
        match is_write && moment == Moment::Before {
            true => CallFate::Hang,
            false => CallFate::Continue,
        }
    };
    let dying = stack.beside(Arc::new(Script::new(hang)));
    let device = dying.device("ana", "phone");
    let push = device.push_batch(batch_id, items);
    let died = tokio::time::timeout(time::Duration::from_secs(60), push).await;
    assert!(died.is_err(), "the push has a response");
}

/// Returns an edit of the note `n`.
fn note(action: &str, version: u64, text: &str) -> Item {
    let item = Item::new("note", action, version).base(version);
    item.payload(json!({"id": "n", "text": text}))
}

/// Pushes what Ana's batch conflicts with, and a batch of Ana without results. Returns its id.
async fn unanswered(stack: &Stack) -> String {
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let items = json!([
        create("plain", "1"),
        Item::create("meter", "coded", json!({"code": "A"})),
        create("old", "1"),
        edit("old", 1, "ben's"),
        create("stale", "1"),
        edit("stale", 1, "ben's"),
        note("create", 0, "1"),
        note("update", 1, "ben's")
    ]);
    ben.push(items).await;
    // The conflict of an earlier build is found by a query.
    ana.push_one(edit("old", 1, "ana's")).await;
    age_conflicts(stack);

    let items = json!([
        create("new", "1"),
        edit("plain", 1, "ana's"),
        Item::update("meter", "coded", 1, json!({"code": "B"})).base(1),
        edit("stale", 1, "ana's"),
        edit("old", 1, "ana's again"),
        note("update", 1, "ana's")
    ]);
    die(stack, "b", &items).await;
    id_of("ana", "b")
}

#[tokio::test(start_paused = true)]
async fn unanswered_batch_is_replayed() {
    let settings = [ENABLED, &[("CATALOG", CATALOG)]].concat();
    let stack = Stack::configured(&settings);
    let id = unanswered(&stack).await;
    stack.advance(Duration::seconds(61));
    let mut browser = Browser::signed_in(&stack, &["admin"]);
    let list = browser.get("batches?outcome=unanswered").await.text;
    assert!(list.contains(&id), "{list}");
    let path = format!("batches/{id}");
    let page = browser.get(&path).await.text;
    assert!(page.contains("has no results"), "{page}");

    let replay = format!("{path}/replay");
    let dry_run = browser.post(&replay, "dry_run=yes").await;
    assert_eq!(dry_run.status, 200, "{}", dry_run.text);
    location(&browser.post(&replay, "dry_run=no").await);
    let expected = ["ok", "ok", "ok", "conflict", "conflict", "ok"];
    assert_eq!(statuses(&stack, &id).await, expected);
}

#[tokio::test]
async fn replay_verifies_uploads() {
    let stack = deployment().today();
    let ana = stack.device("ana", "phone");
    let request = json!({
        "filename": "meter.jpg", "content_type": "image/jpeg", "content_length": PHOTO.len(),
    });
    let photo = stack.post("media/presign", &ana.token, &request).await.ok();
    let payload = json!({"form_id": "f-1", "data": {"reading": 7}, "media": [photo["key"]]});
    let submission = Item::create_as("submission", "tmp-1", payload);
    let id = push(&ana, "b", &json!([submission])).await;

    let mut browser = Browser::signed_in(&stack, &["admin"]);
    let replay = format!("batches/{id}/replay");
    let early = browser.post(&replay, "dry_run=yes").await.text;
    assert_eq!(
        early.matches("<code>media_missing</code>").count(),
        2,
        "{early}"
    );

    assert_eq!(stack.upload(&photo, PHOTO).await, 200);
    location(&browser.post(&replay, "dry_run=no").await);
    assert_eq!(statuses(&stack, &id).await, ["ok"]);
    assert_eq!(stack.rows("submission_media").len(), 1);
}
