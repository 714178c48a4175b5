//! The examples of responses in `openapi.json` are recorded: `tests/src/openapi/responses.json`
//! holds what the system answered to the requests of this file. Ids and tokens differ from run to
//! run, so the test compares fields and types.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::{cmp::Reverse, collections::BTreeMap, env, fs, path::PathBuf, sync::Arc};

use chrono::Duration;
use lambda_http::http::{HeaderMap, HeaderValue, header};
use serde_json::{Map, Value, json};
use tidemark::engine::http::CallFate;
use tidemark_core::protocol::problem::{Problem, ProblemBody, ProblemCode};
use tidemark_tests::{ApiResponse, Script, Stack};

use super::UPDATE;

/// A create of a form under this temp id.
const FORM_TEMP_ID: &str = "5f0c7c1e-8a4d-4a57-9f0e-2b6d1c3e4f01";
const BATCH: &str = "0197f3c2-5a51-7c41-a3d5-9d2f6f1f7a10";

/// Recorded bodies: by operation, status and name.
#[derive(Default)]
struct Recorder(BTreeMap<String, BTreeMap<u16, BTreeMap<String, Value>>>);

impl Recorder {
    /// Records a body of an operation under a name.
    #[track_caller]
    fn record(
        &mut self,
        operation: &str,
        name: &str,
        response: &ApiResponse,
        status: u16,
    ) -> Value {
        assert_eq!(
            response.status, status,
            "{operation} {name}: {}",
            response.text
        );
        self.add(operation, status, name, response.json());
        response.json()
    }

    fn add(&mut self, operation: &str, status: u16, name: &str, value: Value) {
        self.0
            .entry(operation.to_owned())
            .or_default()
            .entry(status)
            .or_default()
            .insert(name.to_owned(), value);
    }

    /// Records a problem under its code.
    #[track_caller]
    fn problem(&mut self, operation: &str, response: &ApiResponse) {
        let body = response.json();
        let code = body["code"]
            .as_str()
            .unwrap_or_else(|| panic!("{operation}: no problem: {}", response.text))
            .to_owned();
        self.add(operation, response.status, &code, body);
    }
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/openapi/responses.json")
}

fn meter(action: &str, id: &str, version: u64, fields: Value) -> Value {
    let mut payload = fields;
    payload["id"] = id.into();
    json!({"resource_type": "meter", "action": action, "client_version": version, "base_version": version, "payload": payload})
}

