//! Ids that are derived for a device cannot be requested by another device (§3.1).

use serde_json::json;
use tidemark_tests::{Device, Item, Stack, scenario};

fn create(temp_id: Option<&str>, id: Option<&str>) -> Item {
    Item::new("meter", "create", 0)
        .with("client_temp_id", temp_id)
        .payload(json!({"id": id, "by": "me"}))
}

/// Returns the id that is derived for Ana's phone and the temp id `tmp-1`.
async fn derived() -> String {
    let result = Stack::new()
        .device("ana", "phone")
        .push_one(create(Some("tmp-1"), None))
        .await;
    result["server_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn foreign_derived_id_cannot_be_requested() {
    let id = derived().await;
    let stack = Stack::new();
    let admin = Device::new(&stack, scenario::admin(&stack), "desk");
    let (ben, tablet) = (stack.device("ben", "phone"), stack.device("ana", "tablet"));
    let upper = id.to_uppercase().replacen('M', "m", 1);

    for device in [&ben, &tablet, &admin] {
        for temp_id in [None, Some("tmp-1"), Some("other")] {
            for id in [&id, &upper] {
                let result = device.push_one(create(temp_id, Some(id))).await;
                assert_eq!(
                    (&result["code"], &result["retryable"]),
                    (&json!("invalid_id"), &json!(false)),
                    "{temp_id:?} {id}"
                );
            }
        }
    }

    let own = stack
        .device("ana", "phone")
        .push_one(create(Some("tmp-1"), None))
        .await;
    assert_eq!(
        (&own["status"], &own["server_id"], &own["server_version"]),
        (&json!("ok"), &json!(id), &json!(1))
    );
}

#[tokio::test]
async fn device_may_resend_create_with_derived_id() {
    let id = derived().await;
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    for _ in 0..2 {
        let result = ana.push_one(create(Some("tmp-1"), Some(&id))).await;
        assert_eq!(
            (&result["status"], &result["server_version"]),
            (&json!("ok"), &json!(1))
        );
    }

    assert_eq!(
        ana.push_one(create(Some("tmp-1"), None)).await["status"],
        "ok"
    );

    let update = Item::update("meter", &id, 1, json!({"by": "ben"})).base(1);
    assert_eq!(
        stack.device("ben", "phone").push_one(update).await["server_version"],
        2
    );
}

#[tokio::test]
async fn existing_derived_id_is_still_taken() {
    let id = derived().await;
    let stack = Stack::new();
    stack
        .device("ana", "phone")
        .push_one(create(Some("tmp-1"), None))
        .await;
    let result = stack
        .device("ben", "phone")
        .push_one(create(None, Some(&id)))
        .await;
    assert_eq!(
        (&result["status"], &result["code"]),
        (&json!("conflict"), &json!("id_taken"))
    );
}

#[tokio::test]
async fn derived_id_is_bound_to_its_channel() {
    let id = derived().await;
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let elsewhere = create(Some("tmp-1"), Some(&id)).channel("user/ana");
    assert_eq!(ana.push_one(elsewhere).await["code"], "invalid_id");
    // An id with the prefix of another type is never derived for this type, so it is accepted.
    let other_type = create(None, Some(&id))
        .with("resource_type", "submission")
        .payload(json!({"id": id, "by": "me", "form_id": "f", "data": {}}));
    assert_eq!(ana.push_one(other_type).await["status"], "ok");
}

#[tokio::test]
async fn client_uuids_are_accepted_as_ids() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    for id in [
        "m-0b2f6a523c1d4a7e9a551f7f2b0e6d15",
        "m-0192a3b4c5d67e8f9a0b1c2d3e4f5061",
        "m-17",
        "7f0e3c9a-1b5c-5d1f-8a2b-3c4d5e6f7a8b",
    ] {
        assert_eq!(
            ana.push_one(create(None, Some(id))).await["status"],
            "ok",
            "{id}"
        );
    }
}

#[tokio::test]
async fn items_after_rejected_id_depend_on_it() {
    let id = derived().await;
    let stack = Stack::new();
    let update = Item::update("meter", &id, 1, json!({"by": "ben"})).base(0);
    let results = stack
        .device("ben", "phone")
        .push(json!([create(None, Some(&id)), update]))
        .await;
    assert_eq!(
        (&results[0]["code"], &results[1]["code"]),
        (&json!("invalid_id"), &json!("depends_on_failed_item"))
    );
}
