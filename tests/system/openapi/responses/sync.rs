//! Responses to devices: pushes, pulls, acknowledgements and uploads.

use serde_json::{Value, json};
use tidemark_tests::{Device, Item, Stack, scenario::meter};

use super::{BATCH, Recorder};

/// Temp id of the create of a form.
const FORM_TEMP_ID: &str = "5f0c7c1e-8a4d-4a57-9f0e-2b6d1c3e4f01";

/// Records pushes, pulls and acknowledgements of two devices. Returns the id of an open conflict.
pub(super) async fn sync(stack: &Stack, recorder: &mut Recorder) -> String {
    let (ana, mut ben) = (stack.device("ana", "phone"), stack.device("ben", "tablet"));
    prepare(stack, &mut ben).await;
    let conflict = push(&ana, recorder).await;
    ben.push(json!([meter("delete", "m-9", 1, json!({}))]))
        .await;
    stack.settle().await;

    let token = pull(stack, recorder, &ana, &ben).await;
    acknowledge(stack, recorder, &ben, &token).await;
    let limits = stack.get("sync/limits", &ana.token).await;
    recorder.record("limits", "limits", &limits, 200);
    let me = stack.get("me", &ben.token).await;
    recorder.record("me", "me", &me, 200);
    conflict
}

/// Creates two meters from Ben's tablet, pulls them, and changes one.
async fn prepare(stack: &Stack, ben: &mut Device<'_>) {
    let made = json!([
        meter("create", "m-123", 0, json!({"code": "A", "reading": 1})),
        meter("create", "m-9", 0, json!({}))
    ]);
    ben.push(made).await;
    stack.settle().await;
    ben.pull_page(100).await;
    ben.push(json!([meter("update", "m-123", 1, json!({"reading": 50}))]))
        .await;
}

/// Records a batch with every kind of result, and a batch that reuses its id. Returns the id of the
/// conflict.
async fn push(ana: &Device<'_>, recorder: &mut Recorder) -> String {
    let form = json!({"form_id": "f-1", "form_version": "v2", "data": {"fieldA": "ok"}});
    let items = json!([
        Item::create_as("submission", FORM_TEMP_ID, form),
        meter("update", "m-123", 1, json!({"reading": 42})),
        meter("update", "m-404", 1, json!({"reading": 1})),
    ]);
    let pushed = recorder.record("push", "results", &ana.push_batch(BATCH, &items).await, 200);

    let others = json!([meter("delete", "m-9", 1, json!({}))]);
    recorder.problem("push", &ana.push_batch(BATCH, &others).await);
    pushed["results"][1]["conflict_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Records a page of changes, an invalid token and a snapshot. Returns the token of the page.
async fn pull(stack: &Stack, recorder: &mut Recorder, ana: &Device<'_>, ben: &Device<'_>) -> Value {
    let request = json!({"since_token": ben.since(), "limit": 100});
    let page = stack.post("sync/pull", &ben.token, &request).await;
    let page = recorder.record("pull", "changes", &page, 200);

    let cut = json!({"since_token": "tm1_cut"});
    recorder.problem("pull", &stack.post("sync/pull", &ana.token, &cut).await);

    let request = json!({"since_token": null, "device_id": "phone"});
    let snapshot = stack.post("sync/pull", &ana.token, &request).await;
    recorder.record("pull", "snapshot", &snapshot, 200);
    page["next_token"].clone()
}

/// Records an acknowledgement of this token, and one of an invalid token.
async fn acknowledge(stack: &Stack, recorder: &mut Recorder, ben: &Device<'_>, token: &Value) {
    let ack = json!({"ack_token": token, "device_id": "tablet", "app_version": "4.2.0"});
    let response = stack.post("sync/ack", &ben.token, &ack).await;
    recorder.record("acknowledge", "acknowledged", &response, 200);

    let cut = json!({"ack_token": "tm1_cut", "device_id": "tablet"});
    recorder.problem(
        "acknowledge",
        &stack.post("sync/ack", &ben.token, &cut).await,
    );
}

/// Records uploads that are granted and rejected.
pub(super) async fn media(stack: &Stack, recorder: &mut Recorder) {
    let ana = stack.token("acme", "ana", &[], &[]);
    let photo = json!({"filename": "photo.jpg", "content_type": "image/jpeg", "content_length": 48_213, "resource_type": "submission"});
    recorder.record(
        "presign",
        "upload",
        &stack.post("media/presign", &ana, &photo).await,
        200,
    );

    for (field, value) in [
        ("content_type", json!("application/x-msdownload")),
        ("content_length", json!(1_000_000_000)),
        ("resource_type", json!("meter")),
    ] {
        let mut rejected = photo.clone();
        rejected[field] = value;
        recorder.problem(
            "presign",
            &stack.post("media/presign", &ana, &rejected).await,
        );
    }
}
