//! Restored devices (§3.13, §4.6): a device that was restored from a backup, or that shares its id
//! with a copy of itself, receives the changes that it lacks.

use serde_json::{Value, json};
use tidemark_core::model::token::Token;
use tidemark_tests::{Device, Item, Stack};

fn create(id: &str) -> Item {
    Item::create("meter", id, json!({})).base(0)
}

/// Returns an update of the first version of the meter `a`.
fn update(client_version: u64, patch: Value) -> Item {
    Item::update("meter", "a", client_version, patch).base(1)
}

/// Pulls everything as a device that also requests its own changes for which it has no receipt, and
/// returns the ids of the changes.
async fn pull_unacknowledged(stack: &Stack, device: &mut Device<'_>, limit: usize) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let body = json!({"since_token": device.since(), "device_id": device.device_id, "limit": limit, "own_changes": "unanswered"});
        let page = stack.post("sync/pull", &device.token, &body).await.ok();
        ids.extend(ids_of(page["changes"].as_array().expect("changes")));
        device.set_since(&page["next_token"]);
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
    device.set_since(&device.send(&items).await.ok()["server_sync_token"]);
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
    let backup = ana.since();
    push_and_store(&mut ana, json!([create("a"), create("b")])).await;
    assert!(has_receipts(&ana.since()) && ana.since() != backup);
    ana.push_one(create("lost-response")).await;
    stack.settle().await;
    assert_eq!(
        pull_unacknowledged(&stack, &mut ana, 100).await,
        ["lost-response"]
    );
    assert!(
        !has_receipts(&ana.since()),
        "a change that was passed needs no receipt"
    );
    assert!(pull_unacknowledged(&stack, &mut ana, 100).await.is_empty());

    // The token is restored from the backup, and the changes return in pages of either size.
    for limit in [1, 100] {
        ana.set_since(&backup);
        assert_eq!(
            pull_unacknowledged(&stack, &mut ana, limit).await,
            ["a", "b", "lost-response"]
        );
    }
}

/// The device was restored from a backup at version 1, and its user repeats an edit that the lost
/// version 2 already contains. The receipt for version 2 would withhold the rest of that version
/// from the device, so the payload is part of the result.
#[tokio::test]
async fn unchanged_edit_returns_payload_to_restored_device() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    push_and_store(&mut ana, json!([create("a")])).await;
    stack.settle().await;
    pull_unacknowledged(&stack, &mut ana, 100).await;

    ana.push_one(update(1, json!({"n": 1, "lost": true}))).await;

    for (version, batch_id) in [(1, "b-1"), (2, "b-2"), (2, "b-2")] {
        let items = json!([update(version, json!({"n": 1}))]);
        let response = ana.push_batch(batch_id, &items).await.ok();
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
async fn receipts_are_kept_until_changes_are_sequenced() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    pull_unacknowledged(&stack, &mut ana, 100).await;
    push_and_store(&mut ana, json!([create("a")])).await;
    assert!(pull_unacknowledged(&stack, &mut ana, 100).await.is_empty());
    stack.settle().await;
    assert!(
        pull_unacknowledged(&stack, &mut ana, 100).await.is_empty(),
        "the receipt is kept until the change is passed"
    );

    // A receipt that is a day older than the pulled position cannot match a later change.
    push_and_store(&mut ana, json!([update(1, json!({}))])).await;
    assert!(
        has_receipts(&ana.since()),
        "the receipt of an edit that changed nothing"
    );
    stack.advance(chrono::Duration::hours(25));
    pull_unacknowledged(&stack, &mut ana, 100).await;
    assert!(!has_receipts(&ana.since()));
}

#[tokio::test]
async fn repeated_batch_returns_the_same_receipts() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    pull_unacknowledged(&stack, &mut ana, 100).await;
    let items = json!([create("a")]);
    let first = ana.push_batch("b-1", &items).await.ok();
    let again = ana.push_batch("b-1", &items).await.ok();
    assert_eq!(again["server_sync_token"], first["server_sync_token"]);
    ana.set_since(&again["server_sync_token"]);
    stack.settle().await;
    assert!(pull_unacknowledged(&stack, &mut ana, 100).await.is_empty());
}

#[tokio::test]
async fn device_copies_receive_each_others_changes() {
    let stack = Stack::new();
    let (mut one, mut other) = (stack.device("ana", "phone"), stack.device("ana", "phone"));
    pull_unacknowledged(&stack, &mut one, 100).await;
    other.set_since(&one.since());
    // Both copies push in the same millisecond.
    push_and_store(&mut one, json!([create("a")])).await;
    push_and_store(&mut other, json!([create("b")])).await;
    stack.settle().await;
    assert_eq!(pull_unacknowledged(&stack, &mut one, 100).await, ["b"]);
    assert_eq!(pull_unacknowledged(&stack, &mut other, 100).await, ["a"]);
}

#[tokio::test]
async fn channel_reset_drops_receipts() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    // After a push before the first pull, the snapshot contains the created resource.
    push_and_store(&mut ana, json!([create("a")])).await;
    assert!(has_receipts(&ana.since()));
    assert_eq!(pull_unacknowledged(&stack, &mut ana, 100).await, ["a"]);
    assert!(!has_receipts(&ana.since()));
}

#[tokio::test]
async fn acknowledged_own_changes_return_after_restore() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    ana.pull().await;
    let backup = ana.since();
    ana.push(json!([create("a"), create("b")])).await;
    stack.settle().await;
    assert!(ana.pull().await.is_empty());
    let newest = ana.since();

    ana.set_since(&backup);
    assert!(
        ana.pull().await.is_empty(),
        "no acknowledgement shows a later position"
    );
    ana.set_since(&newest);
    ana.ack().await.ok();
    assert!(ana.pull().await.is_empty());
    for limit in [1, 100] {
        ana.set_since(&backup);
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
    // For another device of the user these are not own changes.
    let mut tablet = stack.device("ana", "tablet");
    tablet.set_since(&backup);
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
async fn old_token_format_is_accepted() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    ana.pull().await;
    push_and_store(&mut ana, json!([create("a")])).await;
    let (token, receipts) =
        Token::decode_with(ana.since().as_str().expect("text")).expect("a token");
    assert!(!receipts.is_empty());
    ana.set_since(&token.encode().into());
    stack.settle().await;
    assert!(
        ana.pull().await.is_empty(),
        "own changes are sent only on request"
    );
    ana.set_since(&token.encode().into());
    assert_eq!(pull_unacknowledged(&stack, &mut ana, 100).await, ["a"]);
}

#[tokio::test]
async fn unknown_own_changes_value_is_rejected() {
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
