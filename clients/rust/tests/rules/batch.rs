//! Batches and the request that sends them.

use serde_json::json;
use tidemark_client::{BatchBounds, EditContent, ResourceName};

use crate::support::{TestDevice, error, ok};

#[test]
fn batch_is_repeated_until_its_response() {
    let mut device = TestDevice::with_meter(1);
    device.update();
    let first = device.send();
    device.update();
    assert_eq!(device.send(), first, "the batch and its id are unchanged");

    device.push(json!([ok(2)]));
    let next = device.send();
    assert_ne!(next["batch_id"], first["batch_id"]);
    assert_eq!(next["items"].as_array().unwrap().len(), 1);
}

#[test]
fn request_contains_device_token_and_items() {
    let mut device = TestDevice::with_meter(1);
    device.update();
    let item = json!({"resource_type": "meter", "action": "update", "channel": "tenant",
        "client_version": 1, "base_version": 1, "payload": {"id": "m-1", "reading": 1}});
    let body = json!({"device_id": "phone", "client_sync_token": "tm1_page",
        "batch_id": "batch-1", "items": [item]});
    assert_eq!(device.send(), body);
}

#[test]
fn empty_queue_makes_no_batch() {
    let mut device = TestDevice::new();
    assert!(
        device
            .client
            .next_batch(&BatchBounds::default(), "b")
            .is_none()
    );
    assert!(device.client.push_request().is_none());
}

#[test]
fn batch_has_at_most_fifty_items() {
    let mut device = TestDevice::with_meter(1);
    (0..51).for_each(|_| drop(device.update()));
    assert_eq!(device.send()["items"].as_array().unwrap().len(), 50);
    assert_eq!(device.client.queue().len(), 1);
}

#[test]
fn batch_is_bounded_by_its_bytes() {
    let mut device = TestDevice::new();
    let payload = format!(r#"{{"noise":"{}"}}"#, "n".repeat(300_000));
    for number in 0..10 {
        let name = ResourceName::server("tenant", "meter", format!("m-{number}"));
        device.edit_of(name, EditContent::Create(&payload));
    }
    assert_eq!(device.send()["items"].as_array().unwrap().len(), 8);
    assert!(device.client.push_request().unwrap().len() < 2_900_000);
}

#[test]
fn first_item_is_always_sent() {
    let mut device = TestDevice::with_meter(1);
    device.update();
    device.update();
    let bounds = BatchBounds {
        items: 50,
        bytes: 1,
    };
    let batch = device.client.next_batch(&bounds, "b").unwrap();
    assert_eq!(batch.edits().len(), 1);
}

#[test]
fn discarded_batch_returns_to_the_front() {
    let mut device = TestDevice::with_meter(1);
    device.update();
    device.send();
    device.update();
    device.client.discard_batch();
    let numbers: Vec<u64> = device
        .client
        .queue()
        .iter()
        .map(|edit| edit.number())
        .collect();
    assert_eq!(numbers, [1, 2]);
    assert!(device.client.sent().is_none());
}

#[test]
fn retryable_edits_keep_their_order() {
    let mut device = TestDevice::with_meter(1);
    device.update();
    device.update();
    device.update();
    device.send();
    device.update();
    let report = device
        .client
        .apply_push_response(&crate::support::response(json!([
            ok(2),
            error(true),
            error(true)
        ])))
        .unwrap();

    assert!(report.is_any_retryable());
    let numbers: Vec<u64> = device
        .client
        .queue()
        .iter()
        .map(|edit| edit.number())
        .collect();
    assert_eq!(numbers, [2, 3, 4]);
}

/// Numbers keep their digits, and fields keep their order, from the caller to the request.
#[test]
fn payload_text_is_sent_unchanged() {
    let mut device = TestDevice::new();
    let payload = r#"{"z":1.0,"id":"ignored","big":9007199254740993,"a":1e300,"é":"\u00e9"}"#;
    let create = device.edit(EditContent::Create(payload));

    let content = r#"{"z":1.0,"big":9007199254740993,"a":1e300,"é":"\u00e9"}"#;
    assert_eq!(create.content().get(), content);
    device.send();
    let sent = format!(r#""payload":{{"id":"m-1",{}"#, &content[1..]);
    assert!(device.client.push_request().unwrap().contains(&sent));
    device.push(json!([ok(1)]));
    assert_eq!(device.payload().unwrap(), content);
}
