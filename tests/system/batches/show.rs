//! `GET /batches/{id}`: the raw items and the results of a batch, §7 of the protocol.

use std::{collections::BTreeMap, sync::Arc};

use chrono::Duration;
use serde_json::{Value, json, value::RawValue};
use tidemark_core::model::time::timestamp;
use tidemark_tests::{Item, Script, Stack, hooks::Moment, noise};

use super::{boss, create, edit, get, id_of, push};

#[tokio::test]
async fn batch_returns_raw_items_and_results() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let items = [
        r#"{ "resource_type":"meter", "action":"create","client_version":0,"payload":{"id":"m","n":1.0,"big":9007199254740993,"e":1e300} }"#,
        r#""no item at all""#,
        r#"{"b":1,  "a":[0.10]}"#,
    ];
    let body = format!(
        r#"{{"device_id":"phone","batch_id":"b","items":[{}]}}"#,
        items.join(" , ")
    );
    let received_at = timestamp(stack.now());
    let pushed = stack
        .post_bytes("sync/push", Some(&ana.token), body.as_bytes())
        .await
        .ok();

    stack.advance(Duration::hours(1));
    let response = get(
        &stack,
        &ana.token,
        pushed["batch_id"].as_str().expect("an id"),
    )
    .await;

    let fields: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(&response.text).expect("an object");
    let returned: Vec<Box<RawValue>> = serde_json::from_str(fields["items"].get()).expect("items");
    assert_eq!(
        returned.iter().map(|item| item.get()).collect::<Vec<_>>(),
        items
    );

    let mut batch = response.ok();
    batch["items"].take();
    let expected = json!({"batch_id": pushed["batch_id"], "user": "ana", "device_id": "phone", "received_at": received_at,
        "processed_at": received_at, "items": null, "results": pushed["results"], "delivered": false});
    assert_eq!(batch, expected);
}

#[tokio::test]
async fn results_are_returned_without_payloads() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    stack
        .device("ben", "phone")
        .push(json!([create("m", "1"), edit("m", 1, "2")]))
        .await;
    let id = push(&ana, "b", &json!([edit("m", 1, "x")])).await;
    let result = get(&stack, &ana.token, &id).await.ok()["results"][0].clone();
    assert_eq!(
        (&result["status"], &result["server_payload_omitted"]),
        (&json!("conflict"), &json!(true))
    );
    assert_eq!(result.get("server_payload"), None);
}

#[tokio::test]
async fn batch_is_visible_to_user_and_admins() {
    let stack = Stack::new();
    let id = push(
        &stack.device("ana", "phone"),
        "b",
        &json!([create("m", "1")]),
    )
    .await;

    let token = |tenant, user, roles: &[&str]| stack.token(tenant, user, roles, &[]);
    for (token, status) in [
        (token("acme", "ana", &[]), 200),
        (token("acme", "boss", &["admin"]), 200),
        (token("acme", "ben", &[]), 404),
        (token("umbrella", "ana", &[]), 404),
        (token("umbrella", "boss", &["admin"]), 404),
    ] {
        assert_eq!(get(&stack, &token, &id).await.status, status);
    }
    assert_eq!(get(&stack, "none", &id).await.status, 401);
}

#[tokio::test]
async fn unknown_batch_is_not_found() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let id = push(&ana, "b", &json!([create("m", "1")])).await;

    for unknown in [
        &id_of("ana", "other"),
        &id_of("ben", "b"),
        "x",
        "batch-1",
        &"y".repeat(3000),
        &id[..id.len() - 1],
        &id.to_uppercase(),
    ] {
        let response = get(&stack, &ana.token, unknown).await;
        assert_eq!(
            (response.status, &response.json()["code"]),
            (404, &json!("not_found")),
            "{unknown}"
        );
    }

    for from in ["-1", "x", "50", "1.5"] {
        let response = get(&stack, &ana.token, &format!("{id}?from={from}")).await;
        assert_eq!(
            (response.status, &response.json()["path"]),
            (400, &json!("from")),
            "{from}"
        );
    }
}

