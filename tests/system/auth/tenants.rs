//! Isolation of tenants (§1): resources of another tenant appear not to exist, regardless of their
//! ids.

use serde_json::json;
use tidemark_tests::{Device, Item, Stack};

/// Returns a device of the given tenant, always with the same user and device id, and with all
/// permissions.
fn device<'a>(stack: &'a Stack, tenant: &str) -> Device<'a> {
    Device::new(
        stack,
        stack.token(tenant, "ana", &["admin"], &["north"]),
        "phone",
    )
}

fn item(action: &str, channel: &str, version: u64, reading: u64) -> Item {
    Item::new("meter", action, version)
        .temp_id("t")
        .channel(channel)
        .payload(json!({"id": "m-1", "reading": reading}))
}

const CHANNELS: [&str; 3] = ["tenant", "user/ana", "group/north"];

#[tokio::test]
async fn other_tenants_resources_are_not_pulled() {
    let stack = Stack::new();
    let (acme, mut before, mut after) = (
        device(&stack, "acme"),
        device(&stack, "umbrella"),
        device(&stack, "umbrella"),
    );

    before.pull().await;
    for channel in CHANNELS {
        assert_eq!(
            acme.push_one(item("create", channel, 1, 1)).await["status"],
            "ok"
        );
    }

    stack.settle().await;
    assert_eq!((before.pull().await, after.pull().await), (vec![], vec![]));
    assert_eq!(device(&stack, "acme").pull().await.len(), 3);
}

#[tokio::test]
async fn other_tenants_resource_appears_missing() {
    let (full, empty) = (Stack::new(), Stack::new());
    for channel in CHANNELS {
        device(&full, "acme")
            .push_one(item("create", channel, 1, 1))
            .await;
    }

    for channel in CHANNELS {
        for action in ["update", "delete"] {
            let existing = device(&full, "umbrella")
                .push_one(item(action, channel, 1, 2))
                .await;
            let missing = device(&empty, "umbrella")
                .push_one(item(action, channel, 1, 2))
                .await;
            assert_eq!(
                (&existing, &existing["code"]),
                (&missing, &json!("not_found")),
                "{action} in {channel}"
            );
        }
    }

    assert!(
        full.rows("resources")
            .iter()
            .all(|row| row["server_version"]["N"] == "1")
    );
    assert!(full.conflicts().is_empty());
}

#[tokio::test]
async fn resource_ids_are_scoped_to_tenants() {
    let stack = Stack::new();
    for (tenant, reading) in [("acme", 1), ("umbrella", 2)] {
        let made = device(&stack, tenant)
            .push_one(item("create", "tenant", 1, reading))
            .await;
        assert_eq!(
            (&made["status"], &made["server_version"]),
            (&json!("ok"), &json!(1)),
            "{tenant}"
        );
    }

    device(&stack, "acme")
        .push_one(item("update", "tenant", 2, 10))
        .await;
    stack.settle().await;

    for (tenant, reading, version) in [("acme", 10, 2), ("umbrella", 2, 1)] {
        let changes = device(&stack, tenant).pull().await;
        let pulled: Vec<_> = changes
            .iter()
            .map(|change| (&change["payload"]["reading"], &change["server_version"]))
            .collect();
        assert_eq!(pulled, [(&json!(reading), &json!(version))], "{tenant}");
    }
}

#[tokio::test]
async fn derived_ids_are_scoped_to_tenants() {
    let stack = Stack::new();
    let create = Item::create_as("meter", "t", json!({"a": 1})).version(1);
    let acme = device(&stack, "acme").push_one(create.clone()).await;
    let umbrella = device(&stack, "umbrella").push_one(create).await;
    assert_ne!(acme["server_id"], umbrella["server_id"]);
}

#[tokio::test]
async fn batch_ids_are_scoped_to_tenants() {
    let stack = Stack::new();
    let acme = device(&stack, "acme")
        .push_batch("b", &json!([item("create", "tenant", 1, 1)]))
        .await
        .ok();
    let umbrella = device(&stack, "umbrella")
        .push_batch("b", &json!([item("create", "tenant", 1, 2)]))
        .await
        .ok();

    assert_ne!(acme["batch_id"], umbrella["batch_id"]);
    assert_eq!(
        (
            &umbrella["results"][0]["status"],
            &umbrella["results"][0]["server_version"]
        ),
        (&json!("ok"), &json!(1))
    );
}

#[tokio::test]
async fn conflict_ids_are_scoped_to_tenants() {
    let stack = Stack::new();
    let mut ids = Vec::new();
    for tenant in ["acme", "umbrella"] {
        let other = Device::new(&stack, stack.token(tenant, "ben", &[], &[]), "tablet");
        device(&stack, tenant)
            .push_one(item("create", "tenant", 1, 1))
            .await;
        other.push_one(item("update", "tenant", 1, 2)).await;
        let rejected = device(&stack, tenant)
            .push_one(item("update", "tenant", 1, 3))
            .await;
        assert_eq!(rejected["server_payload"]["reading"], 2, "{tenant}");
        ids.push(rejected["conflict_id"].clone());
    }

    assert_ne!(ids[0], ids[1]);
    assert_eq!(stack.conflicts().len(), 2);
}

#[tokio::test]
async fn other_tenants_pull_token_reveals_nothing() {
    let stack = Stack::new();
    let mut acme = device(&stack, "acme");
    acme.pull().await;
    for channel in CHANNELS {
        acme.push_one(item("create", channel, 1, 1)).await;
    }
    stack.settle().await;

    let stolen = acme.since();
    device(&stack, "umbrella")
        .push_one(item("create", "tenant", 1, 2))
        .await;
    stack.settle().await;
    acme.pull().await;

    for token in [stolen, acme.since()] {
        let mut umbrella = device(&stack, "umbrella");
        umbrella.device_id = "another".into();
        umbrella.set_since(&token);
        let readings: Vec<_> = umbrella
            .pull()
            .await
            .iter()
            .map(|change| change["payload"]["reading"].clone())
            .collect();
        assert_eq!(readings, [2]);
    }
}

#[tokio::test]
async fn similar_tenant_names_are_kept_apart() {
    let stack = Stack::new();
    let names = [
        "acme",
        "ACME",
        "acme ",
        "acme#tenant",
        "acme%h",
        "acme#",
        "%",
        "#",
    ];

    for (reading, tenant) in (1..).zip(names) {
        assert_eq!(
            device(&stack, tenant)
                .push_one(item("create", "tenant", 1, reading))
                .await["status"],
            "ok",
            "{tenant:?}"
        );
    }

    stack.settle().await;
    for (reading, tenant) in (1_u64..).zip(names) {
        let readings: Vec<_> = device(&stack, tenant)
            .pull()
            .await
            .iter()
            .map(|change| change["payload"]["reading"].clone())
            .collect();
        assert_eq!(readings, [reading], "{tenant:?}");
    }
}
