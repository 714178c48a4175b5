//! Conflicts about a rejected create: the resource does not exist until a resolution creates it.

use serde_json::{Value, json};
use tidemark_tests::{ApiResponse, Device, Item, Stack};

use super::{audited, meter, rejected, resolve, shown, stored};

fn create(code: &str) -> Item {
    Item::create_as("meter", "t-1", json!({"code": code, "reading": 1.0}))
}

/// Lets the meter `m-1` hold the code A and pushes a create with that code from Ana's phone.
/// Returns the conflict's id and the resource id of the rejected create.
async fn violated(stack: &Stack) -> (String, String) {
    stack
        .device("office", "pc")
        .push_one(meter("create", "m-1", 0, json!({"code": "A"})))
        .await;
    let id = rejected(stack, create("A")).await;

    let conflict = shown(stack, &id).await;
    assert_eq!(
        [
            &conflict["code"],
            &conflict["server_version"],
            &conflict["server_payload"],
            &conflict["action"]
        ],
        [
            &json!("unique_violation"),
            &json!(0),
            &Value::Null,
            &json!("create")
        ]
    );

    let made = conflict["resource_id"].as_str().expect("an id").to_owned();
    (id, made)
}

/// Accepts a conflict about a resource that does not exist.
async fn accept(stack: &Stack, id: &str) -> ApiResponse {
    let decision = json!({"resolution": "accept_client", "expected_server_version": 0});
    resolve(stack, id, &decision).await
}

/// Asserts that the resource `made` was created as the response states, stored and audited.
async fn assert_created(stack: &Stack, made: &str, response: &Value) {
    assert_eq!(
        (&response["server_version"], &response["server_payload"]),
        (&json!(1), &json!({"code": "A", "reading": 1.0}))
    );
    assert_eq!(
        stored(stack, made),
        (1, false, r#"{"code":"A","reading":1.0}"#.into())
    );

    let entry = &audited(stack).await[0];
    assert_eq!(
        (&entry["before"], &entry["after"]["server_version"]),
        (&Value::Null, &json!(1))
    );
}

/// Asserts that a device receives the resource `made` with the conflict `id` that created it.
async fn assert_delivered(device: &mut Device<'_>, made: &str, id: &str) {
    let changes = device.pull().await;
    let change = changes
        .iter()
        .find(|change| change["id"] == made)
        .expect("the change");

    assert_eq!(
        [
            &change["action"],
            &change["server_version"],
            &change["conflict"]
        ],
        [
            &json!("create"),
            &json!(1),
            &json!({"id": id, "resolution": "accept_client"})
        ]
    );
}

#[tokio::test]
async fn accepted_create_needs_a_free_value() {
    let stack = Stack::new();
    let (id, made) = violated(&stack).await;
    let taken = accept(&stack, &id).await;
    assert_eq!(
        (taken.status, &taken.json()["holder_id"]),
        (409, &json!("m-1"))
    );
    assert_eq!(stack.rows("resources").len(), 1);

    let (mut ben, mut phone) = (stack.device("ben", "tablet"), stack.device("ana", "phone"));
    ben.pull().await;
    phone.pull().await;
    stack
        .device("office", "pc")
        .push_one(meter("update", "m-1", 1, json!({"code": "B"})))
        .await;
    let response = accept(&stack, &id).await.ok();
    assert_created(&stack, &made, &response).await;

    // Every device receives the resource, including the author's.
    stack.settle().await;
    for device in [&mut ben, &mut phone] {
        assert_delivered(device, &made, &id).await;
    }

    // The device continues under the id of the response.
    let edit = meter("update", &made, 1, json!({"reading": 2}));
    assert_eq!(
        stack.device("ana", "phone").push_one(edit).await["status"],
        "ok"
    );
}

#[tokio::test]
async fn create_and_joined_edits_become_version_one() {
    let stack = Stack::new();
    let (id, made) = violated(&stack).await;

    let edit = Item::new("meter", "update", 1)
        .base(0)
        .temp_id("t-1")
        .payload(json!({"code": "C", "note": "late"}));
    assert_eq!(
        stack.device("ana", "phone").push_one(edit).await["conflict_id"],
        id.as_str()
    );

    resolve(&stack, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    assert_eq!(
        stored(&stack, &made),
        (
            1,
            false,
            r#"{"code":"C","reading":1.0,"note":"late"}"#.into()
        )
    );
}

#[tokio::test]
async fn manual_merge_creates_with_another_value() {
    let stack = Stack::new();
    let (id, made) = violated(&stack).await;
    let response = resolve(
        &stack,
        &id,
        &json!({"resolution": "manual_merge", "payload": {"code": "A-2"}}),
    )
    .await
    .ok();
    assert_eq!(
        (&response["resource_id"], &response["server_version"]),
        (&json!(made), &json!(1))
    );
    assert_eq!(
        stored(&stack, &made),
        (1, false, r#"{"code":"A-2"}"#.into())
    );

    let again = stack.device("ana", "phone").push_one(create("A")).await;
    assert_eq!(
        [&again["status"], &again["resolution"]],
        [&json!("conflict"), &json!("manual_merge")],
        "the merged payload is not what Ana sent"
    );
}

#[tokio::test]
async fn accept_server_creates_nothing() {
    let stack = Stack::new();
    let (id, _) = violated(&stack).await;
    let response = resolve(&stack, &id, &json!({"resolution": "accept_server"}))
        .await
        .ok();
    assert_eq!(
        (&response["server_version"], response.get("server_payload")),
        (&json!(0), None)
    );

    assert_eq!(
        resolve(&stack, &id, &json!({"resolution": "accept_server"}))
            .await
            .ok(),
        response
    );
    assert_eq!(stack.rows("resources").len(), 1);
    let entry = &audited(&stack).await[0];
    assert_eq!(
        (&entry["before"], &entry["after"]),
        (&Value::Null, &Value::Null)
    );

    let again = stack.device("ana", "phone").push_one(create("A")).await;
    assert_eq!(
        [&again["conflict_id"], &again["resolution"]],
        [&json!(id), &json!("accept_server")]
    );
}

#[tokio::test]
async fn queued_edit_conflicts_with_merged_create() {
    let catalog =
        "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\nunique = ['code']\npolicy = 'field_merge'";
    let stack = Stack::configured(&[("CATALOG", catalog)]);
    stack
        .device("office", "pc")
        .push_one(meter("create", "m-1", 0, json!({"code": "A"})))
        .await;
    let id = rejected(
        &stack,
        meter("create", "m-2", 0, json!({"code": "A", "reading": 1})),
    )
    .await;

    resolve(
        &stack,
        &id,
        &json!({"resolution": "manual_merge", "payload": {"code": "B", "reading": 9}}),
    )
    .await
    .ok();

    // It was queued after the create, before the device received the resolution.
    let queued = meter("update", "m-2", 0, json!({"reading": 2})).version(1);
    let result = stack.device("ana", "phone").push_one(queued).await;
    assert_eq!(
        (&result["status"], &result["server_payload"]["reading"]),
        (&json!("conflict"), &json!(9))
    );
}
