//! Temp ids, and the ids that the server reports (docs/protocol.md, *Temp ids and queues*).

use serde_json::{Value, json};
use tidemark_client::{EditContent, ResourceName};

use crate::support::{TestDevice, change, error, meter, numbers, ok, result};

fn temp() -> ResourceName {
    ResourceName::temp("tenant", "meter", "5f0c7c1e")
}

fn item(edit: &tidemark_client::Edit) -> Value {
    serde_json::from_str(edit.item().get()).unwrap()
}

#[test]
fn item_contains_temp_id_or_id() {
    let mut device = TestDevice::new();
    let created = item(&device.edit_of(temp(), EditContent::Create(r#"{"n": 1}"#)));
    assert_eq!(created["client_temp_id"], "5f0c7c1e");
    assert_eq!(created["payload"], json!({"n": 1}));

    let named = item(&device.edit(EditContent::Delete));
    assert_eq!(named.get("client_temp_id"), None);
    assert_eq!(named["payload"], json!({"id": "m-1"}));
}

#[test]
fn waiting_edits_follow_the_server_id() {
    let mut device = TestDevice::new();
    device.edit_of(temp(), EditContent::Create(r#"{"n": 1}"#));
    device.send();
    device.edit_of(temp(), EditContent::Update(r#"{"n": 2}"#));

    let report = device
        .client
        .apply_push_response(&crate::support::response(json!([ok(1)])));
    assert_eq!(report.unwrap().renamed, [(temp(), meter())]);
    let waiting: Vec<_> = device.client.waiting_for(&meter()).collect();
    assert_eq!(waiting.len(), 1);
    assert_eq!(
        item(waiting[0])["client_temp_id"],
        "5f0c7c1e",
        "the item is unchanged"
    );
    assert_eq!(device.displayed().unwrap(), r#"{"n":2}"#);

    let next = device.update();
    assert_eq!(numbers(&next), (2, 0));
    assert_eq!(item(&next)["payload"]["id"], "m-1");
}

#[test]
fn pulled_copy_survives_the_server_id() {
    let mut device = TestDevice::new();
    device.edit_of(temp(), EditContent::Create("{}"));
    device.edit_of(temp(), EditContent::Update("{}"));
    device.send();
    device.pull(json!({"changes": [change("m-1", 2)]}));

    let response = crate::support::response(json!([ok(1), ok(2)]));
    let report = device.client.apply_push_response(&response).unwrap();
    assert_eq!(report.renamed, [(temp(), meter())]);
    assert_eq!(device.versions(), (2, 2));
    assert_eq!(device.payload().unwrap(), r#"{"server":2}"#);
    assert_eq!(device.copy().used, Some(1), "the higher number");
    assert!(!device.client.copies().contains_key(&temp()));
}

#[test]
fn failed_create_keeps_its_server_id() {
    let mut device = TestDevice::new();
    device.edit_of(temp(), EditContent::Create("{}"));
    device.push(json!([error(false)]));
    assert_eq!(device.client.rejected()[0].edit.name(), &meter());
    assert_eq!(device.copy().used, Some(0));
}

/// The server derives the id from the temp id and accepts it in a create only together.
#[test]
fn corrected_create_contains_the_temp_id() {
    let mut device = TestDevice::new();
    device.edit_of(temp(), EditContent::Create("{}"));
    let fields = json!({"code": "unique_violation", "conflict_id": "conf-1"});
    device.push(json!([result("conflict", None, fields)]));

    let corrected = item(&device.edit(EditContent::Create("{}")));
    assert_eq!(corrected["client_temp_id"], "5f0c7c1e");
    assert_eq!(corrected["payload"], json!({}));
    let update = item(&device.update());
    assert_eq!(update.get("client_temp_id"), None);
}
