//! Responses about batches and replays, and the views for admins.

use std::cmp::Reverse;

use chrono::Duration;
use serde_json::json;
use tidemark_core::model::ids::BatchId;
use tidemark_tests::{Stack, scenario};

use super::{BATCH, Recorder};

/// Records a batch and its replays.
pub(super) async fn batches(stack: &Stack, recorder: &mut Recorder) {
    let (ana, root) = (stack.token("acme", "ana", &[], &[]), scenario::admin(stack));
    let one = format!(
        "batches/{}",
        BatchId::derived("acme", "ana", "phone", BATCH)
    );
    recorder.record("readBatch", "batch", &stack.get(&one, &ana).await, 200);
    let invalid = stack.get(&format!("{one}?from=x"), &ana).await;
    recorder.problem("readBatch", &invalid);

    let replay = format!("{one}/replay");
    for (name, request) in [
        ("dry_run", json!({"dry_run": true})),
        ("replayed", json!({})),
    ] {
        stack.advance(Duration::seconds(1));
        let response = stack.post(&replay, &root, &request).await;
        recorder.record("replayBatch", name, &response, 200);
    }
    recorder.problem("replayBatch", &stack.post(&replay, &ana, &json!({})).await);
}

/// Records the views for admins and what they reject.
pub(super) async fn views(stack: &Stack, recorder: &mut Recorder) {
    audit(stack, recorder).await;
    status(stack, recorder).await;
    devices(stack, recorder).await;
    rejected_views(stack, recorder).await;
}

async fn audit(stack: &Stack, recorder: &mut Recorder) {
    let root = scenario::admin(stack);
    let mut audit = stack.get("audit", &root).await.ok();

    // A replay starts and ends at the same moment here, and ids of one moment sort at random.
    let entries = audit["entries"].as_array_mut().unwrap();
    entries.sort_by_key(|entry| {
        Reverse((
            entry["at"].to_string(),
            entry["action"] == "replay_finished",
        ))
    });
    recorder.add("readAudit", 200, "newest", audit);
}

async fn status(stack: &Stack, recorder: &mut Recorder) {
    let root = scenario::admin(stack);
    for (name, path) in [
        ("channels", "status"),
        ("compared", "status?channel=tenant"),
    ] {
        recorder.record("readStatus", name, &stack.get(path, &root).await, 200);
    }
}

async fn devices(stack: &Stack, recorder: &mut Recorder) {
    let (ana, ben) = (
        stack.token("acme", "ana", &[], &[]),
        stack.token("acme", "ben", &[], &[]),
    );
    let own = stack.get("devices", &ben).await;
    recorder.record("listDevices", "of_a_user", &own, 200);
    recorder.problem("listDevices", &stack.get("devices?user=ben", &ana).await);
}

/// Records the problems of callers without permission, and of invalid limits and cursors.
async fn rejected_views(stack: &Stack, recorder: &mut Recorder) {
    let (ana, root) = (stack.token("acme", "ana", &[], &[]), scenario::admin(stack));
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
        for parameter in ["limit=0", "cursor=cut"] {
            let response = stack.get(&format!("{path}{parameter}"), &root).await;
            recorder.problem(operation, &response);
        }
    }
}
