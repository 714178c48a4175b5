//! Clients of earlier versions of the protocol page.

use serde_json::json;
use tidemark_client::{Client, EditContent, Options, ResourceName};

use crate::support::{TestDevice, ok};

#[test]
fn default_is_the_documented_client() {
    assert_eq!(Client::new("phone").options(), Options::default());
    assert!(Options::default().is_current);
}

#[test]
fn earliest_client_sends_fewer_fields() {
    let mut device = TestDevice::with(Client::with_options("phone", Options::EARLIEST));
    device.edit(EditContent::Create("{}"));
    let item = json!({"resource_type": "meter", "action": "create", "channel": "tenant",
        "client_version": 0, "payload": {"id": "m-1"}});
    assert_eq!(
        device.send(),
        json!({"device_id": "phone", "client_sync_token": null, "items": [item]})
    );

    device.push(json!([ok(1)]));
    assert_eq!(device.client.sync_token(), None, "the token of a push");
    assert!(!device.client.pull_request(100).contains("own_changes"));
}

#[test]
fn earlier_client_numbers_creates_zero() {
    let name = ResourceName::server("tenant", "meter", "m-1");
    let mut device = TestDevice::with(Client::with_options("phone", Options::EARLIEST));
    for _ in 0..2 {
        let create = device.edit_of(name.clone(), EditContent::Create("{}"));
        assert_eq!(create.client_version(), 0);
    }
}

#[test]
fn earlier_client_stores_token_despite_gap() {
    let options = Options {
        stores_push_token: true,
        ..Options::EARLIEST
    };
    let mut device = TestDevice::with(Client::with_options("phone", options));
    device.edit(EditContent::Create("{}"));
    device.push(json!([ok(4)]));
    assert_eq!(device.client.sync_token(), Some("tm1_push"));
}
