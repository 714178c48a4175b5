//! `POST /batches/replay`: the replay of several batches, one after the other.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use tidemark::engine::{Reply, http::CallFate};
use tidemark_tests::{
    ApiResponse, Script, Stack,
    hooks::{Gate, Moment},
};

use super::{
    super::{boss, edit, everything, get, id_of, push, replay},
    audit, expected, outcomes, prepared, version,
};

async fn replay_many(stack: &Stack, token: &str, body: &Value) -> ApiResponse {
    stack.post("batches/replay", token, body).await
}

/// Returns the status of each batch.
fn statuses(response: &Value) -> Vec<Value> {
    let results = response["results"].as_array().expect("results");
    results
        .iter()
        .map(|result| result["status"].clone())
        .collect()
}

#[tokio::test]
async fn each_batch_gets_its_own_result() {
    let stack = Stack::new();
    let id = prepared(&stack).await;
    let late = push(
        &stack.device("eva", "tablet"),
        "late",
        &json!([edit("never", 1, "x")]),
    )
    .await;
    let missing = id_of("ana", "unknown");
    let ids = [missing.as_str(), &id, "no id", &late];

    let response = replay_many(&stack, &boss(&stack), &json!({"batch_ids": ids})).await;
    let response = response.ok();
    assert_eq!(
        statuses(&response),
        ["rejected", "replayed", "rejected", "replayed"]
    );
    let results = response["results"].as_array().expect("results");
    assert!(results.iter().zip(ids).all(|(it, id)| it["batch_id"] == id));
    assert_eq!(results[0]["problem"]["code"], "not_found");
    assert_eq!(outcomes(&results[1]["items"]), expected());
    assert_eq!(results[1]["items"][2].get("server_payload"), None);
    assert_eq!(results[3]["items"][0]["code"], "not_found");
    assert_eq!(version(&stack, "missing"), "2");

    let shown = get(&stack, &boss(&stack), &id).await.ok();
    assert_eq!(outcomes(&shown["results"]), expected());
    assert_audited(&stack, &response["bulk_id"], [&id, &late]);
}

#[tokio::test]
async fn repeated_bulk_replay_applies_nothing() {
    let stack = Stack::new();
    let body = json!({"batch_ids": [prepared(&stack).await]});
    for _ in 0..2 {
        let response = replay_many(&stack, &boss(&stack), &body).await.ok();
        assert_eq!(outcomes(&response["results"][0]["items"]), expected());
        assert_eq!(version(&stack, "missing"), "2");
    }
}

/// Checks that the audit log contains replays of these batches, with the id of the request.
fn assert_audited(stack: &Stack, bulk_id: &Value, batches: [&str; 2]) {
    for action in ["replay_started", "replay_finished"] {
        let entries = audit(stack, action);
        let audited: BTreeSet<_> = entries.iter().map(|it| it["batch_id"].as_str()).collect();
        assert_eq!(audited, batches.map(Some).into(), "{action}");
        let is_of_request = |entry: &Value| entry["bulk_id"] == *bulk_id;
        assert!(entries.iter().all(is_of_request), "{action}");
    }
}

#[tokio::test]
async fn dry_run_of_many_writes_nothing() {
    let stack = Stack::new();
    let id = prepared(&stack).await;
    let before = everything(&stack);
    let body = json!({"batch_ids": [id], "dry_run": true});
    let response = replay_many(&stack, &boss(&stack), &body).await.ok();
    assert_eq!(outcomes(&response["results"][0]["items"]), expected());
    assert_eq!(response["dry_run"], true);
    assert_eq!(everything(&stack), before);
}

#[tokio::test]
async fn contended_batch_does_not_stop_the_others() {
    let gate = Arc::new(Gate::new(|call| {
        call.operation == "TransactWriteItems"
            && String::from_utf8_lossy(call.body).contains("\"sync_batches\"")
    }));
    let stack = Stack::new();
    let id = prepared(&stack).await;
    let other = push(
        &stack.device("eva", "tablet"),
        "late",
        &json!([edit("missing", 1, "x")]),
    )
    .await;
    let slow = stack.beside(gate.clone());
    let token = boss(&stack);

    let first = async {
        gate.reached().await;
        replay(&stack, &token, &id, &json!({})).await.ok();
        gate.open();
    };
    let body = json!({"batch_ids": [id, other]});
    let (response, ()) = tokio::join!(replay_many(&slow, &token, &body), first);

    let response = response.ok();
    assert_eq!(statuses(&response), ["rejected", "replayed"]);
    assert_eq!(response["results"][0]["problem"]["code"], "contended");
}

