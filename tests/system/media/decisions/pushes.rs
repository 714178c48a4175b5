//! §6.3: no push, policy or replay adds a media key to a resource for which its upload was not
//! verified.

use serde_json::json;
use tidemark_core::rules::media::MediaKey;
use tidemark_tests::{Device, Stack, scenario};

use super::{super::old_key, item, stack, uploaded};
use crate::batches;

#[tokio::test]
async fn stale_edits_with_foreign_keys_are_rejected() {
    let stack = stack();
    let bens = uploaded(&stack, "ben").await;
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "pc"));

    for resource_type in ["board", "card", "note"] {
        ben.push_one(item(resource_type, "create", 0, json!({"id": "x"})))
            .await;
        ben.push_one(item(
            resource_type,
            "update",
            1,
            json!({"id": "x", "by": "ben"}),
        ))
        .await;
        for foreign in [json!(bens), json!([old_key("ben", 7)]), json!("photo.jpg")] {
            let stale = item(
                resource_type,
                "update",
                1,
                json!({"id": "x", "media": foreign, "by": "ana"}),
            );
            let result = ana.push_one(stale).await;
            assert_eq!(
                (&result["code"], &result["retryable"]),
                (&json!("invalid_media_key"), &json!(false)),
                "{resource_type}"
            );
        }
        let fresh = item(
            resource_type,
            "update",
            2,
            json!({"id": "x", "media": bens}),
        );
        assert_eq!(
            ana.push_one(fresh).await["code"],
            "invalid_media_key",
            "{resource_type}"
        );
    }

    assert!(stack.rows("conflicts").is_empty());
}

#[tokio::test]
async fn own_key_is_accepted_in_several_resources() {
    let stack = stack();
    let photo = uploaded(&stack, "ana").await;
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "pc"));
    for id in ["b-1", "b-2"] {
        assert_eq!(
            ana.push_one(item(
                "board",
                "create",
                0,
                json!({"id": id, "media": photo})
            ))
            .await["status"],
            "ok"
        );
    }

    // Another user may name the key only in the resources for which it was verified.
    assert_eq!(
        ben.push_one(item(
            "board",
            "update",
            1,
            json!({"id": "b-2", "cover": photo})
        ))
        .await["status"],
        "ok"
    );

    let moved = item("board", "create", 0, json!({"id": "b-3", "media": photo}));
    assert_eq!(ben.push_one(moved).await["code"], "invalid_media_key");
    assert_eq!(stack.rows("submission_media").len(), 2);
}

#[tokio::test]
async fn replay_verifies_keys_as_the_push_did() {
    let stack = stack();
    let ana = stack.device("ana", "phone");
    let (bens, own) = (uploaded(&stack, "ben").await, uploaded(&stack, "ana").await);
    let items = json!([
        item("board", "create", 0, json!({"id": "b-1", "media": bens})),
        item("board", "update", 1, json!({"id": "b-2", "media": own})),
    ]);

    let id = batches::push(&ana, "b", &items).await;
    stack
        .device("ben", "pc")
        .push_one(item("board", "create", 0, json!({"id": "b-2"})))
        .await;

    for dry_run in [true, false] {
        let results = batches::replay(
            &stack,
            &batches::boss(&stack),
            &id,
            &json!({"dry_run": dry_run}),
        )
        .await
        .ok();
        assert_eq!(results["results"][0]["code"], "invalid_media_key");
        assert_eq!(results["results"][1]["status"], "ok");
    }
}

#[tokio::test]
async fn reference_does_not_replace_a_media_key() {
    let catalog = "[board]\nchannel = 'tenant'\nid_prefix = 'b'\nmedia = ['media']\nreferences = { media = 'board' }";
    let stack = Stack::configured(&[("CATALOG", catalog)]).today();
    let (own, bens) = (uploaded(&stack, "ana").await, uploaded(&stack, "ben").await);
    let named = item("board", "create", 0, json!({"id": bens})).temp_id(&own);

    let results = stack
        .device("ana", "phone")
        .push(json!([
            named,
            item("board", "create", 0, json!({"id": "b", "media": own}))
        ]))
        .await;
    assert_eq!(
        (&results[0]["status"], &results[1]["status"]),
        (&json!("ok"), &json!("ok"))
    );

    let rows = stack.rows("resources");
    let row = rows
        .iter()
        .find(|row| row["sk"]["S"] == "board#b")
        .expect("the row");
    assert!(
        row["payload"]["S"].as_str().expect("text").contains(&own),
        "{row}"
    );
}

/// The push of an admin follows the same rule as any other push.
#[tokio::test]
async fn admins_push_only_keys_of_their_own() {
    let stack = stack();
    let bens = uploaded(&stack, "ben").await;
    let admin = Device::new(&stack, scenario::admin(&stack), "desk");
    let create = |media: &str| item("board", "create", 0, json!({"id": "b", "media": media}));
    assert_eq!(
        admin.push_one(create(&bens)).await["code"],
        "invalid_media_key"
    );
    let own = uploaded(&stack, "root").await;
    assert!(MediaKey::parse(&own).is_some_and(|key| key.is_of("acme", "root")));
    assert_eq!(admin.push_one(create(&own)).await["status"], "ok");
}
