//! Pages of a pull.

use serde_json::{Value, json};
use tidemark_client::EditContent;

use crate::support::{TestDevice, change, delete, ok};

#[test]
fn request_asks_for_unacknowledged_own_changes() {
    let mut device = TestDevice::new();
    let request = |device: &TestDevice| -> Value {
        serde_json::from_str(&device.client.pull_request(100)).unwrap()
    };
    let mut expected = json!({"since_token": null, "device_id": "phone", "limit": 100,
        "own_changes": "unanswered"});
    assert_eq!(request(&device), expected);

    device.pull(json!({}));
    expected["since_token"] = "tm1_page".into();
    assert_eq!(request(&device), expected);
}

#[test]
fn changes_replace_the_copy() {
    let mut device = TestDevice::with_meter(1);
    let report =
        device.pull(json!({"has_more": true, "changes": [change("m-1", 2), change("m-2", 5)]}));
    assert_eq!((report.has_more, report.stored_changes), (true, 2));
    assert_eq!(device.versions(), (2, 2));
    assert_eq!(device.payload().unwrap(), r#"{"server":2}"#);
}

#[test]
fn older_change_is_skipped() {
    let mut device = TestDevice::with_meter(5);
    for version in [4, 5] {
        let report = device.pull(json!({"changes": [change("m-1", version)]}));
        assert_eq!(report.stored_changes, 0, "{version}");
    }
    assert_eq!(device.payload().unwrap(), r#"{"server":5}"#);
}

/// The copy contains a later edit of the device, which no pull would deliver again.
#[test]
fn change_below_known_is_skipped() {
    let mut device = TestDevice::with_meter(1);
    device.update();
    device.update();
    device.push(json!([ok(2), ok(3)]));
    device.pull(json!({"changes": [change("m-1", 2)]}));
    assert_eq!(device.versions(), (1, 3));
    assert_eq!(device.payload().unwrap(), r#"{"server":1,"reading":1}"#);

    device.pull(json!({"changes": [change("m-1", 3)]}));
    assert_eq!(device.versions(), (3, 3));
}

#[test]
fn delete_keeps_the_numbers() {
    let mut device = TestDevice::with_meter(1);
    device.pull(json!({"changes": [delete(2)]}));
    assert_eq!((device.versions(), device.payload()), ((2, 2), None));

    device.pull(json!({"changes": [change("m-1", 1)]}));
    assert_eq!(device.payload(), None, "the delete is newer");
}

#[test]
fn change_does_not_remove_waiting_edits() {
    let mut device = TestDevice::with_meter(1);
    device.edit(EditContent::Update(r#"{"mine": 1}"#));
    device.pull(json!({"changes": [change("m-1", 2)]}));
    assert_eq!(device.client.waiting().count(), 1);
    assert_eq!(device.displayed().unwrap(), r#"{"server":2,"mine":1}"#);
}

#[test]
fn pulled_payload_keeps_its_text() {
    let payload = r#"{"z": 1.0, "big": 9007199254740993, "a": 1e300}"#;
    let mut page =
        json!({"next_token": "tm1_page", "has_more": false, "changes": [change("m-1", 1)],
        "server_time": "2025-12-22T12:34:56.000Z"})
        .to_string();
    page = page.replace(r#"{"server":1}"#, payload);
    let mut device = TestDevice::new();
    device
        .client
        .apply_page(serde_json::from_str(&page).unwrap());
    assert_eq!(device.payload().unwrap(), payload);
}

#[test]
fn acknowledgement_contains_the_newest_token() {
    let mut device = TestDevice::new();
    assert_eq!(device.client.ack_request(), None);
    device.pull(json!({}));
    let request: Value = serde_json::from_str(&device.client.ack_request().unwrap()).unwrap();
    assert_eq!(
        request,
        json!({"ack_token": "tm1_page", "device_id": "phone"})
    );
}
