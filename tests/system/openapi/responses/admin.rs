//! Responses about batches and replays, and the views for admins.

use std::cmp::Reverse;

use chrono::Duration;
use serde_json::json;
use tidemark_core::model::ids::BatchId;
use tidemark_tests::{Device, Item, Stack, scenario};

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
    rejected_batch(stack, recorder).await;
}

/// Records the list of failed batches, the replay of one of them, and the correction of its item.
/// Nothing is written, so that the audit log does not change.
async fn rejected_batch(stack: &Stack, recorder: &mut Recorder) {
    let (ana, root) = (stack.token("acme", "ana", &[], &[]), scenario::admin(stack));
    let items = json!([
        Item::create("meter", "m-7", json!({"reading": 7})),
        Item::update("meter", "m-8", 1, json!({"reading": 8}))
    ]);
    let device = Device::new(stack, ana.clone(), "tablet");
    let pushed = device.push_batch("rejected", &items).await.ok();
    let id = pushed["batch_id"].as_str().unwrap();
    let failed = stack.get("batches?user=ana&device_id=tablet", &root).await;
    recorder.record("listBatches", "failed", &failed, 200);

    let batches = json!({"batch_ids": [id, "batch-unknown"], "dry_run": true});
    let replayed = stack.post("batches/replay", &root, &batches).await;
    recorder.record("replayBatches", "dry_run", &replayed, 200);
    let forbidden = stack.post("batches/replay", &ana, &batches).await;
    recorder.problem("replayBatches", &forbidden);

    let correction =
        json!({"payload": {"id": "m-7", "reading": 8}, "base_version": 1, "dry_run": true});
    let path = |index: usize| format!("batches/{id}/items/{index}/correct");
    let corrected = stack.post(&path(1), &root, &correction).await;
    recorder.record("correctItem", "dry_run", &corrected, 200);
    recorder.problem(
        "correctItem",
        &stack.post(&path(1), &ana, &correction).await,
    );
    recorder.problem(
        "correctItem",
        &stack.post(&path(0), &root, &correction).await,
    );
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
        ("summarizeConflicts", "conflicts/summary"),
        ("listBatches", "batches"),
        ("readAudit", "audit"),
        ("readStatus", "status"),
    ] {
        recorder.problem(operation, &stack.get(path, &ana).await);
    }

    for (operation, path) in [
        ("listConflicts", "conflicts?"),
        ("listBatches", "batches?"),
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
