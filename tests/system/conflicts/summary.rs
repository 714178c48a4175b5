//! `GET /conflicts/summary`: the number of open conflicts.

use std::sync::Arc;

use chrono::Duration;
use serde_json::{Value, json};
use tidemark_core::model::{limits::CONFLICTS_COUNTED_MAX, time::timestamp};
use tidemark_tests::{Item, Meter, Stack, hooks::ROUND_TRIP};
use tokio::time::Instant;

use super::{
    admin, conflicted,
    legacy::age_conflicts,
    list::sparse::{copy, only_conflict, other_shard},
    resolve,
};

async fn summary(stack: &Stack) -> Value {
    stack.get("conflicts/summary", &admin(stack)).await.ok()
}

#[tokio::test]
async fn tenant_without_conflicts_has_empty_summary() {
    let stack = Stack::new();
    let open = json!({"count": 0, "has_more": false, "oldest_at": null, "by": []});
    assert_eq!(
        summary(&stack).await,
        json!({"as_of": timestamp(stack.now()), "open": open})
    );
}

#[tokio::test]
async fn conflicts_are_counted_by_type_and_code() {
    let stack = Stack::new();
    let resolved = conflicted(&stack, "m-0").await;
    resolve(&stack, &resolved, &json!({"resolution": "accept_server"}))
        .await
        .ok();
    stack.advance(Duration::seconds(1));

    let oldest_at = timestamp(stack.now());
    conflicted(&stack, "m-1").await;
    // One of the conflicts is in the format of earlier builds.
    age_conflicts(&stack);
    stack.advance(Duration::seconds(1));
    conflicted(&stack, "m-2").await;

    let create = |id: &str| Item::create("meter", id, json!({"code": "A"}));
    stack.device("office", "pc").push_one(create("m-3")).await;
    let taken = stack.device("ben", "phone").push_one(create("m-4")).await;
    assert_eq!(taken["code"], "unique_violation", "{taken}");

    let by = json!([
        {"resource_type": "meter", "code": "version_mismatch", "count": 2},
        {"resource_type": "meter", "code": "unique_violation", "count": 1},
    ]);
    assert_eq!(
        summary(&stack).await["open"],
        json!({"count": 3, "has_more": false, "oldest_at": oldest_at, "by": by})
    );

    let stranger = stack.token("other", "root", &["admin"], &[]);
    let others = stack.get("conflicts/summary", &stranger).await.ok();
    assert_eq!(others["open"]["count"], 0);
    let user = stack.token("acme", "ana", &[], &[]);
    let rejected = stack.get("conflicts/summary", &user).await;
    assert_eq!(
        (rejected.status, &rejected.json()["code"]),
        (403, &json!("forbidden"))
    );
}

/// Stores conflicts up to this number, in as many shards, beside the stored one.
fn fill(stack: &Stack, row: &Value, numbers: std::ops::Range<usize>, shards: u8) {
    for number in numbers {
        let shard = (number % usize::from(shards)) as u8;
        let attributes = json!({
            "pk": format!("acme#{shard}"),
            "status_key": other_shard(row, shard),
        });
        copy(stack, row, number, &attributes);
    }
}

#[tokio::test]
async fn summary_counts_up_to_its_maximum() {
    for shards in [1, 4, 8] {
        let stack = Stack::new();
        conflicted(&stack, "first").await;
        let row = only_conflict(&stack);
        let oldest_at = json!(timestamp(stack.now()));

        fill(&stack, &row, 1..CONFLICTS_COUNTED_MAX, shards);
        for (count, has_more) in [
            (CONFLICTS_COUNTED_MAX, false),
            (CONFLICTS_COUNTED_MAX, true),
        ] {
            let open = summary(&stack).await["open"].take();
            assert_eq!(
                (&open["count"], &open["has_more"], &open["oldest_at"]),
                (&json!(count), &json!(has_more), &oldest_at),
                "{shards} shards"
            );
            assert_eq!(open["by"][0]["count"], json!(count));

            let next = CONFLICTS_COUNTED_MAX..CONFLICTS_COUNTED_MAX + 1;
            fill(&stack, &row, next, shards);
        }
    }
}

#[tokio::test]
async fn undecodable_conflict_is_not_counted() {
    let stack = Stack::new();
    conflicted(&stack, "first").await;
    let row = only_conflict(&stack);
    copy(&stack, &row, 1, &json!({"code": "unheard_of"}));
    copy(&stack, &row, 2, &json!({"resource_type": "task"}));

    let open = summary(&stack).await["open"].take();
    let by = json!([
        {"resource_type": "meter", "code": "version_mismatch", "count": 1},
        {"resource_type": "task", "code": "version_mismatch", "count": 1},
    ]);
    assert_eq!((&open["count"], &open["by"]), (&json!(2), &by));
}

#[tokio::test(start_paused = true)]
async fn summary_takes_two_round_trips() {
    let stack = Stack::hooked(Arc::new(Meter::default()));
    conflicted(&stack, "first").await;
    let row = only_conflict(&stack);
    let took = async |round_trips: u128| {
        let began = Instant::now();
        summary(&stack).await;
        let elapsed = began.elapsed().as_millis() / ROUND_TRIP.as_millis();
        assert_eq!(elapsed, round_trips);
    };

    took(1).await;
    fill(&stack, &row, 1..400, 1);
    took(2).await;
}
