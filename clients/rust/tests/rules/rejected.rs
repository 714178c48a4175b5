//! Edits that were not applied: none of the user's input is lost.

use serde_json::json;
use tidemark_client::EditOutcome;

use crate::support::{TestDevice, conflict, error};

#[test]
fn rejected_edits_are_kept_for_user() {
    let mut device = TestDevice::with_meter(1);
    device.update();
    device.update();
    let report = device.push(json!([conflict(3), error(false)]));
    assert_eq!(
        report.outcomes,
        [(1, EditOutcome::Conflict), (2, EditOutcome::Failed)]
    );
    assert!(!report.is_any_retryable());
    assert_eq!(device.client.waiting().count(), 0);

    let [conflict, failed] = device.client.rejected() else {
        panic!("{:?}", device.client.rejected());
    };
    assert_eq!(conflict.result.conflict_id.as_deref(), Some("conf-1"));
    assert_eq!(conflict.edit.content().get(), r#"{"reading":1}"#);
    assert_eq!(failed.edit.number(), 2);
}

#[test]
fn dismissed_edit_leaves_the_list() {
    let mut device = TestDevice::with_meter(1);
    device.update();
    device.update();
    device.push(json!([conflict(3), conflict(3)]));
    assert_eq!(device.client.dismiss(1).unwrap().edit.number(), 1);
    assert!(device.client.dismiss(1).is_none());
    assert_eq!(device.client.rejected().len(), 1);
}

#[test]
fn edits_after_a_conflict_are_sent() {
    let mut device = TestDevice::with_meter(1);
    device.update();
    device.send();
    device.update();
    device
        .client
        .apply_push_response(&crate::support::response(json!([conflict(3)])))
        .unwrap();
    let items = device.send()["items"].clone();
    assert_eq!(
        (&items[0]["client_version"], &items[0]["base_version"]),
        (&json!(2), &json!(1))
    );
}
