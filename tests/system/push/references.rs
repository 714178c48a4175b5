//! §3.10: a reference by temp id becomes a reference by id, and what refers to a failed create
//! fails with it.

use serde_json::{Value, json};
use tidemark_tests::{Device, Stack};

fn meter(temp_id: &str, payload: Value) -> Value {
    json!({"resource_type": "meter", "action": "create", "client_temp_id": temp_id, "client_version": 0, "payload": payload})
}

fn task(temp_id: &str, meter: &str) -> Value {
    json!({"resource_type": "task", "action": "create", "client_temp_id": temp_id, "client_version": 0,
        "channel": "group/north", "payload": {"title": "read it", "meter_id": meter}})
}

/// A catalog whose notes refer to photos.
const PHOTOS: &str = "[photo]\nchannel = 'tenant'\nid_prefix = 'p'\nmedia = ['media']\n\n\
                      [note]\nchannel = 'tenant'\nid_prefix = 'n'\nreferences = { photo = 'photo' }";

/// A presigned upload of Ana's, a create of a photo that names it, and a create of a note that
/// refers to the photo.
async fn photo_and_note(stack: &Stack) -> (Value, Value, Value) {
    let request = json!({"filename": "a.jpg", "content_type": "image/jpeg", "content_length": 3});
    let presigned = stack
        .post(
            "media/presign",
            &stack.token("acme", "ana", &[], &[]),
            &request,
        )
        .await
        .ok();
    let create = |resource_type: &str, temp_id: &str, payload: Value| json!({"resource_type": resource_type, "action": "create", "client_temp_id": temp_id, "client_version": 0, "payload": payload});
    let photo = create("photo", "p", json!({"media": presigned["key"]}));
    (presigned, photo, create("note", "n", json!({"photo": "p"})))
}

fn of_north<'a>(stack: &'a Stack, user: &str) -> Device<'a> {
    Device::new(stack, stack.token("acme", user, &[], &["north"]), "phone")
}

fn payload(stack: &Stack, id: &Value) -> Value {
    let rows = stack.rows("resources");
    let row = rows
        .iter()
        .find(|row| {
            row["sk"]["S"]
                .as_str()
                .expect("text")
                .ends_with(id.as_str().expect("text"))
        })
        .expect("a row");
    serde_json::from_str(row["payload"]["S"].as_str().expect("text")).expect("JSON")
}

#[tokio::test]
async fn a_temp_id_of_the_same_batch_is_replaced_before_storing() {
    let stack = Stack::new();
    let ana = of_north(&stack, "ana");
    // Before and behind the create it refers to.
    let results = ana
        .push(json!([
            task("t-1", "tmp-m"),
            meter("tmp-m", json!({"code": "A"})),
            task("t-2", "tmp-m")
        ]))
        .await;
    assert!(results.iter().all(|it| it["status"] == "ok"), "{results:?}");
    for result in [&results[0], &results[2]] {
        let stored = payload(&stack, &result["server_id"]);
        assert_eq!(stored["meter_id"], results[1]["server_id"]);
        assert_eq!(
            stored.to_string(),
            json!({"title": "read it", "meter_id": results[1]["server_id"]}).to_string()
        );
    }
    // A create that asks for an id is referred to by its temp id too.
    let mut named = meter("tmp-n", json!({"id": "m-77"}));
    named["client_version"] = 0.into();
    let results = ana.push(json!([named, task("t-3", "tmp-n")])).await;
    assert_eq!(
        payload(&stack, &results[1]["server_id"])["meter_id"],
        "m-77"
    );
}

#[tokio::test]
async fn a_temp_id_of_an_earlier_batch_is_found_by_deriving_the_id() {
    let stack = Stack::new();
    let ana = of_north(&stack, "ana");
    let made = ana.push_one(meter("tmp-m", json!({"code": "A"}))).await;
    let result = ana.push_one(task("t-1", "tmp-m")).await;
    assert_eq!(
        payload(&stack, &result["server_id"])["meter_id"],
        made["server_id"]
    );
    // An update refers the same way.
    let other = ana.push_one(meter("tmp-o", json!({"code": "B"}))).await;
    let update = json!({"resource_type": "task", "action": "update", "client_temp_id": "t-1", "client_version": 1, "base_version": 1,
        "channel": "group/north", "payload": {"meter_id": "tmp-o"}});
    assert_eq!(ana.push_one(update).await["status"], "ok");
    assert_eq!(
        payload(&stack, &result["server_id"])["meter_id"],
        other["server_id"]
    );
    // Somebody else's temp id, and an id, stay as they are.
    for text in ["tmp-m", "m-123"] {
        let result = of_north(&stack, "ben")
            .push_one(task(&format!("t-{text}"), text))
            .await;
        assert_eq!(payload(&stack, &result["server_id"])["meter_id"], text);
    }
}