#[tokio::test]
async fn expired_batch_is_not_found_before_deletion() {
    let stack = Stack::new();
    let id = push(
        &stack.device("ana", "phone"),
        "b",
        &json!([create("m", "1")]),
    )
    .await;
    stack.advance(Duration::days(90) - Duration::seconds(1));
    let token = boss(&stack);
    assert_eq!(get(&stack, &token, &id).await.status, 200);
    stack.advance(Duration::seconds(1));
    assert_eq!(get(&stack, &token, &id).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn unfinished_batch_returns_items_without_results() {
    let stack = Stack::new();
    let items = json!([create("m", "1")]);

    // Raw items, earlier results and rows are requested concurrently; the fourth call writes the
    // resource.
    let dying = Stack::over(
        stack.engine.clone(),
        Arc::new(Script::dying_at(3, Moment::Before)),
    );
    let device = dying.device("ana", "phone");
    let died = tokio::time::timeout(
        std::time::Duration::from_secs(60),
        device.push_batch("b", &items),
    )
    .await;
    assert!(died.is_err());

    let batch = get(&stack, &boss(&stack), &id_of("ana", "b")).await.ok();
    assert_eq!(
        (&batch["items"], &batch["results"], &batch["processed_at"]),
        (&items, &Value::Null, &Value::Null)
    );
    assert_eq!(batch["delivered"], false);
}

/// Returns `count` letters, many of them quotes, which double each time they are escaped.
fn quoted_noise(count: usize, seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    let letters = noise(count, seed);
    letters
        .chars()
        .map(|letter| if random.u8(..4) == 0 { '"' } else { letter })
        .collect()
}

/// Reads a batch of ten items to its end. Returns its items and the number of pages, each of which
/// must fit into a response and contain all results.
async fn items_and_pages(stack: &Stack, token: &str, id: &str) -> (Vec<Value>, usize) {
    let (mut returned, mut pages, mut from) = (Vec::new(), 0, 0);
    loop {
        let response = get(stack, token, &format!("{id}?from={from}")).await;
        assert!(serde_json::to_string(&response.text).expect("text").len() < 5_000_000);
        let page = response.ok();
        assert_eq!(
            page["results"].as_array().map(Vec::len),
            Some(10),
            "the results are in every page"
        );

        returned.extend(page["items"].as_array().expect("items").clone());
        pages += 1;
        let Some(next) = page.get("next_item") else {
            return (returned, pages);
        };
        assert_eq!(next, &json!(returned.len()));
        from = returned.len();
    }
}

#[tokio::test]
async fn large_batch_is_returned_in_pages() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let items: Vec<Value> = (0..10)
        .map(|number| create(&format!("m-{number}"), &quoted_noise(230_000, number)).into())
        .collect();

    let id = push(&ana, "b", &items.clone().into()).await;
    let chunks: usize = stack.rows("sync_items")[0]["chunks"]["N"]
        .as_str()
        .and_then(|chunks| chunks.parse().ok())
        .unwrap_or(0);
    assert!(chunks > 3, "more than one DynamoDB response holds");

    let (returned, pages) = items_and_pages(&stack, &ana.token, &id).await;
    assert!(returned == items, "each item once, in order");
    assert!(pages > 1);
}

#[tokio::test]
async fn oversized_item_is_omitted_and_named() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let huge = create("huge", "1").with("comment", "\"".repeat(1_450_000));
    let id = push(
        &ana,
        "b",
        &json!([create("a", "1"), huge, create("b", "1")]),
    )
    .await;

    let response = get(&stack, &ana.token, &id).await;
    assert!(serde_json::to_string(&response.text).expect("text").len() < 5_000_000);
    let batch = response.ok();
    assert_eq!(
        (
            &batch["items"][1],
            &batch["items_omitted"],
            &batch["items"][2]["payload"]["id"]
        ),
        (&Value::Null, &json!([1]), &json!("b"))
    );
}

fn put_raw_item(stack: &Stack, row: &Value) {
    stack.dynamodb("PutItem", &json!({"TableName": "sync_items", "Item": row}));
}

#[tokio::test]
async fn inconsistent_raw_items_are_not_returned() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let items: Vec<Item> = (0..3)
        .map(|number| create(&format!("m-{number}"), &noise(250_000, number)))
        .collect();

    let id = push(&ana, "b", &json!(items)).await;
    let rows = stack.rows("sync_items");
    assert_eq!(rows.len(), 2);
    let status = async || get(&stack, &ana.token, &id).await.status;
    let first = rows
        .iter()
        .find(|row| row["sk"]["S"] == "0000")
        .expect("the first chunk");
    let chunk = rows
        .iter()
        .find(|row| row["sk"]["S"] != "0000")
        .expect("a chunk");

    // A retry with other claims left a chunk, which is not part of this batch.
    let mut stray = chunk.clone();
    stray["sk"]["S"] = json!("ffffffffffffffff-0001");
    put_raw_item(&stack, &stray);
    assert_eq!(status().await, 200);

    // A first chunk with the digest of other items.
    let mut other = first.clone();
    other["digest"]["B"] = json!("AAAA");
    put_raw_item(&stack, &other);
    assert_eq!(status().await, 503);
    put_raw_item(&stack, first);
    assert_eq!(status().await, 200);

    // A missing chunk.
    stack.dynamodb(
        "DeleteItem",
        &json!({"TableName": "sync_items", "Key": {"pk": chunk["pk"], "sk": chunk["sk"]}}),
    );
    assert_eq!(status().await, 503);
}

#[tokio::test]
async fn batch_is_delivered_after_a_later_acknowledgement() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    ana.pull().await;
    ana.ack().await.ok();
    stack.advance(Duration::seconds(1));
    let id = push(&ana, "b", &json!([create("m", "1")])).await;
    let token = ana.token.clone();
    let delivered = async || get(&stack, &token, &id).await.ok()["delivered"].clone();
    assert_eq!(delivered().await, false);

    stack.settle().await;
    stack.advance(Duration::seconds(1));
    ana.pull().await;
    assert_eq!(delivered().await, false, "pulled, and not acknowledged");
    ana.ack().await.ok();
    assert_eq!(delivered().await, true);
}
