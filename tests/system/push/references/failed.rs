//! References to creates that failed or were rejected, in the same batch or in an earlier one: they
//! are never stored, and may be retried if the create may still succeed.

use serde_json::{Value, json};
use tidemark_tests::{
    Device, Item, Stack,
    scenario::{self, member_of_north},
};

use super::{meter, payload, task};

/// A catalog in which notes refer to photos.
const PHOTOS: &str = "[photo]\nchannel = 'tenant'\nid_prefix = 'p'\nmedia = ['media']\n\n\
                      [note]\nchannel = 'tenant'\nid_prefix = 'n'\nreferences = { photo = 'photo' }";

/// Presigns an upload of Ana's. Returns it with a create of a photo that names it and a create of a
/// note that refers to the photo.
async fn photo_and_note(stack: &Stack) -> (Value, Item, Item) {
    let request = json!({"filename": "a.jpg", "content_type": "image/jpeg", "content_length": 3});
    let presigned = stack
        .post(
            "media/presign",
            &stack.token("acme", "ana", &[], &[]),
            &request,
        )
        .await
        .ok();
    let photo = Item::create_as("photo", "p", json!({"media": presigned["key"]}));
    let note = Item::create_as("note", "n", json!({"photo": "p"}));
    (presigned, photo, note)
}

/// Builds a create of a meter that fails with an error.
fn broken(temp_id: &str) -> Item {
    Item::create_as("meter", temp_id, json!([]))
}

/// Builds an update by which the task with this id refers to the meter with the temp id `new`.
fn update_to_new(task: &Value) -> Item {
    let id = task.as_str().expect("an id");
    Item::update("task", id, 1, json!({"meter_id": "new"}))
        .base(1)
        .channel("group/north")
}

#[tokio::test]
async fn reference_to_failed_create_fails_too() {
    let stack = Stack::new();
    let ana = member_of_north(&stack, "ana");
    ana.push_one(meter("tmp-a", "A")).await;
    let batch = json!([
        broken("broken"),
        meter("taken", "A"),
        task("t-1", "broken"),
        task("t-2", "taken"),
        task("t-3", "tmp-a"),
        Item::new("task", "update", 1)
            .temp_id("t-1")
            .channel("group/north")
            .payload(json!({"title": "behind"})),
    ]);

    let results = ana.push(batch).await;
    let codes: Vec<_> = results
        .iter()
        .map(|it| it["code"].as_str().unwrap_or("ok"))
        .collect();
    let depends = "depends_on_failed_item";
    assert_eq!(
        codes,
        [
            "invalid_payload",
            "unique_violation",
            depends,
            depends,
            "ok",
            depends
        ]
    );

    assert_eq!(results[2]["retryable"], false);
    assert_eq!(stack.rows("resources").len(), 2);
}

#[tokio::test]
async fn reference_to_retryable_create_is_retryable() {
    let stack = Stack::configured(&[("CATALOG", PHOTOS)]).today();
    let (presigned, photo, note) = photo_and_note(&stack).await;
    let batch = json!([photo, note]);
    let ana = stack.device("ana", "phone");
    let first = ana.push(batch.clone()).await;
    assert_eq!(
        (&first[0]["code"], &first[1]["code"]),
        (&json!("media_missing"), &json!("depends_on_failed_item"))
    );
    assert_eq!(first[1]["retryable"], true);

    stack.upload(&presigned, b"abc").await;
    let again = ana.push(batch).await;
    assert_eq!(
        payload(&stack, &again[1]["server_id"])["photo"],
        again[0]["server_id"]
    );
}

#[tokio::test]
async fn reference_to_rejected_create_is_not_stored() {
    let stack = Stack::new();
    let ana = member_of_north(&stack, "ana");
    ana.push_one(meter("tmp-a", "A")).await;
    let existing = ana.push_one(task("t-0", "tmp-a")).await;
    let rejected = ana.push_one(meter("new", "A")).await;
    assert_eq!(rejected["code"], "unique_violation");

    // The references are in later batches, by a create and by an update.
    let update = update_to_new(&existing["server_id"]);
    for item in [task("t-1", "new"), update.clone()] {
        let result = ana.push_one(item).await;
        assert_eq!(
            (&result["code"], &result["retryable"]),
            (&json!("depends_on_failed_item"), &json!(true)),
            "{result}"
        );
    }
    assert_eq!(stack.rows("resources").len(), 2, "no task holds a temp id");

    // After an admin has created the meter, the same items refer to it.
    let merge = json!({"resolution": "manual_merge", "payload": {"code": "B"}});
    scenario::resolve(&stack, &rejected["conflict_id"], &merge)
        .await
        .ok();
    let made = ana.push_one(task("t-1", "new")).await;
    assert_eq!(
        payload(&stack, &made["server_id"])["meter_id"],
        rejected["server_id"]
    );
    assert_eq!(ana.push_one(update).await["status"], "ok");
    assert_eq!(
        payload(&stack, &existing["server_id"])["meter_id"],
        rejected["server_id"]
    );
}

