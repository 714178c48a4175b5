//! Every device pulls a resolution together with the conflict that it resolves.

use rstest::rstest;
use serde_json::{Value, json};
use tidemark_tests::Stack;

use super::{conflicted, meter, rejected, resolve};

#[rstest]
#[case::accept_client(
    json!({"resolution": "accept_client"}),
    json!({"code": "m-1", "reading": 42})
)]
#[case::accept_server(
    json!({"resolution": "accept_server"}),
    json!({"code": "m-1", "reading": 50})
)]
#[case::manual_merge(
    json!({"resolution": "manual_merge", "payload": {"reading": 46}}),
    json!({"reading": 46})
)]
#[tokio::test]
async fn devices_pull_resolution_with_conflict(#[case] decision: Value, #[case] payload: Value) {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    stack.settle().await;
    let mut devices = [
        stack.device("ana", "phone"),
        stack.device("office", "pc"),
        stack.device("ben", "tablet"),
    ];
    for device in &mut devices {
        device.pull().await;
    }

    resolve(&stack, &id, &decision).await.ok();
    stack.settle().await;

    for device in &mut devices {
        let changes = device.pull().await;
        assert_eq!(changes.len(), 1);
        assert_eq!(
            [
                &changes[0]["action"],
                &changes[0]["server_version"],
                &changes[0]["payload"],
                &changes[0]["conflict"]
            ],
            [
                &json!("update"),
                &json!(3),
                &payload,
                &json!({"id": id, "resolution": decision["resolution"]})
            ]
        );
        assert!(changes[0].get("conflicts").is_none());
    }
}

#[tokio::test]
async fn admins_own_devices_pull_resolution() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    stack.settle().await;
    let mut root = stack.device("root", "laptop");
    root.pull().await;
    resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    stack.settle().await;
    assert_eq!(root.pull().await[0]["conflict"]["id"], id.as_str());
}

#[tokio::test]
async fn accepted_delete_is_pulled_as_delete() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    office
        .push_one(meter("create", "m-1", 0, json!({"reading": 1})))
        .await;
    office
        .push_one(meter("update", "m-1", 1, json!({"reading": 50})))
        .await;
    let id = rejected(&stack, meter("delete", "m-1", 1, json!({}))).await;

    stack.settle().await;
    let mut ben = stack.device("ben", "tablet");
    ben.pull().await;
    resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    stack.settle().await;

    let change = &ben.pull().await[0];
    assert_eq!(
        [
            &change["action"],
            &change["conflict"]["resolution"],
            change.get("payload").unwrap_or(&Value::Null)
        ],
        [&json!("delete"), &json!("accept_client"), &Value::Null]
    );
}

/// Pushes a conflicting reading of `m-1` from Ana's phone and accepts it. Returns the conflict's
/// id.
async fn accept_reading(stack: &Stack, reading: u64) -> String {
    let edit = meter("update", "m-1", 1, json!({"reading": reading}));
    let id = rejected(stack, edit).await;
    resolve(stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    id
}

/// Returns the ids of the conflicts that a change lists.
fn listed(change: &Value) -> Vec<&str> {
    change["conflicts"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it["id"].as_str().expect("an id"))
        .collect()
}

#[tokio::test]
async fn snapshot_carries_last_four_resolutions() {
    let stack = Stack::new();
    let mut ids = Vec::new();
    let first = conflicted(&stack, "m-1").await;
    resolve(&stack, &first, &json!({"resolution": "accept_server"}))
        .await
        .ok();
    ids.push(first);

    for version in 3..8 {
        // Version 1 is outdated, so each of these edits conflicts.
        ids.push(accept_reading(&stack, 100 + version).await);
    }

    let changes = stack.device("new", "phone").pull().await;
    assert_eq!(
        (changes.len(), &changes[0]["server_version"]),
        (1, &json!(8))
    );
    assert_eq!(listed(&changes[0]), ids[2..], "the last four, oldest first");
    assert_eq!(changes[0]["conflict"], changes[0]["conflicts"][3]);
}

#[tokio::test]
async fn change_carries_only_new_resolutions() {
    let stack = Stack::new();
    let first = conflicted(&stack, "m-1").await;
    resolve(&stack, &first, &json!({"resolution": "accept_server"}))
        .await
        .ok();
    stack.settle().await;
    let mut ben = stack.device("ben", "tablet");
    ben.pull().await;

    stack
        .device("office", "pc")
        .push_one(meter("update", "m-1", 3, json!({"reading": 60})))
        .await;
    stack.settle().await;
    assert!(
        ben.pull().await[0].get("conflict").is_none(),
        "an ordinary change names no conflict"
    );

    let mut since = Vec::new();
    for reading in [61, 62] {
        since.push(accept_reading(&stack, reading).await);
    }
    stack
        .device("office", "pc")
        .push_one(meter("update", "m-1", 6, json!({"reading": 63})))
        .await;
    stack.settle().await;

    let changes = ben.pull().await;
    assert_eq!(
        (changes.len(), listed(&changes[0])),
        (1, vec![since[0].as_str(), since[1].as_str()]),
        "both, although a later edit is folded into the change"
    );
    assert_eq!(
        (&changes[0]["server_version"], &changes[0]["conflict"]["id"]),
        (&json!(7), &json!(since[1]))
    );
}

#[tokio::test]
async fn devices_converge_after_a_resolution() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let (mut ana, mut office) = (stack.device("ana", "phone"), stack.device("office", "pc"));
    ana.pull().await;
    resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    stack.settle().await;
    ana.pull().await;
    office.pull().await;
    assert_eq!(ana.live(), office.live());
    assert_eq!(ana.live()["m-1"].server_version, 3);
}
