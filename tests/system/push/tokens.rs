//! Raw items are stored, the response stays small, and its token skips no change (§3.11, §3.12,
//! §3.13).

use serde_json::{Value, json};
use tidemark_tests::{Item, Stack, noise, scenario};

use super::{create, edit};

#[tokio::test]
async fn server_sync_token_skips_nothing() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    ana.pull().await;
    stack.device("ben", "phone").push_one(create("bens")).await;
    stack.settle().await;

    let response = ana.send(&json!([create("anas")])).await.ok();
    stack.settle().await;
    ana.set_since(&response["server_sync_token"]);
    ana.pull().await;
    assert!(ana.live().contains_key("bens"));

    // The token for a device without a token of this service begins with a snapshot.
    for foreign in [json!(null), json!("tok_20251203_123")] {
        ana.set_since(&foreign);
        let response = ana.send(&json!([create("more")])).await.ok();
        ana.set_since(&response["server_sync_token"]);
        ana.client.drop_copies(|_| true);
        ana.pull().await;
        assert_eq!(
            ana.live().into_keys().collect::<Vec<_>>(),
            ["anas", "bens", "more"]
        );
        stack.settle().await;
    }
}

#[tokio::test]
async fn raw_items_are_stored_first() {
    use std::sync::Arc;
    use tidemark::engine::{Reply, http::CallFate};

    let rejecting = tidemark_tests::Script::new(|_, operation, body, moment| {
        let stores = operation == "PutItem" && body.contains("\"TableName\":\"sync_items\"");
        if stores && moment == tidemark_tests::hooks::Moment::Before {
            return CallFate::Reply(Reply::error(400, "ThrottlingException", "slow down"));
        }
        CallFate::Continue
    });
    let stack = Stack::hooked(Arc::new(rejecting));

    let response = stack
        .device("ana", "phone")
        .send(&json!([create("m")]))
        .await;
    assert_eq!(
        (response.status, &response.json()["code"]),
        (503, &json!("unavailable"))
    );
    assert!(response.headers.contains_key("retry-after"));
    assert!(
        stack.rows("resources").is_empty(),
        "no item is applied before the raw items are stored"
    );
}

/// Returns items with text that does not compress, so that their batch takes several rows.
fn incompressible_items() -> Value {
    (0..4)
        .map(|seed| json!({"broken": noise(300 * 1024, seed)}))
        .collect()
}

/// Returns the row with the first chunk of a batch.
fn first_chunk(rows: &[Value]) -> &Value {
    rows.iter()
        .find(|row| row["sk"]["S"] == "0000")
        .expect("the first chunk")
}

#[tokio::test]
async fn raw_items_of_any_size_are_kept() {
    let stack = Stack::new();
    let items = incompressible_items();
    let mut ana = stack.device("ana", "phone");
    ana.push_batch("b-1", &items).await.ok();
    let kept = stack.rows("sync_items");
    assert!(kept.len() >= 3, "{} rows", kept.len());

    ana.token = stack.token("acme", "ana", &["admin"], &[]);
    ana.push_batch("b-1", &items).await.ok();
    assert_eq!(
        first_chunk(&stack.rows("sync_items")),
        first_chunk(&kept),
        "the items that were stored first are kept"
    );

    let first = first_chunk(&kept);
    let pack = first["pack"]["S"].to_string();
    let chunks = kept
        .iter()
        .filter(|row| row["sk"]["S"].to_string().starts_with(&pack[..17]))
        .count();
    assert_eq!(first["chunks"]["N"], (1 + chunks).to_string());
}

#[tokio::test]
async fn oversized_response_marks_omitted_payloads() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let large = "\"".repeat(100 * 1024); // twice as long escaped, and twice that as Lambda escapes the body
    for number in 0..16 {
        let id = format!("m-{number:02}");
        ana.push_one(Item::create("meter", &id, json!({"text": large})))
            .await;
        ana.push_one(edit(&id, 1, 1, "ana")).await;
    }

    let stale: Vec<_> = (0..16)
        .map(|number| edit(&format!("m-{number:02}"), 1, 1, "ben"))
        .collect();
    let response = ben.send(&json!(stale)).await;
    assert!(serde_json::to_string(&response.text).expect("text").len() < 5_000_000);

    let results = response.ok()["results"]
        .as_array()
        .cloned()
        .expect("results");
    assert!(results.iter().all(|it| it["status"] == "conflict"
        && (it["server_payload"].is_object() != (it["server_payload_omitted"] == true))));
    assert!(
        results[0]["server_payload"].is_object() && results[15]["server_payload_omitted"] == true
    );
}

#[tokio::test]
async fn oversized_conflict_is_kept_whole() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let large = |letter: &str| letter.repeat(340 * 1024);
    ana.push_one(Item::create("meter", "m", json!({"text": large("s")})))
        .await;
    ana.push_one(edit("m", 1, 1, "ana")).await;

    let stale = Item::update("meter", "m", 1, json!({"text": large("c")})).base(1);
    let first = ben.push_one(stale.clone()).await;
    assert_eq!(first["status"], "conflict");
    assert_eq!(ben.push_one(stale).await, first, "a retry finds it again");
    let later = ben.push_one(edit("m", 2, 1, "behind")).await;
    assert_eq!(later["conflict_id"], first["conflict_id"]);

    let kept = scenario::conflict(&stack, &first["conflict_id"])
        .await
        .to_string();
    assert!(kept.contains(&large("s")) && kept.contains(&large("c")) && kept.contains("behind"));
}

#[tokio::test]
async fn small_resource_row_fits_one_kilobyte() {
    let stack = Stack::new();
    let ana = stack.device(
        "3f0c2a4e-7a57-4f0e-9d0b-0d2f5b8a9c11",
        "8c1d9a52-1c5c-4a29-9a0e-6a1f2b3c4d5e",
    );
    let payload = json!({"form_id": "f-1", "data": {"text": "x".repeat(265)}});
    let create = Item::create_as(
        "submission",
        "9b2f4c1e-55aa-4a0e-8b7e-2f3c4d5e6f70",
        payload,
    );
    let made = ana.push_one(create.version(1)).await;
    let id = made["server_id"].as_str().expect("an id");

    for version in 1..18 {
        let patch = json!({"form_id": format!("f{version:02}")});
        let update = Item::update("submission", id, version, patch).base(1);
        assert_eq!(ana.push_one(update).await["status"], "ok");
    }

    let row = &stack.rows("resources")[0];
    let payload = row["payload"]["S"].as_str().expect("text").len();
    let bytes: usize = row
        .as_object()
        .expect("a row")
        .iter()
        .map(|(name, value)| name.len() + attribute_bytes(value))
        .sum();
    println!("a row with a payload of {payload} bytes has {bytes}");
    assert!(payload >= 300 && bytes <= 1024, "{payload} {bytes}");
}

/// Returns the bytes that DynamoDB counts for a value, rounded up.
fn attribute_bytes(value: &Value) -> usize {
    match (
        value["S"].as_str(),
        value["B"].as_str(),
        value["N"].as_str(),
    ) {
        (Some(text), _, _) => text.len(),
        (_, Some(base64), _) => base64.trim_end_matches('=').len() * 3 / 4,
        (_, _, Some(number)) => number.len() / 2 + 2,
        _ => 1,
    }
}
