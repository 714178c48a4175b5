//! Channels that are reset or revoked, invalid tokens, and restored devices.

use serde_json::json;
use tidemark_client::{EditContent, ResourceName, WaitingEdits};

use crate::support::{TestDevice, change, numbers, ok};

#[test]
fn reset_and_revoked_channels_are_dropped() {
    for field in ["reset", "revoked"] {
        let mut device = TestDevice::with_meter(3);
        device.pull(json!({field: ["group/north"]}));
        assert_eq!(device.versions(), (3, 3), "another channel");

        device.pull(json!({field: ["tenant"]}));
        assert_eq!(
            (device.versions(), device.payload()),
            ((0, 0), None),
            "{field}"
        );
        assert!(device.client.copies().is_empty());
    }
}

#[test]
fn reset_applies_before_the_changes() {
    let mut device = TestDevice::with_meter(9);
    device.pull(json!({"reset": ["tenant"], "changes": [change("m-1", 2)]}));
    assert_eq!(device.versions(), (2, 2), "the server was restored");
}

#[test]
fn reset_keeps_waiting_edits_and_numbers() {
    let mut device = TestDevice::with_meter(3);
    device.update();
    device.pull(json!({"reset": ["tenant"]}));
    assert_eq!(device.client.waiting().count(), 1);
    assert_eq!(device.copy().used, Some(3));
    assert_eq!(numbers(&device.update()), (4, 3));
}

#[test]
fn only_repeated_resets_are_reported() {
    let mut device = TestDevice::new();
    assert!(device.pull(json!({"reset": ["tenant"]})).resets.is_empty());
    assert!(device.client.pulled_channels().contains("tenant"));
    assert_eq!(device.pull(json!({"reset": ["tenant"]})).resets, ["tenant"]);

    device.pull(json!({"revoked": ["tenant"]}));
    assert!(device.pull(json!({"reset": ["tenant"]})).resets.is_empty());
}

#[test]
fn invalid_token_drops_all_copies() {
    let mut device = TestDevice::with_meter(3);
    device.update();
    device.client.reset();
    assert_eq!(device.client.sync_token(), None);
    assert!(device.client.pulled_channels().is_empty());
    assert_eq!((device.versions(), device.payload()), ((0, 0), None));
    assert_eq!(device.client.waiting().count(), 1);
}

/// A pull revokes only channels that it has delivered.
#[test]
fn left_group_without_pull_is_dropped() {
    let task = |group: &str| ResourceName::server(format!("group/{group}"), "task", "m-1");
    let mut device = TestDevice::new();
    for group in ["north", "south", "pulled"] {
        device.edit_of(task(group), EditContent::Create("{}"));
    }
    device.push(json!([ok(1), ok(1), ok(1)]));
    device.pull(json!({"reset": ["tenant", "group/pulled"]}));
    device.edit_of(task("pulled"), EditContent::Create("{}"));
    device.push(json!([ok(1)]));

    device.client.retain_groups(&["south"]);
    let is_displayed =
        ["north", "south", "pulled"].map(|group| device.client.displayed(&task(group)).is_some());
    assert_eq!(is_displayed, [false, true, true]);
}

#[test]
fn new_device_id_drops_copies() {
    for (waiting, queued) in [(WaitingEdits::Keep, 2), (WaitingEdits::Drop, 0)] {
        let mut device = TestDevice::with_meter(3);
        let first = device.update();
        device.send();
        device.update();

        device.client.replace_device("phone-2", waiting);
        assert_eq!(device.client.device_id(), "phone-2");
        assert_eq!(device.client.sync_token(), None);
        assert_eq!(device.versions(), (0, 0));
        assert!(device.client.sent().is_none(), "the batch gets a new id");
        assert_eq!(device.client.queue().len(), queued);
        if let Some(kept) = device.client.queue().first() {
            assert_eq!(kept.item().get(), first.item().get());
        }
    }
}

#[test]
fn forgotten_resource_has_no_numbers() {
    let mut device = TestDevice::with_meter(3);
    device.update();
    device.push(json!([ok(4)]));
    device
        .client
        .forget_resources(|name| name.channel == "tenant");
    assert!(device.client.copies().is_empty());
    assert_eq!(numbers(&device.update()), (0, 0));
}