#[tokio::test]
async fn what_refers_to_a_create_that_failed_depends_on_it() {
    let stack = Stack::new();
    let ana = of_north(&stack, "ana");
    ana.push_one(meter("tmp-a", json!({"code": "A"}))).await;
    let batch = json!([
        {"resource_type": "meter", "action": "create", "client_temp_id": "broken", "client_version": 0, "payload": []},
        meter("taken", json!({"code": "A"})),
        task("t-1", "broken"),
        task("t-2", "taken"),
        task("t-3", "tmp-a"),
        {"resource_type": "task", "action": "update", "client_temp_id": "t-1", "client_version": 1, "channel": "group/north",
            "payload": {"title": "behind"}},
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
async fn a_retried_batch_with_references_answers_as_the_first_time() {
    let stack = Stack::new();
    let ana = of_north(&stack, "ana");
    let batch = json!([meter("tmp-m", json!({"code": "A"})), task("t-1", "tmp-m")]);
    let first = ana.push(batch.clone()).await;
    let again = ana.push(batch).await;
    assert_eq!(super::told(&first), super::told(&again));
    assert_eq!(stack.rows("resources").len(), 2);
}

#[tokio::test]
async fn a_device_pulls_its_own_change_where_a_reference_was_replaced() {
    let stack = Stack::new();
    let mut ana = of_north(&stack, "ana");
    ana.pull().await;
    let results = ana
        .push(json!([
            meter("tmp-m", json!({"code": "A"})),
            task("t-1", "tmp-m")
        ]))
        .await;
    stack.settle().await;
    let changes = ana.pull().await;
    assert_eq!(changes.len(), 1, "the meter is stored as it was sent");
    assert_eq!(
        (&changes[0]["id"], &changes[0]["payload"]["meter_id"]),
        (&results[1]["server_id"], &results[0]["server_id"])
    );
}

#[tokio::test]
async fn creates_that_refer_to_each_other_are_taken_at_their_word() {
    let catalog = "[part]\nchannel = 'tenant'\nid_prefix = 'p'\nreferences = { other = 'part' }";
    let stack = Stack::configured(&[("CATALOG", catalog)]);
    let part = |temp_id: &str, other: &str| json!({"resource_type": "part", "action": "create", "client_temp_id": temp_id, "client_version": 0, "payload": {"other": other}});
    let results = stack
        .device("ana", "phone")
        .push(json!([part("a", "b"), part("b", "a"), part("c", "c")]))
        .await;
    assert!(results.iter().all(|it| it["status"] == "ok"), "{results:?}");
    for (of, to) in [(0, 1), (1, 0), (2, 2)] {
        assert_eq!(
            payload(&stack, &results[of]["server_id"])["other"],
            results[to]["server_id"]
        );
    }
}

#[tokio::test]
async fn what_refers_to_a_create_that_may_be_sent_again_may_be_sent_again_too() {
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
async fn reference_to_a_rejected_create_is_not_stored() {
    let stack = Stack::new();
    let ana = of_north(&stack, "ana");
    ana.push_one(meter("tmp-a", json!({"code": "A"}))).await;
    let existing = ana.push_one(task("t-0", "tmp-a")).await;
    let rejected = ana.push_one(meter("new", json!({"code": "A"}))).await;
    assert_eq!(rejected["code"], "unique_violation");
    // In later batches, by a create and by an update.
    let update = json!({"resource_type": "task", "action": "update", "client_version": 1, "base_version": 1, "channel": "group/north",
        "payload": {"id": existing["server_id"], "meter_id": "new"}});
    for item in [task("t-1", "new"), update.clone()] {
        let result = ana.push_one(item).await;
        assert_eq!(
            (&result["code"], &result["retryable"]),
            (&json!("depends_on_failed_item"), &json!(true)),
            "{result}"
        );
    }
    assert_eq!(stack.rows("resources").len(), 2, "no task holds a temp id");
    // Once an admin has made the meter, the same items refer to it.
    let admin = stack.token("acme", "root", &["admin"], &[]);
    let path = format!(
        "conflicts/{}/resolve",
        rejected["conflict_id"].as_str().expect("an id")
    );
    let merge = json!({"resolution": "manual_merge", "payload": {"code": "B"}});
    stack.post(&path, &admin, &merge).await.ok();
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
async fn reference_to_a_dismissed_create_fails_for_good() {
    let stack = Stack::new();
    let ana = of_north(&stack, "ana");
    ana.push_one(meter("tmp-a", json!({"code": "A"}))).await;
    let results = ana
        .push(json!([
            meter("new", json!({"code": "A"})),
            task("t-1", "new")
        ]))
        .await;
    assert_eq!(
        (&results[1]["code"], &results[1]["retryable"]),
        (&json!("depends_on_failed_item"), &json!(true))
    );
    let admin = stack.token("acme", "root", &["admin"], &[]);
    let path = format!(
        "conflicts/{}/resolve",
        results[0]["conflict_id"].as_str().expect("an id")
    );
    stack
        .post(&path, &admin, &json!({"resolution": "accept_server"}))
        .await
        .ok();
    let result = ana.push_one(task("t-1", "new")).await;
    assert_eq!(
        (&result["code"], &result["retryable"]),
        (&json!("depends_on_failed_item"), &json!(false)),
        "{result}"
    );
}

/// A create of a meter that fails with an error.
fn broken(temp_id: &str) -> Value {
    json!({"resource_type": "meter", "action": "create", "client_temp_id": temp_id, "client_version": 0, "payload": []})
}

#[tokio::test]
async fn reference_to_a_create_that_failed_before_is_not_stored() {
    let stack = Stack::new();
    let ana = of_north(&stack, "ana");
    let kept = ana.push_one(task("t-0", "m-1")).await;
    assert_eq!(ana.push_one(broken("new")).await["code"], "invalid_payload");
    let update = json!({"resource_type": "task", "action": "update", "client_version": 1, "base_version": 1, "channel": "group/north",
        "payload": {"id": kept["server_id"], "meter_id": "new"}});
    for item in [task("t-1", "new"), update.clone()] {
        let result = ana.push_one(item).await;
        assert_eq!(
            (&result["code"], &result["retryable"]),
            (&json!("depends_on_failed_item"), &json!(false)),
            "{result}"
        );
    }
    // Another device of the user calls something else so, and another user too.
    for other in [
        Device::new(&stack, ana.token.clone(), "tablet"),
        of_north(&stack, "ben"),
    ] {
        let result = other.push_one(task("t-1", "new")).await;
        assert_eq!(payload(&stack, &result["server_id"])["meter_id"], "new");
    }
    // Corrected, it can be referred to.
    let made = ana.push_one(meter("new", json!({"code": "A"}))).await;
    let result = ana.push_one(task("t-1", "new")).await;
    assert_eq!(
        payload(&stack, &result["server_id"])["meter_id"],
        made["server_id"]
    );
    assert_eq!(ana.push_one(update).await["status"], "ok");
}

#[tokio::test]
async fn reference_is_to_the_create_that_was_applied() {
    let stack = Stack::new();
    let ana = of_north(&stack, "ana");
    ana.push_one(meter("tmp-a", json!({"code": "A"}))).await;
    let sound = || meter("new", json!({"code": "B"}));
    // Corrected in the same batch, and sent again broken after it was made: by a create that may be
    // decided, and by one that may not.
    for (temp_id, batch) in [
        ("t-1", json!([broken("new"), sound(), task("t-1", "new")])),
        ("t-2", json!([broken("new"), task("t-2", "new")])),
        (
            "t-3",
            json!([task("t-3", "new"), meter("new", json!({"code": "A"}))]),
        ),
        ("t-4", json!([sound(), broken("new"), task("t-4", "new")])),
    ] {
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
    // A rejected create beside one that failed may still be made.
    let results = ana
        .push(json!([
            broken("c"),
            meter("c", json!({"code": "A"})),
            task("t-5", "c")
        ]))
        .await;
    assert_eq!(
        (&results[2]["code"], &results[2]["retryable"]),
        (&json!("depends_on_failed_item"), &json!(true))
    );
    let result = ana.push_one(task("t-5", "c")).await;
    assert_eq!(
        (&result["code"], &result["retryable"]),
        (&json!("depends_on_failed_item"), &json!(true))
    );
}

/// A create whose upload is missing may still succeed, and so may what refers to it in a later
/// batch.
#[tokio::test]
async fn reference_to_a_create_that_may_be_sent_again_is_retryable_in_a_later_batch() {
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
