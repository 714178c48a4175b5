//! The two tables in *Numbering versions*.

use serde_json::json;
use tidemark_client::EditContent;

use crate::support::{TestDevice, change, conflict, numbers, ok};

/// The device sends a chain of its own edits, and another writer interferes at the end.
#[test]
fn edits_are_numbered_without_pulls() {
    let mut device = TestDevice::new();
    let create = device.edit(EditContent::Create(r#"{"made": true}"#));
    let a = device.update();
    assert_eq!((numbers(&create), numbers(&a)), ((0, 0), (1, 0)));
    device.push(json!([ok(1), ok(2)]));
    assert_eq!(device.versions(), (0, 2));

    // The push of B is applied as version 3, and its response is lost.
    let b = device.update();
    device.send();
    let c = device.update();
    assert_eq!((numbers(&b), numbers(&c)), ((2, 0), (3, 0)));
    device.client.discard_batch();
    device.push(json!([ok(3), ok(4)]));
    assert_eq!(device.versions(), (0, 4));

    // Another writer makes version 5.
    let d = device.update();
    assert_eq!(numbers(&d), (4, 0));
    device.push(json!([conflict(5)]));
    assert_eq!(device.versions(), (5, 5));
    assert_eq!(numbers(&device.update()), (5, 5));
}

/// A pull delivers the version of another user below an edit that waits.
#[test]
fn waiting_edit_determines_the_base() {
    let mut device = TestDevice::with_meter(1);
    let a = device.update();
    device.send();
    device.pull(json!({"changes": [change("m-1", 2)]}));
    let b = device.update();
    assert_eq!((numbers(&a), numbers(&b)), ((1, 1), (3, 1)));

    device.client.discard_batch();
    device.push(json!([conflict(2), conflict(2)]));
    assert_eq!(device.versions(), (2, 2));
    assert_eq!(numbers(&device.update()), (4, 2));
}