#[tokio::test]
async fn batches_beyond_the_budget_are_deferred() {
    let stack = Stack::new();
    let text = "x".repeat(310_000);
    let mut ids = Vec::new();
    for number in 0..4 {
        let items: Vec<_> = (0..9)
            .map(|item| edit(&format!("m-{number}-{item}"), 1, &text))
            .collect();
        let device = stack.device("ana", "phone");
        ids.push(push(&device, &format!("b-{number}"), &json!(items)).await);
    }

    let body = json!({"batch_ids": ids});
    let response = replay_many(&stack, &boss(&stack), &body).await.ok();
    let deferred = json!({"batch_id": ids[3], "status": "deferred"});
    assert_eq!(
        statuses(&response),
        ["replayed", "replayed", "replayed", "deferred"]
    );
    assert_eq!(response["results"][3], deferred);
    assert_eq!(audit(&stack, "replay_started").len(), 3);

    let body = json!({"batch_ids": ids[3..]});
    let rest = replay_many(&stack, &boss(&stack), &body).await.ok();
    assert_eq!(statuses(&rest), ["replayed"]);
}

#[tokio::test(start_paused = true)]
async fn outage_defers_the_remaining_batches() {
    let stack = Stack::new();
    let (first, second) = (prepared(&stack).await, id_of("eva", "late"));
    let eva = stack.device("eva", "phone");
    let items = json!([edit("never", 1, "x")]);
    assert_eq!(push(&eva, "late", &items).await, second);

    // The raw items of Eva's batch cannot be read.
    let out = Script::new(|_, operation, body, moment| {
        let is_out = operation == "Query" && body.contains("acme#eva#phone#");
        match is_out && moment == Moment::Before {
            true => CallFate::Reply(Reply::error(400, "ThrottlingException", "slow down")),
            false => CallFate::Continue,
        }
    });
    let slow = stack.beside(Arc::new(out));
    let body = json!({"batch_ids": [first, second, id_of("ana", "unknown")]});
    let response = replay_many(&slow, &boss(&stack), &body).await.ok();
    assert_eq!(statuses(&response), ["replayed", "deferred", "deferred"]);

    let body = json!({"batch_ids": [second, first]});
    let response = replay_many(&slow, &boss(&stack), &body).await;
    assert_eq!(response.status, 503, "no batch was replayed before");
}

#[tokio::test]
async fn bulk_replay_validates_requests() {
    let stack = Stack::new();
    let id = prepared(&stack).await;
    let before = everything(&stack);

    let unknown = |count: usize| -> Vec<String> {
        (0..count)
            .map(|number| id_of("ana", &number.to_string()))
            .collect()
    };
    for (body, path) in [
        (json!({}), "$"),
        (json!({"batch_ids": []}), "batch_ids"),
        (json!({"batch_ids": unknown(11)}), "batch_ids"),
        (json!({"batch_ids": ["a", "b", "a"]}), "batch_ids[2]"),
        (
            json!({"batch_ids": ["a", "x".repeat(2049)]}),
            "batch_ids[1]",
        ),
        (json!({"batch_ids": [1]}), "batch_ids[0]"),
        (json!({"batch_ids": [id], "dry_run": 1}), "dry_run"),
    ] {
        let response = replay_many(&stack, &boss(&stack), &body).await;
        assert_eq!(
            (response.status, &response.json()["path"]),
            (400, &json!(path)),
            "{body}"
        );
    }

    let body = json!({"batch_ids": unknown(10)});
    let response = replay_many(&stack, &boss(&stack), &body).await.ok();
    assert_eq!(statuses(&response), ["rejected"; 10]);
    assert_eq!(everything(&stack), before);
}

#[tokio::test]
async fn bulk_replay_is_for_admins() {
    let stack = Stack::new();
    let id = prepared(&stack).await;
    let before = everything(&stack);
    let token = |tenant, user, roles: &[&str]| stack.token(tenant, user, roles, &[]);
    let body = json!({"batch_ids": [id]});
    for token in [
        token("acme", "ana", &["editor"]),
        token("acme", "vic", &["viewer"]),
    ] {
        assert_eq!(replay_many(&stack, &token, &body).await.status, 403);
    }
    let other = token("umbrella", "boss", &["admin"]);
    let response = replay_many(&stack, &other, &body).await.ok();
    assert_eq!(response["results"][0]["problem"]["code"], "not_found");
    assert_eq!(everything(&stack), before);
}
