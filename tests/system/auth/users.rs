//! Channels (§2): a user reads and writes the channels of the tenant, of the user and of the user's
//! groups. An admin writes to all channels, but pulls only these.

use serde_json::json;
use tidemark_tests::{Device, Item, Stack};

fn item(action: &str, channel: &str) -> Item {
    Item::new("meter", action, 1)
        .channel(channel)
        .payload(json!({"id": "m-1", "by": action}))
}

fn device<'a>(stack: &'a Stack, user: &str, roles: &[&str], groups: &[&str]) -> Device<'a> {
    Device::new(stack, stack.token("acme", user, roles, groups), "phone")
}

/// Returns the sorted channels of the changes that a device pulls.
async fn pulled(device: &mut Device<'_>) -> Vec<String> {
    let mut channels: Vec<String> = device
        .pull()
        .await
        .iter()
        .map(|change| change["channel"].as_str().unwrap().to_owned())
        .collect();
    channels.sort();
    channels
}

#[tokio::test]
async fn other_users_channel_is_inaccessible() {
    let stack = Stack::new();
    let ana = device(&stack, "ana", &[], &[]);
    let mut ben = device(&stack, "ben", &[], &[]);
    ben.pull().await;
    assert_eq!(
        ana.push_one(item("create", "user/ana")).await["status"],
        "ok"
    );

    stack.settle().await;
    assert_eq!(pulled(&mut ben).await, [""; 0]);
    assert_eq!(pulled(&mut device(&stack, "ben", &[], &[])).await, [""; 0]);

    for action in ["create", "update", "delete"] {
        let result = ben.push_one(item(action, "user/ana")).await;
        assert_eq!(
            (&result["code"], &result["server_id"]),
            (&json!("channel_forbidden"), &json!(null)),
            "{action}"
        );
    }

    assert_eq!(stack.rows("resources")[0]["server_version"]["N"], "1");
}

#[tokio::test]
async fn forbidden_channel_does_not_reveal_resources() {
    let (full, empty) = (Stack::new(), Stack::new());
    device(&full, "ana", &[], &["north"])
        .push(json!([
            item("create", "user/ana"),
            item("create", "group/north")
        ]))
        .await;

    for channel in ["user/ana", "group/north"] {
        for action in ["create", "update", "delete"] {
            let existing = device(&full, "ben", &[], &[])
                .push_one(item(action, channel))
                .await;
            assert_eq!(
                existing,
                device(&empty, "ben", &[], &[])
                    .push_one(item(action, channel))
                    .await,
                "{action} in {channel}"
            );
        }
    }
}

#[tokio::test]
async fn admin_writes_other_channels_without_pulling_them() {
    let stack = Stack::new();
    let (mut admin, mut ana) = (
        device(&stack, "root", &["admin"], &[]),
        device(&stack, "ana", &[], &[]),
    );

    for channel in ["user/ana", "group/north", "tenant"] {
        assert_eq!(
            admin.push_one(item("create", channel)).await["status"],
            "ok",
            "{channel}"
        );
        assert_eq!(
            admin.push_one(item("update", channel)).await["status"],
            "ok",
            "{channel}"
        );
    }

    stack.settle().await;
    assert_eq!(pulled(&mut admin).await, ["tenant"]);
    assert_eq!(pulled(&mut ana).await, ["tenant", "user/ana"]);
    assert_eq!(
        pulled(&mut device(&stack, "ben", &[], &["north"])).await,
        ["group/north", "tenant"]
    );
}

#[tokio::test]
async fn only_role_admin_grants_admin_permissions() {
    let stack = Stack::new();
    for roles in [
        &["Admin"] as &[&str],
        &["administrator"],
        &["admin "],
        &["", "user"],
        &[],
    ] {
        let result = device(&stack, "ben", roles, &["admin"])
            .push_one(item("create", "user/ana"))
            .await;
        assert_eq!(result["code"], "channel_forbidden", "{roles:?}");
    }
}

#[tokio::test]
async fn group_channel_is_limited_to_members() {
    let stack = Stack::new();
    let (member, mut other) = (
        device(&stack, "ana", &[], &["north"]),
        device(&stack, "ben", &[], &["south", "North"]),
    );

    other.pull().await;
    assert_eq!(
        member.push_one(item("create", "group/north")).await["status"],
        "ok"
    );
    assert_eq!(
        other.push_one(item("update", "group/north")).await["code"],
        "channel_forbidden"
    );

    stack.settle().await;
    assert_eq!(pulled(&mut other).await, [""; 0]);
    assert_eq!(
        pulled(&mut device(&stack, "cid", &[], &["north"])).await,
        ["group/north"]
    );
}

#[tokio::test]
async fn resource_ids_are_scoped_to_user_channels() {
    let stack = Stack::new();
    for user in ["ana", "ben"] {
        let content = json!({"form_id": user, "data": {}});
        let submission = Item::create("submission", "s-1", content).version(1);
        let made = device(&stack, user, &[], &[]).push_one(submission).await;
        assert_eq!(
            (&made["status"], &made["server_version"]),
            (&json!("ok"), &json!(1)),
            "{user}"
        );
    }

    for user in ["ana", "ben"] {
        let changes = device(&stack, user, &[], &[]).pull().await;
        assert_eq!(
            (changes.len(), &changes[0]["payload"]["form_id"]),
            (1, &json!(user))
        );
    }
}

#[tokio::test]
async fn other_users_pull_token_reveals_nothing() {
    let stack = Stack::new();
    let mut ana = device(&stack, "ana", &[], &["north"]);
    ana.pull().await;
    let stolen = ana.since();
    ana.push(json!([
        item("create", "user/ana"),
        item("create", "group/north"),
        item("create", "tenant")
    ]))
    .await;
    stack.settle().await;

    let mut ben = device(&stack, "ben", &[], &[]);
    ben.set_since(&stolen);
    let page = ben.pull_page(100).await;
    let channels: Vec<_> = page["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["channel"].clone())
        .collect();

    assert_eq!(
        (channels, &page["revoked"]),
        (vec![json!("tenant")], &json!(["user/ana", "group/north"]))
    );
}
