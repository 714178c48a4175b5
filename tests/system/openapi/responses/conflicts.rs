//! Responses about conflicts: the list, the detail and the resolution.

use serde_json::{Value, json};
use tidemark_tests::{
    Stack,
    scenario::{self, meter},
};

use super::Recorder;

/// Records a conflict before, during and after its resolution.
pub(super) async fn conflicts(stack: &Stack, recorder: &mut Recorder, conflict: &str) {
    show(stack, recorder, conflict, "open").await;
    preview(stack, recorder, conflict).await;
    resolve(stack, recorder, conflict).await;
    stack.settle().await;
    show(stack, recorder, conflict, "resolved").await;
}

/// Records the list of conflicts with this status, and one of them.
async fn show(stack: &Stack, recorder: &mut Recorder, conflict: &str, status: &str) {
    let root = scenario::admin(stack);
    let list = if status == "open" {
        "conflicts"
    } else {
        "conflicts?status=resolved"
    };
    recorder.record("listConflicts", status, &stack.get(list, &root).await, 200);

    let summary = stack.get("conflicts/summary", &root).await;
    recorder.record("summarizeConflicts", status, &summary, 200);

    let one = stack.get(&format!("conflicts/{conflict}"), &root).await;
    recorder.record("readConflict", status, &one, 200);
}

/// Returns a bulk request about this conflict and one that does not exist.
fn bulk(conflict: &str) -> Value {
    let of = |id: &str| json!({"id": id, "expected_server_version": 2});
    json!({"conflicts": [of(conflict), of("conf-unknown")], "resolution": "accept_client"})
}

/// Records dry runs, and bulk requests that are rejected.
async fn preview(stack: &Stack, recorder: &mut Recorder, conflict: &str) {
    let (ana, root) = (stack.token("acme", "ana", &[], &[]), scenario::admin(stack));
    let path = format!("conflicts/{conflict}/resolve");
    let picks = json!({"resolution": "field_pick", "fields": {"reading": "client"},
        "expected_server_version": 2, "dry_run": true});
    let response = stack.post(&path, &root, &picks).await;
    recorder.record("resolveConflict", "dry-run", &response, 200);

    let mut request = bulk(conflict);
    request["dry_run"] = true.into();
    let response = stack.post("conflicts/resolve", &root, &request).await;
    recorder.record("resolveConflicts", "dry-run", &response, 200);

    let deep = (0..70).fold(json!(1), |inner, _| json!([inner]));
    (request["resolution"], request["fields"]) =
        ("field_pick".into(), json!({"reading": {"value": deep}}));
    for token in [&ana, &root] {
        let response = stack.post("conflicts/resolve", token, &request).await;
        recorder.problem("resolveConflicts", &response);
    }
}

/// Records resolutions that are rejected, one that is accepted, and one that comes too late.
async fn resolve(stack: &Stack, recorder: &mut Recorder, conflict: &str) {
    let path = format!("conflicts/{conflict}/resolve");
    let root = scenario::admin(stack);
    stack
        .device("ben", "tablet")
        .push_one(meter("create", "m-2", 0, json!({"code": "B"})))
        .await;
    for (token, decision) in rejected_decisions(stack) {
        recorder.problem(
            "resolveConflict",
            &stack.post(&path, &token, &decision).await,
        );
    }

    let decision = json!({"resolution": "accept_client", "expected_server_version": 2, "note": "asked Ana by phone"});
    let response = stack.post(&path, &root, &decision).await;
    recorder.record("resolveConflict", "decided", &response, 200);

    let path_of_several = "conflicts/resolve";
    let response = stack.post(path_of_several, &root, &bulk(conflict)).await;
    recorder.record("resolveConflicts", "decided", &response, 200);

    let late = json!({"resolution": "accept_server"});
    recorder.problem("resolveConflict", &stack.post(&path, &root, &late).await);
}

/// Returns decisions that are rejected, each for another reason, with the caller's token.
fn rejected_decisions(stack: &Stack) -> [(String, Value); 4] {
    let (ana, root) = (stack.token("acme", "ana", &[], &[]), scenario::admin(stack));
    let merge = |payload: Value| json!({"resolution": "manual_merge", "payload": payload});
    let deep = (0..70).fold(json!({}), |inner, _| json!({"a": inner}));
    [
        (ana, json!({"resolution": "accept_client"})),
        (
            root.clone(),
            json!({"resolution": "accept_client", "expected_server_version": 1}),
        ),
        (root.clone(), merge(json!({"code": "B"}))),
        (root, merge(deep)),
    ]
}
