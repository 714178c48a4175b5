//! The numbers of edits, and what the user sees.

use serde_json::json;
use tidemark_client::{EditContent, ResourceName};

use crate::support::{TestDevice, change, conflict, meter, numbers, ok, result};

#[test]
fn number_is_never_used_twice() {
    let mut device = TestDevice::with_meter(1);
    let first = device.update();
    device.push(json!([conflict(1)]));
    let second = device.update();
    assert_eq!((numbers(&first), numbers(&second)), ((1, 1), (2, 1)));
}

#[test]
fn second_create_gets_a_new_number() {
    let mut device = TestDevice::new();
    device.edit(EditContent::Create("{}"));
    device.push(json!([result("conflict", None, json!({}))]));
    let corrected = device.edit(EditContent::Create("{}"));
    assert_eq!(numbers(&corrected), (1, 0));
}

#[test]
fn pulled_version_raises_the_number() {
    let mut device = TestDevice::with_meter(1);
    device.pull(json!({"changes": [change("m-1", 7)]}));
    assert_eq!(numbers(&device.update()), (7, 7));
}

#[test]
fn accepted_edit_does_not_move_base() {
    let mut device = TestDevice::with_meter(1);
    device.update();
    device.push(json!([ok(2)]));
    assert_eq!(device.versions(), (1, 2));
    assert_eq!(numbers(&device.update()), (2, 1));
}

#[test]
fn own_delete_moves_the_base() {
    let mut device = TestDevice::with_meter(1);
    device.edit(EditContent::Delete);
    device.push(json!([ok(2)]));
    assert_eq!((device.versions(), device.payload()), ((2, 2), None));

    let restoring = device.edit(EditContent::Create("{}"));
    assert_eq!(numbers(&restoring), (2, 2));
}

#[test]
fn edits_of_other_resources_do_not_count() {
    let mut device = TestDevice::with_meter(1);
    let same_id = [
        ResourceName::server("group/north", "meter", "m-1"),
        ResourceName::server("tenant", "task", "m-1"),
        ResourceName::temp("tenant", "meter", "m-1"),
    ];
    for name in same_id {
        device.edit_of(name, EditContent::Create("{}"));
    }
    assert_eq!(numbers(&device.update()), (1, 1));
}

#[test]
fn waiting_edits_are_displayed_in_order() {
    let mut device = TestDevice::with_meter(1);
    device.edit(EditContent::Update(r#"{"a": 1.0, "b": 1}"#));
    device.send();
    device.edit(EditContent::Update(r#"{"b": null, "a": 1.50}"#));
    assert_eq!(device.displayed().unwrap(), r#"{"server":1,"a":1.50}"#);
    assert_eq!(device.payload().unwrap(), r#"{"server":1}"#);

    device.edit(EditContent::Delete);
    assert_eq!(device.displayed(), None);
    device.edit(EditContent::Create(r#"{"new": true}"#));
    assert_eq!(device.displayed().unwrap(), r#"{"new":true}"#);
}

#[test]
fn update_of_unknown_resource_displays_nothing() {
    let mut device = TestDevice::new();
    device.update();
    assert_eq!(device.displayed(), None);
}

#[test]
fn invalid_payload_changes_nothing() {
    let mut device = TestDevice::new();
    for payload in ["", "null", "1", "[]", r#"{"a": }"#, r#"{} {}"#] {
        let content = EditContent::Create(payload);
        assert!(device.client.enqueue_edit(1, meter(), content).is_err());
    }
    assert!(device.client.queue().is_empty() && device.client.copies().is_empty());
}
