//! Gaps: the device lacks versions of its own, because it was restored from a backup or shares its
//! id with a copy of itself.

use serde_json::json;
use tidemark_client::EditContent;

use crate::support::{TestDevice, change, conflict, ok};

/// Returns a device whose update was applied as version 4, although it knows only version 1.
fn device_with_gap() -> TestDevice {
    let mut device = TestDevice::with_meter(1);
    device.update();
    device.push(json!([ok(4)]));
    device
}

#[test]
fn gap_withholds_the_push_token() {
    let mut device = device_with_gap();
    assert!(device.copy().is_incomplete);
    assert_eq!(device.client.sync_token(), Some("tm1_page"));

    device.update();
    device.push(json!([ok(5)]));
    assert_eq!(
        device.client.sync_token(),
        Some("tm1_page"),
        "the copy is still incomplete"
    );
}

#[test]
fn pulled_payload_completes_the_copy() {
    let mut device = device_with_gap();
    device.pull(json!({"changes": [change("m-1", 4)]}));
    assert!(!device.copy().is_incomplete);
    assert_eq!(device.payload().unwrap(), r#"{"server":4}"#);

    device.update();
    device.push(json!([ok(5)]));
    assert_eq!(device.client.sync_token(), Some("tm1_push"));
}

#[test]
fn server_payload_completes_the_copy() {
    let mut device = device_with_gap();
    device.update();
    device.push(json!([conflict(6)]));
    assert!(!device.copy().is_incomplete);
    assert_eq!(device.client.sync_token(), Some("tm1_push"));
}

#[test]
fn delete_leaves_no_gap() {
    let mut device = TestDevice::with_meter(1);
    device.edit(EditContent::Delete);
    device.push(json!([ok(4)]));
    assert!(!device.copy().is_incomplete);
    assert_eq!(device.client.sync_token(), Some("tm1_push"));
}

#[test]
fn consecutive_versions_leave_no_gap() {
    let mut device = TestDevice::with_meter(1);
    device.update();
    device.update();
    device.push(json!([ok(2), ok(3)]));
    assert!(!device.copy().is_incomplete);
}

#[test]
fn dropped_copy_is_not_incomplete() {
    let mut device = device_with_gap();
    device.pull(json!({"reset": ["tenant"]}));
    assert!(!device.copy().is_incomplete);
}
