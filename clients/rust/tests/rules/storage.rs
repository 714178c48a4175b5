//! The stored state: a restarted app continues exactly where it was killed.

use serde_json::json;
use tidemark_client::{Client, EditContent, ResourceName};

use crate::support::{TestDevice, change, conflict, error};

fn stored(client: &Client) -> String {
    serde_json::to_string(client).unwrap()
}

#[test]
fn state_survives_storage() {
    let mut device = TestDevice::with_meter(3);
    device.pull(json!({"changes": [change("m-2", 4)]}));
    device.edit(EditContent::Update(
        r#"{"reading": 9007199254740993, "at": 1.0}"#,
    ));
    device.update();
    device.push(json!([conflict(5), error(true)]));
    device.edit_of(
        ResourceName::temp("tenant", "meter", "t"),
        EditContent::Create("{}"),
    );
    let body = device.send();
    device.update();

    let text = stored(&device.client);
    let mut restarted = TestDevice::with(serde_json::from_str(&text).unwrap());
    assert_eq!(stored(&restarted.client), text);
    assert_eq!(restarted.send(), body, "the same batch is sent again");
    assert_eq!(restarted.client.rejected().len(), 1);
    let content = restarted.client.rejected()[0].edit.content().get();
    assert_eq!(content, r#"{"reading":9007199254740993,"at":1.0}"#);
}
