//! §3.13, §4.6: a device that went back to a backup, or that shares its id with a copy of itself,
//! is sent the changes that it lacks.

use serde_json::{Value, json};
use tidemark_core::token::Token;
use tidemark_tests::{Device, Stack};

fn create(id: &str) -> Value {
    json!({"resource_type": "meter", "action": "create", "client_version": 0, "base_version": 0, "payload": {"id": id}})
}

/// Pulls everything as a device that asks for its own changes that it was not told of; gives the
/// ids of the changes.
async fn pull_unacknowledged(stack: &Stack, device: &mut Device<'_>, limit: usize) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let body = json!({"since_token": device.since, "device_id": device.device_id, "limit": limit, "own_changes": "unanswered"});
        let page = stack.post("sync/pull", &device.token, &body).await.ok();
        ids.extend(ids_of(page["changes"].as_array().expect("changes")));
        device.since = page["next_token"].clone();
        if page["has_more"] == false {
            return ids;
        }
    }
}

fn ids_of(changes: &[Value]) -> Vec<String> {
    changes
        .iter()
        .map(|change| change["id"].as_str().expect("an id").to_owned())
        .collect()
}

/// Pushes items, and stores the token of the response as the documented push loop does.
async fn push_and_store(device: &mut Device<'_>, items: Value) {
    device.since = device.send(&items).await.ok()["server_sync_token"].clone();
}

fn has_receipts(token: &Value) -> bool {
    !Token::decode_with(token.as_str().expect("text"))
        .expect("a token")
        .1
        .is_empty()
}

#[tokio::test]
async fn own_change_without_receipt_is_delivered() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    pull_unacknowledged(&stack, &mut ana, 100).await;
    let backup = ana.since.clone();
    push_and_store(&mut ana, json!([create("a"), create("b")])).await;
    assert!(has_receipts(&ana.since) && ana.since != backup);
    ana.push_one(create("lost-response")).await;
    stack.settle().await;
    assert_eq!(
        pull_unacknowledged(&stack, &mut ana, 100).await,
        ["lost-response"]
    );
    assert!(
        !has_receipts(&ana.since),
        "what was passed needs no receipt"
    );
    assert!(pull_unacknowledged(&stack, &mut ana, 100).await.is_empty());

    // Rows and token come back from the backup, page by page.
    for limit in [1, 100] {
        ana.since = backup.clone();
        assert_eq!(
            pull_unacknowledged(&stack, &mut ana, limit).await,
            ["a", "b", "lost-response"]
        );
    }
}

/// The device was restored from a backup at version 1, and its user types what the lost version 2
/// says already: the receipt for version 2 would keep the rest of that version from the device, so
/// the payload comes with the result.
#[tokio::test]
async fn edit_that_changes_nothing_brings_what_a_restored_device_lost() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    push_and_store(&mut ana, json!([create("a")])).await;
    stack.settle().await;
    pull_unacknowledged(&stack, &mut ana, 100).await;
    let update = |version: u64, payload: Value| {
        let mut item = json!({"resource_type": "meter", "action": "update", "client_version": version, "base_version": 1});
        item["payload"] = payload;
        item
    };
    ana.push_one(update(1, json!({"id": "a", "n": 1, "lost": true})))
        .await;
    for (version, batch_id) in [(1, "b-1"), (2, "b-2"), (2, "b-2")] {
        let response = ana
            .push_batch(
                batch_id,
                &json!([update(version, json!({"id": "a", "n": 1}))]),
            )
            .await
            .ok();
        let result = &response["results"][0];
        assert_eq!(
            (
                &result["status"],
                &result["server_version"],
                &result["server_payload"]
            ),
            (&json!("ok"), &json!(2), &json!({"n": 1, "lost": true})),
            "{result}"
        );
    }
}

#[tokio::test]
async fn receipts_wait_for_what_is_not_sequenced() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    pull_unacknowledged(&stack, &mut ana, 100).await;
    push_and_store(&mut ana, json!([create("a")])).await;
    assert!(pull_unacknowledged(&stack, &mut ana, 100).await.is_empty());
    stack.settle().await;
    assert!(
        pull_unacknowledged(&stack, &mut ana, 100).await.is_empty(),
        "the receipt is kept until the change comes by"
    );
    // A receipt that is a day older than what was pulled is for nothing that can come.
    let item = json!([{"resource_type": "meter", "action": "update", "client_version": 1, "base_version": 1, "payload": {"id": "a"}}]);
    push_and_store(&mut ana, item).await;
    assert!(has_receipts(&ana.since), "of an edit that changed nothing");
    stack.advance(chrono::Duration::hours(25));
    pull_unacknowledged(&stack, &mut ana, 100).await;
    assert!(!has_receipts(&ana.since));
}

