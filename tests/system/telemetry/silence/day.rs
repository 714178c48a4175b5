//! A day of ordinary requests full of secrets, and requests that are rejected.

use lambda_http::http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};
use tidemark_tests::{
    Device, Item, Stack,
    scenario::{self, meter},
};

use super::{SECRET_NUMBER, SECRET_TEXT, secret};

/// Runs a day without failures, with conflicts and their resolutions, and reads everything that can
/// be read. Returns the tokens.
pub(super) async fn run_day(stack: &Stack) -> Vec<String> {
    let (office, mut phone) = (stack.device("office", "pc"), stack.device("ana", "phone"));
    let root = scenario::admin(stack);
    for (id, resolution) in [("m-1", "accept_client"), ("m-2", "manual_merge")] {
        let batch = push_conflicting(&office, &phone, id).await;
        read(stack, &root, &batch).await;
        resolve_and_replay(stack, &root, &batch, resolution).await;
    }
    push_photo(stack, &phone).await;

    stack.settle().await;
    phone.pull().await;
    phone.ack().await.ok();
    for path in ["devices", "audit", "sync/limits"] {
        stack.get(path, &root).await.ok();
    }
    visit_console(stack, &root).await;
    vec![office.token.clone(), phone.token.clone(), root]
}

/// Creates the meter `id` from the office, and pushes a batch from the phone whose first item
/// conflicts. Returns the response to the batch.
async fn push_conflicting(office: &Device<'_>, phone: &Device<'_>, id: &str) -> Value {
    office.push_one(meter("create", id, 0, secret())).await;
    office
        .push_one(meter("update", id, 1, json!({"owner": [SECRET_TEXT, 1]})))
        .await;
    let items = json!([
        meter("update", id, 1, json!({"owner": [SECRET_TEXT, 2]})),
        meter("delete", id, 2, json!({}))
    ]);
    phone.push_batch(&format!("b-{id}"), &items).await.ok()
}

/// Opens pages of the console, with secrets in the address.
async fn visit_console(stack: &Stack, token: &str) {
    let session = format!("tidemark-session-0={token}");
    let session = HeaderValue::from_str(&session).unwrap();
    let headers = HeaderMap::from_iter([(header::COOKIE, session)]);
    for (path, status) in [("catalog?code=Sesame-Open", 200), ("Sesame-Open", 404)] {
        let event = stack.console_event("GET", path, &headers, b"");
        let response = stack.deliver("console", &event).await;
        assert_eq!(response.status(), status, "{path}");
    }
}

/// Returns the paths of a batch and of its conflict.
fn paths(batch: &Value) -> (String, String) {
    let conflict = batch["results"][0]["conflict_id"].as_str().unwrap();
    let id = batch["batch_id"].as_str().unwrap();
    (format!("batches/{id}"), format!("conflicts/{conflict}"))
}

/// Reads a batch, its conflict and the list of conflicts.
async fn read(stack: &Stack, token: &str, batch: &Value) {
    let (batch, conflict) = paths(batch);
    for path in [&conflict, &batch, "conflicts"] {
        stack.get(path, token).await.ok();
    }
}

/// Resolves the conflict of a batch and replays the batch.
async fn resolve_and_replay(stack: &Stack, token: &str, batch: &Value, resolution: &str) {
    let (batch, conflict) = paths(batch);
    let payload = (resolution == "manual_merge").then(secret);
    let decision = json!({"resolution": resolution, "note": SECRET_TEXT, "payload": payload});
    stack
        .post(&format!("{conflict}/resolve"), token, &decision)
        .await
        .ok();
    stack
        .post(&format!("{batch}/replay"), token, &json!({}))
        .await
        .ok();
}

/// Presigns an upload and pushes a submission that names it.
async fn push_photo(stack: &Stack, phone: &Device<'_>) {
    let filename = format!("{SECRET_TEXT}.jpg");
    let photo = json!({"filename": filename, "content_type": "image/jpeg", "content_length": 5});
    let key = stack.post("media/presign", &phone.token, &photo).await.ok()["key"].clone();
    let payload = json!({"form_id": SECRET_TEXT, "data": secret(), "media": [key, SECRET_TEXT]});
    phone
        .push_one(Item::create_as("submission", "t-1", payload))
        .await;
}

/// Sends requests that are rejected, each with a secret in an unexpected place.
pub(super) async fn rejections(stack: &Stack) {
    let root = scenario::admin(stack);
    for path in [
        "sync/push",
        "sync/pull",
        "sync/ack",
        "media/presign",
        "conflicts/conf-0/resolve",
        "batches/x/replay",
    ] {
        for body in &invalid_bodies() {
            stack.post(path, &root, body).await;
        }
        send_unauthenticated(stack, path).await;
        send_unreadable(stack, path).await;
    }

    for path in [
        "conflicts?status=Sesame-Open",
        "conflicts?cursor=Sesame-Open",
        "audit?limit=Sesame-Open",
    ] {
        assert_eq!(stack.get(path, &root).await.status, 400);
    }
    for event in &invalid_bodies() {
        stack.invoke("resolve", event).await;
    }
}

/// Returns bodies with secrets in place of fields of all requests.
fn invalid_bodies() -> [Value; 5] {
    [
        json!({"device_id": {"secret": SECRET_TEXT}, "items": [SECRET_TEXT]}),
        json!({"device_id": "phone", "items": SECRET_TEXT, "filename": {"a": SECRET_TEXT}, "resolution": SECRET_TEXT, "limit": SECRET_TEXT, "ack_token": SECRET_TEXT}),
        json!({"device_id": "phone", "items": [], "since_token": SECRET_TEXT, "resolution": "manual_merge", "payload": SECRET_TEXT, "limit": SECRET_NUMBER}),
        json!({"device_id": "phone", "items": [SECRET_TEXT, SECRET_NUMBER, {"action": SECRET_TEXT}, meter("create", "m-9", 0, secret())], "note": [SECRET_TEXT]}),
        json!(SECRET_TEXT),
    ]
}

/// Sends requests without a token and with secrets in it, and asserts that they are rejected.
async fn send_unauthenticated(stack: &Stack, path: &str) {
    let ana = stack.token("acme", "ana", &[], &[]);
    let body = format!("{{\"{SECRET_TEXT}");
    for token in [
        None,
        Some(SECRET_TEXT),
        Some(&*format!("{SECRET_TEXT}.{SECRET_TEXT}.{SECRET_TEXT}")),
        Some(&*format!("{ana}{SECRET_TEXT}")),
    ] {
        let response = stack.post_bytes(path, token, body.as_bytes()).await;
        assert_eq!(response.status, 401);
    }
}

/// Sends a body that is cut off, and a body of another content type.
async fn send_unreadable(stack: &Stack, path: &str) {
    let root = scenario::admin(stack);
    let cut = format!(
        "{{\"device_id\": \"{SECRET_TEXT}\", \"items\": [{{\"{SECRET_TEXT}\": {SECRET_NUMBER}"
    );
    stack.post_bytes(path, Some(&root), cut.as_bytes()).await;

    let mut headers = HeaderMap::new();
    headers.insert(
        header::AUTHORIZATION,
        HeaderValue::from_str(&format!("Bearer {root}")).unwrap(),
    );
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/Sesame-Open"),
    );
    stack.send(path, &headers, SECRET_TEXT.as_bytes()).await;
}