/// Pushes, pulls and acknowledgements of two devices; returns the id of a conflict that is left.
async fn sync(stack: &Stack, recorder: &mut Recorder) -> String {
    let (ana, mut ben) = (stack.device("ana", "phone"), stack.device("ben", "tablet"));
    let made = json!([
        meter("create", "m-123", 0, json!({"code": "A", "reading": 1})),
        meter("create", "m-9", 0, json!({}))
    ]);
    ben.push(made).await;
    stack.settle().await;
    ben.pull_page(100).await;
    ben.push(json!([meter("update", "m-123", 1, json!({"reading": 50}))]))
        .await;
    let items = json!([
        {"client_temp_id": FORM_TEMP_ID, "resource_type": "submission", "action": "create", "client_version": 0,
            "payload": {"form_id": "f-1", "form_version": "v2", "data": {"fieldA": "ok"}}},
        meter("update", "m-123", 1, json!({"reading": 42})),
        meter("update", "m-404", 1, json!({"reading": 1})),
    ]);
    let pushed = recorder.record("push", "results", &ana.push_batch(BATCH, &items).await, 200);
    recorder.problem(
        "push",
        &ana.push_batch(BATCH, &json!([meter("delete", "m-9", 1, json!({}))]))
            .await,
    );
    ben.push(json!([meter("delete", "m-9", 1, json!({}))]))
        .await;
    stack.settle().await;

    let request = json!({"since_token": ben.since, "limit": 100});
    let page = recorder.record(
        "pull",
        "changes",
        &stack.post("sync/pull", &ben.token, &request).await,
        200,
    );
    recorder.problem(
        "pull",
        &stack
            .post("sync/pull", &ana.token, &json!({"since_token": "tm1_cut"}))
            .await,
    );
    let snapshot = stack
        .post(
            "sync/pull",
            &ana.token,
            &json!({"since_token": null, "device_id": "phone"}),
        )
        .await;
    recorder.record("pull", "snapshot", &snapshot, 200);

    let ack =
        json!({"ack_token": page["next_token"], "device_id": "tablet", "app_version": "4.2.0"});
    recorder.record(
        "acknowledge",
        "acknowledged",
        &stack.post("sync/ack", &ben.token, &ack).await,
        200,
    );
    let cut = json!({"ack_token": "tm1_cut", "device_id": "tablet"});
    recorder.problem(
        "acknowledge",
        &stack.post("sync/ack", &ben.token, &cut).await,
    );
    recorder.record(
        "limits",
        "limits",
        &stack.get("sync/limits", &ana.token).await,
        200,
    );
    pushed["results"][1]["conflict_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Conflicts, their decisions and the audit log.
async fn decide(stack: &Stack, recorder: &mut Recorder, conflict: &str) {
    let (ana, root) = (
        stack.token("acme", "ana", &[], &[]),
        stack.token("acme", "root", &["admin"], &[]),
    );
    let (one, resolve) = (
        format!("conflicts/{conflict}"),
        format!("conflicts/{conflict}/resolve"),
    );
    recorder.record(
        "listConflicts",
        "open",
        &stack.get("conflicts", &root).await,
        200,
    );
    recorder.record("readConflict", "open", &stack.get(&one, &root).await, 200);

    let merge = |payload: Value| json!({"resolution": "manual_merge", "payload": payload});
    stack
        .device("ben", "tablet")
        .push_one(meter("create", "m-2", 0, json!({"code": "B"})))
        .await;
    let deep = (0..70).fold(json!({}), |inner, _| json!({"a": inner}));
    for (token, decision) in [
        (&ana, json!({"resolution": "accept_client"})),
        (
            &root,
            json!({"resolution": "accept_client", "expected_server_version": 1}),
        ),
        (&root, merge(json!({"code": "B"}))),
        (&root, merge(deep)),
    ] {
        recorder.problem(
            "resolveConflict",
            &stack.post(&resolve, token, &decision).await,
        );
    }
    let decision = json!({"resolution": "accept_client", "expected_server_version": 2, "note": "asked Ana by phone"});
    recorder.record(
        "resolveConflict",
        "decided",
        &stack.post(&resolve, &root, &decision).await,
        200,
    );
    recorder.problem(
        "resolveConflict",
        &stack
            .post(&resolve, &root, &json!({"resolution": "accept_server"}))
            .await,
    );
    stack.settle().await;
    recorder.record(
        "listConflicts",
        "resolved",
        &stack.get("conflicts?status=resolved", &root).await,
        200,
    );
    recorder.record(
        "readConflict",
        "resolved",
        &stack.get(&one, &root).await,
        200,
    );
}

/// Batches, replays, and what admins look at.
async fn administer(stack: &Stack, recorder: &mut Recorder) {
    let (ana, root) = (
        stack.token("acme", "ana", &[], &[]),
        stack.token("acme", "root", &["admin"], &[]),
    );
    let id = tidemark_core::ids::BatchId::derived("acme", "ana", "phone", BATCH).to_string();
    let (one, replay) = (format!("batches/{id}"), format!("batches/{id}/replay"));
    recorder.record("readBatch", "batch", &stack.get(&one, &ana).await, 200);
    recorder.problem(
        "readBatch",
        &stack.get(&format!("{one}?from=x"), &ana).await,
    );
    stack.advance(Duration::seconds(1));
    recorder.record(
        "replayBatch",
        "dry_run",
        &stack.post(&replay, &root, &json!({"dry_run": true})).await,
        200,
    );
    stack.advance(Duration::seconds(1));
    recorder.record(
        "replayBatch",
        "replayed",
        &stack.post(&replay, &root, &json!({})).await,
        200,
    );
    recorder.problem("replayBatch", &stack.post(&replay, &ana, &json!({})).await);

    // A replay starts and ends in one moment here, and the ids of one moment sort at random.
    let mut audit = stack.get("audit", &root).await.ok();
    let entries = audit["entries"].as_array_mut().unwrap();
    entries.sort_by_key(|entry| {
        Reverse((
            entry["at"].to_string(),
            entry["action"] == "replay_finished",
        ))
    });
    recorder.add("readAudit", 200, "newest", audit);
    recorder.record(
        "readStatus",
        "channels",
        &stack.get("status", &root).await,
        200,
    );
    recorder.record(
        "readStatus",
        "compared",
        &stack.get("status?channel=tenant", &root).await,
        200,
    );
    recorder.record(
        "listDevices",
        "of_a_user",
        &stack
            .get("devices", &stack.token("acme", "ben", &[], &[]))
            .await,
        200,
    );
    recorder.problem("listDevices", &stack.get("devices?user=ben", &ana).await);
    for (operation, path) in [
        ("listConflicts", "conflicts"),
        ("readAudit", "audit"),
        ("readStatus", "status"),
    ] {
        recorder.problem(operation, &stack.get(path, &ana).await);
    }
    for (operation, path) in [
        ("listConflicts", "conflicts?"),
        ("readAudit", "audit?"),
        ("readStatus", "status?"),
        ("listDevices", "devices?scope=tenant&"),
    ] {
        recorder.problem(
            operation,
            &stack.get(&format!("{path}limit=0"), &root).await,
        );
        recorder.problem(
            operation,
            &stack.get(&format!("{path}cursor=cut"), &root).await,
        );
    }
}

async fn media(stack: &Stack, recorder: &mut Recorder) {
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

/// Refusals that depend on the operation only by its path and body.
async fn rejections(stack: &Stack, recorder: &mut Recorder) {
    let root = stack.token("acme", "root", &["admin"], &[]);
    for (operation, path) in [
        ("push", "sync/push"),
        ("pull", "sync/pull"),
        ("acknowledge", "sync/ack"),
        ("presign", "media/presign"),
        ("resolveConflict", "conflicts/conf-unknown/resolve"),
        ("replayBatch", "batches/batch-unknown/replay"),
    ] {
        recorder.problem(operation, &stack.post_bytes(path, Some(&root), b"[]").await);
    }
    recorder.problem(
        "readConflict",
        &stack.get("conflicts/conf-unknown", &root).await,
    );
    recorder.problem(
        "readBatch",
        &stack.get("batches/batch-unknown", &root).await,
    );
    let decision = json!({"resolution": "accept_client"});
    recorder.problem(
        "resolveConflict",
        &stack
            .post("conflicts/conf-unknown/resolve", &root, &decision)
            .await,
    );
    recorder.problem(
        "replayBatch",
        &stack
            .post("batches/batch-unknown/replay", &root, &json!({}))
            .await,
    );
    // Losing a race ten times over cannot be arranged by requests alone.
    let contended = Problem::new(
        ProblemCode::Contended,
        "others changed it at the same moment: look at it, and try again",
    );
    let contended = serde_json::to_value(ProblemBody::new(&contended, "request-1")).unwrap();
    for operation in ["resolveConflict", "replayBatch"] {
        recorder.add(operation, 409, "contended", contended.clone());
    }
}

/// Refusals that every operation, or every one with a body, has in the same words.
async fn common(stack: &Stack, recorder: &mut Recorder) {
    let root = stack.token("acme", "root", &["admin"], &[]);
    recorder.problem("*", &stack.post_bytes("sync/pull", None, b"{}").await);
    let lost = Stack::hooked(Arc::new(Script::new(|_, _, _, _| CallFate::Lose)));
    recorder.problem("*", &lost.post("sync/pull", &root, &json!({})).await);
    recorder.problem(
        "*",
        &stack
            .post_bytes("sync/pull", Some(&root), &[b' '; (3 << 20) + 1])
            .await,
    );
    let mut headers = HeaderMap::new();
    headers.insert(
        header::AUTHORIZATION,
        HeaderValue::from_str(&format!("Bearer {root}")).unwrap(),
    );
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    recorder.problem("*", &stack.send("sync/pull", &headers, b"{}").await);
}

/// The types of a value and of what it holds; of a list, of its first element.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| (name.clone(), shape(field)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(list) => list.iter().map(shape).collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        Value::Bool(_) => "boolean".into(),
        Value::Null => Value::Null,
    }
}

#[tokio::test]
async fn recorded_responses_are_what_the_system_returns() {
    let (stack, mut recorder) = (Stack::new(), Recorder::default());
    let conflict = sync(&stack, &mut recorder).await;
    decide(&stack, &mut recorder, &conflict).await;
    administer(&stack, &mut recorder).await;
    media(&stack, &mut recorder).await;
    rejections(&stack, &mut recorder).await;
    common(&stack, &mut recorder).await;

    let recorded = serde_json::to_value(&recorder.0).unwrap();
    let committed =
        || -> Value { serde_json::from_str(&fs::read_to_string(file()).unwrap()).unwrap() };
    // Ids and tokens differ each time, so what has the same shape is left as it is.
    if env::var_os(UPDATE).is_some() && shape(&committed()) != shape(&recorded) {
        fs::write(
            file(),
            serde_json::to_string_pretty(&recorded).unwrap() + "\n",
        )
        .unwrap();
    }
    let (committed, recorded) = (shape(&committed()), shape(&recorded));
    for (operation, statuses) in recorded.as_object().unwrap() {
        assert_eq!(
            &committed[operation], statuses,
            "{operation}: run the openapi tests twice with {UPDATE}=1"
        );
    }
    assert_eq!(committed, recorded);
}