#[tokio::test]
async fn repeated_batch_gives_its_receipts_again() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    pull_unacknowledged(&stack, &mut ana, 100).await;
    let items = json!([create("a")]);
    let first = ana.push_batch("b-1", &items).await.ok();
    let again = ana.push_batch("b-1", &items).await.ok();
    assert_eq!(again["server_sync_token"], first["server_sync_token"]);
    ana.since = again["server_sync_token"].clone();
    stack.settle().await;
    assert!(pull_unacknowledged(&stack, &mut ana, 100).await.is_empty());
}

#[tokio::test]
async fn copies_of_a_device_get_each_others_changes() {
    let stack = Stack::new();
    let (mut one, mut other) = (stack.device("ana", "phone"), stack.device("ana", "phone"));
    pull_unacknowledged(&stack, &mut one, 100).await;
    other.since = one.since.clone();
    // At the same millisecond.
    push_and_store(&mut one, json!([create("a")])).await;
    push_and_store(&mut other, json!([create("b")])).await;
    stack.settle().await;
    assert_eq!(pull_unacknowledged(&stack, &mut one, 100).await, ["b"]);
    assert_eq!(pull_unacknowledged(&stack, &mut other, 100).await, ["a"]);
}

#[tokio::test]
async fn channel_that_starts_over_drops_receipts() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    // A push before the first pull: the snapshot holds what was made.
    push_and_store(&mut ana, json!([create("a")])).await;
    assert!(has_receipts(&ana.since));
    assert_eq!(pull_unacknowledged(&stack, &mut ana, 100).await, ["a"]);
    assert!(!has_receipts(&ana.since));
}

#[tokio::test]
async fn acknowledged_own_changes_return_after_restore() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    ana.pull().await;
    let backup = ana.since.clone();
    ana.push(json!([create("a"), create("b")])).await;
    stack.settle().await;
    assert!(ana.pull().await.is_empty());
    let newest = ana.since.clone();

    ana.since = backup.clone();
    assert!(
        ana.pull().await.is_empty(),
        "nothing shows that it ever was further"
    );
    ana.since = newest;
    ana.ack().await.ok();
    assert!(ana.pull().await.is_empty());
    for limit in [1, 100] {
        ana.since = backup.clone();
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.extend(ids_of(
                ana.pull_page(limit).await["changes"]
                    .as_array()
                    .expect("changes"),
            ));
        }
        assert_eq!(ids, ["a", "b"]);
    }
    // Another device of the user stands where it stands.
    let mut tablet = stack.device("ana", "tablet");
    tablet.since = backup;
    assert_eq!(ids_of(&tablet.pull().await), ["a", "b"]);
}

#[tokio::test]
async fn late_acknowledgement_brings_no_own_changes() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    ana.pull().await;
    ana.ack().await.ok();
    for id in ["a", "b", "c"] {
        ana.push_one(create(id)).await;
        stack.settle().await;
        assert!(ana.pull().await.is_empty());
    }
}

#[tokio::test]
async fn token_of_the_old_form_is_read() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    ana.pull().await;
    push_and_store(&mut ana, json!([create("a")])).await;
    let (token, receipts) = Token::decode_with(ana.since.as_str().expect("text")).expect("a token");
    assert!(!receipts.is_empty());
    ana.since = token.encode().into();
    stack.settle().await;
    assert!(
        ana.pull().await.is_empty(),
        "a client that does not ask for its own changes is not sent them"
    );
    ana.since = token.encode().into();
    assert_eq!(pull_unacknowledged(&stack, &mut ana, 100).await, ["a"]);
}

#[tokio::test]
async fn unknown_own_changes_are_refused() {
    let stack = Stack::new();
    let token = stack.device("ana", "phone").token;
    for own_changes in [json!("all"), json!(true), json!({"omit": null})] {
        let response = stack
            .post(
                "sync/pull",
                &token,
                &json!({"device_id": "phone", "own_changes": own_changes}),
            )
            .await;
        assert_eq!(
            (response.status, &response.json()["code"]),
            (400, &json!("invalid_request"))
        );
    }
    for own_changes in [json!("omit"), json!("unanswered"), Value::Null] {
        stack
            .post("sync/pull", &token, &json!({"own_changes": own_changes}))
            .await
            .ok();
    }
}
