//! The effect of `ok` and `conflict` on the copy.

use serde_json::{Value, json};
use tidemark_client::{EditContent, EditOutcome};

use crate::support::{TestDevice, change, conflict, ok, response, result};

#[test]
fn accepted_edits_become_the_copy() {
    let mut device = TestDevice::new();
    device.edit(EditContent::Create(r#"{"a": 1.0, "b": 1}"#));
    device.edit(EditContent::Update(r#"{"b": null}"#));
    let report = device.push(json!([ok(1), ok(2)]));
    assert_eq!(
        report.outcomes,
        [(1, EditOutcome::Applied), (2, EditOutcome::Applied)]
    );
    assert_eq!(device.payload().unwrap(), r#"{"a":1.0}"#);
    assert_eq!(device.client.waiting().count(), 0);

    device.edit(EditContent::Delete);
    device.push(json!([ok(3)]));
    assert_eq!(device.payload(), None);
}

/// A pull has delivered the version, or a newer one, before the result arrives.
#[test]
fn ok_below_base_changes_no_copy() {
    let mut device = TestDevice::with_meter(1);
    device.update();
    device.send();
    for pulled in [2, 3] {
        device.pull(json!({"changes": [change("m-1", pulled)]}));
    }
    device.push(json!([ok(2)]));
    assert_eq!(device.payload().unwrap(), r#"{"server":3}"#);
    assert_eq!(device.versions(), (3, 3));
}

#[test]
fn omitted_payload_changes_no_copy() {
    for status in ["ok", "conflict"] {
        let mut device = TestDevice::with_meter(1);
        device.update();
        device.push(json!([result(
            status,
            4,
            json!({"server_payload_omitted": true})
        )]));
        assert_eq!(device.versions(), (1, 1), "{status}");
        assert_eq!(device.payload().unwrap(), r#"{"server":1}"#);
    }
}

/// The edit was merged, applied by `client_wins`, or changed nothing.
#[test]
fn server_payload_of_ok_is_stored() {
    let mut device = TestDevice::with_meter(1);
    device.update();
    let merged = json!({"merged": true, "server_payload": {"server": 3}});
    device.push(json!([result("ok", 3, merged)]));
    assert_eq!(device.versions(), (3, 3));
    assert_eq!(device.payload().unwrap(), r#"{"server":3}"#);
}

/// A result below the known version is older than what a pull or a later result delivered.
#[test]
fn result_below_known_changes_no_copy() {
    for status in ["ok", "conflict"] {
        let mut device = TestDevice::with_meter(1);
        device.update();
        device.update();
        device.send();
        let old = json!({"server_payload": {"server": 2}});
        device.push(json!([ok(3), result(status, 2, old)]));
        assert_eq!(device.versions().1, 3, "{status}");
        assert_eq!(device.payload().unwrap(), r#"{"server":1,"reading":1}"#);
    }
}

#[test]
fn conflict_replaces_the_copy() {
    let mut device = TestDevice::with_meter(1);
    device.update();
    device.push(json!([conflict(7)]));
    assert_eq!(device.versions(), (7, 7));
    assert_eq!(device.displayed().unwrap(), r#"{"server":7}"#);
}

#[test]
fn conflict_with_delete_removes_the_copy() {
    let mut device = TestDevice::with_meter(1);
    device.update();
    device.push(json!([result(
        "conflict",
        2,
        json!({"server_deleted": true})
    )]));
    assert_eq!((device.versions(), device.payload()), ((2, 2), None));
}

#[test]
fn conflict_without_resource_changes_no_copy() {
    let mut device = TestDevice::new();
    device.edit(EditContent::Create("{}"));
    device.push(json!([result(
        "conflict",
        None,
        json!({"code": "unique_violation"})
    )]));
    assert_eq!((device.versions(), device.payload()), ((0, 0), None));
}

#[test]
fn results_are_applied_one_by_one() {
    let mut device = TestDevice::with_meter(1);
    let edits = [r#"{"a": 1}"#, r#"{"b": 1}"#, r#"{"c": 1}"#];
    for patch in edits {
        device.edit(EditContent::Update(patch));
    }
    device.push(json!([ok(2), conflict(2), ok(3)]));
    assert_eq!(device.payload().unwrap(), r#"{"server":2,"c":1}"#);
    assert_eq!(device.versions(), (2, 3));
}

#[test]
fn token_is_stored_with_the_results() {
    let mut device = TestDevice::with_meter(1);
    device.update();
    device.send();
    assert_eq!(device.client.sync_token(), Some("tm1_page"));
    device.push(json!([ok(2)]));
    assert_eq!(device.client.sync_token(), Some("tm1_push"));
}

#[test]
fn mismatched_response_changes_nothing() {
    let mut device = TestDevice::with_meter(1);
    let apply = |device: &mut TestDevice, results: Value| {
        let error = device.client.apply_push_response(&response(results));
        let error = error.unwrap_err();
        (error.edits, error.results)
    };
    assert_eq!(apply(&mut device, json!([ok(2)])), (0, 1));

    device.update();
    device.send();
    assert_eq!(apply(&mut device, json!([])), (1, 0));
    assert_eq!(apply(&mut device, json!([ok(2), ok(3)])), (1, 2));
    assert_eq!(device.client.waiting().count(), 1);
    assert_eq!(device.client.sync_token(), Some("tm1_page"));
    assert_eq!(device.versions(), (1, 1));
}