#[tokio::test]
async fn reference_to_dismissed_create_fails_permanently() {
    let stack = Stack::new();
    let ana = member_of_north(&stack, "ana");
    ana.push_one(meter("tmp-a", "A")).await;
    let results = ana
        .push(json!([meter("new", "A"), task("t-1", "new")]))
        .await;
    assert_eq!(
        (&results[1]["code"], &results[1]["retryable"]),
        (&json!("depends_on_failed_item"), &json!(true))
    );

    let dismiss = json!({"resolution": "accept_server"});
    scenario::resolve(&stack, &results[0]["conflict_id"], &dismiss)
        .await
        .ok();

    let result = ana.push_one(task("t-1", "new")).await;
    assert_eq!(
        (&result["code"], &result["retryable"]),
        (&json!("depends_on_failed_item"), &json!(false)),
        "{result}"
    );
}

#[tokio::test]
async fn reference_to_earlier_failed_create_is_rejected() {
    let stack = Stack::new();
    let ana = member_of_north(&stack, "ana");
    let kept = ana.push_one(task("t-0", "m-1")).await;
    assert_eq!(ana.push_one(broken("new")).await["code"], "invalid_payload");
    let update = update_to_new(&kept["server_id"]);
    for item in [task("t-1", "new"), update.clone()] {
        let result = ana.push_one(item).await;
        assert_eq!(
            (&result["code"], &result["retryable"]),
            (&json!("depends_on_failed_item"), &json!(false)),
            "{result}"
        );
    }

    // On another device of the user, or for another user, the text may name something else.
    for other in [
        Device::new(&stack, ana.token.clone(), "tablet"),
        member_of_north(&stack, "ben"),
    ] {
        let result = other.push_one(task("t-1", "new")).await;
        assert_eq!(payload(&stack, &result["server_id"])["meter_id"], "new");
    }

    // After the create is corrected, items can refer to it.
    let made = ana.push_one(meter("new", "A")).await;
    let result = ana.push_one(task("t-1", "new")).await;
    assert_eq!(
        payload(&stack, &result["server_id"])["meter_id"],
        made["server_id"]
    );
    assert_eq!(ana.push_one(update).await["status"], "ok");
}

/// Builds a create of the meter `new` that can be applied.
fn sound() -> Item {
    meter("new", "B")
}

/// Returns batches with several creates of the temp id `new`, one of which can be applied. Each is
/// returned with the temp id of a task that refers to it.
///
/// The create is corrected in the same batch, or it is followed by another create of the same temp
/// id, which conflicts or fails.
fn batches_with_applied_create() -> [(&'static str, Value); 4] {
    [
        ("t-1", json!([broken("new"), sound(), task("t-1", "new")])),
        ("t-2", json!([broken("new"), task("t-2", "new")])),
        ("t-3", json!([task("t-3", "new"), meter("new", "A")])),
        ("t-4", json!([sound(), broken("new"), task("t-4", "new")])),
    ]
}

#[tokio::test]
async fn reference_targets_the_applied_create() {
    let stack = Stack::new();
    let ana = member_of_north(&stack, "ana");
    ana.push_one(meter("tmp-a", "A")).await;

    for (temp_id, batch) in batches_with_applied_create() {
        let results = ana.push(batch).await;
        let of = results
            .iter()
            .find(|result| result["client_temp_id"] == temp_id)
            .expect("the task");
        let made = ana.push_one(sound()).await;
        assert_eq!(of["status"], "ok", "{results:?}");
        assert_eq!(
            payload(&stack, &of["server_id"])["meter_id"],
            made["server_id"]
        );
    }

    // A rejected create beside a failed one may still be applied.
    let results = ana
        .push(json!([broken("c"), meter("c", "A"), task("t-5", "c")]))
        .await;
    let later = ana.push_one(task("t-5", "c")).await;
    for result in [&results[2], &later] {
        assert_eq!(
            (&result["code"], &result["retryable"]),
            (&json!("depends_on_failed_item"), &json!(true))
        );
    }
}

/// A create whose upload is missing may still succeed, and so may an item that refers to it in a
/// later batch.
#[tokio::test]
async fn later_reference_to_retryable_create_is_retryable() {
    let stack = Stack::configured(&[("CATALOG", PHOTOS)]).today();
    let (presigned, photo, note) = photo_and_note(&stack).await;
    let ana = stack.device("ana", "phone");
    assert_eq!(ana.push_one(photo.clone()).await["code"], "media_missing");
    let waits = ana.push_one(note.clone()).await;
    assert_eq!(
        (&waits["code"], &waits["retryable"]),
        (&json!("depends_on_failed_item"), &json!(true)),
        "{waits}"
    );

    stack.upload(&presigned, b"abc").await;
    let made = ana.push_one(photo).await;
    let result = ana.push_one(note).await;
    assert_eq!(
        payload(&stack, &result["server_id"])["photo"],
        made["server_id"]
    );
}
