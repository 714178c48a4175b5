//! Replay of a batch, and the correction of one of its items: the admin sends the request again.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::http::Hook;
use tidemark_tests::{Item, Stack};

use super::{CrashScenario, dies_everywhere, dies_twice};
use crate::batches::{boss, correct, create, edit, push, replay};

/// Scenario: in a batch of Ana's phone, some items were applied, some conflicted, and a failed one
/// can succeed now.
struct Replay;

impl CrashScenario for Replay {
    type Facts = String;

    async fn prepare(&self, stack: &Stack) -> String {
        let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
        ben.push(json!([create("stale", "1"), edit("stale", 1, "ben's")]))
            .await;
        let batch = json!([
            create("mine", "1"),
            edit("mine", 1, "2"),
            edit("stale", 1, "ana's"),
            edit("missing", 1, "late"),
            edit("never", 1, "x")
        ]);
        let id = push(&ana, "b", &batch).await;
        ben.push_one(create("missing", "1")).await;
        id
    }

    async fn act(&self, stack: &Stack, _: Arc<dyn Hook>, id: &String) -> Value {
        let mut response = replay(stack, &boss(stack), id, &json!({})).await.ok();
        let statuses: Vec<_> = response["results"]
            .as_array_mut()
            .expect("results")
            .iter()
            .map(|it| it["status"].clone())
            .collect();
        assert_eq!(statuses, ["ok", "ok", "conflict", "ok", "error"]);
        response
    }

    fn exempt(&self, place: &str, mut things: Vec<Value>) -> Vec<Value> {
        // Each attempt adds to the log that it began, and an attempt that died after its last write
        // also that it ended: the next one finds nothing to do. The log must contain that the batch
        // was replayed, and the result.
        if place == "table audit_log" {
            let entries_of = |action: &str| {
                things
                    .iter()
                    .filter(|row| row["packed"]["action"] == action)
                    .count()
            };

            let (started, finished) = (entries_of("replay_started"), entries_of("replay_finished"));
            assert!(
                1 <= finished && finished <= started && started <= 3,
                "{started} began and {finished} ended"
            );

            things
                .iter_mut()
                .for_each(|row| drop(row["packed"]["before"].take()));
            things.sort_by_key(|row| row["packed"]["action"].to_string());
            things.dedup_by_key(|row| {
                (
                    row["packed"]["action"].clone(),
                    row["packed"]["after"].clone(),
                )
            });
        }
        things
    }
}

#[tokio::test(start_paused = true)]
async fn replay_survives_crashes() {
    assert!(
        dies_everywhere(&Replay).await >= 6,
        "batch, items, entry, rows, write, results"
    );
    dies_twice(&Replay).await;
}

/// Scenario: an item of a batch of Ana's phone was rejected because of its payload, and another one
/// could succeed now.
struct Correction;

impl CrashScenario for Correction {
    type Facts = String;

    async fn prepare(&self, stack: &Stack) -> String {
        let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
        ben.push(json!([create("m", "1"), edit("m", 1, "ben's")]))
            .await;
        let invalid = Item::new("meter", "update", 3).with("payload", json!([]));
        let batch = json!([edit("missing", 1, "late"), invalid]);
        let id = push(&ana, "b", &batch).await;
        ben.push_one(create("missing", "1")).await;
        id
    }

    async fn act(&self, stack: &Stack, _: Arc<dyn Hook>, id: &String) -> Value {
        let body = json!({"payload": {"id": "m", "text": "corrected"}, "base_version": 2});
        let response = correct(stack, &boss(stack), (id, 1), &body).await.ok();
        let result = &response["results"][0];
        assert_eq!(
            (&result["status"], &result["server_version"]),
            (&json!("ok"), &json!(3))
        );
        response
    }

    fn exempt(&self, place: &str, mut things: Vec<Value>) -> Vec<Value> {
        // Each attempt adds an entry before it runs the item. The result is added once, in the
        // transaction that stores it.
        if place == "table audit_log" {
            let is_result = |row: &Value| !row["packed"]["after"]["result"].is_null();
            let finished = things.iter().filter(|row| is_result(row)).count();
            assert_eq!(finished, 1, "{things:?}");
            assert!((2..=4).contains(&things.len()), "{things:?}");

            things.sort_by_key(is_result);
            things.dedup_by_key(|row| row["packed"]["after"].clone());
        }
        things
    }
}

#[tokio::test(start_paused = true)]
async fn correction_survives_crashes() {
    assert!(
        dies_everywhere(&Correction).await >= 6,
        "batch, items, entry, rows, write, result"
    );
    dies_twice(&Correction).await;
}
