//! Lists of few conflicts among many, of legacy conflicts, and of conflicts whose index was created
//! later.

use std::{collections::BTreeSet, sync::Arc};

use chrono::Duration;
use serde_json::{Value, json};
use tidemark::engine::http::NoHook;
use tidemark_core::model::{limits::CONFLICTS_SCANNED_MAX, time::timestamp};
use tidemark_tests::{Meter, Stack, hooks::ROUND_TRIP, scenario::pages};
use tokio::time::Instant;

use super::{admin, conflicted, conflicted_by, ids, resolve};
use crate::conflicts::legacy::age_conflicts;

/// Stores a copy of a conflict with this number, `number` milliseconds after the present, and these
/// attributes.
pub(in crate::conflicts) fn copy(stack: &Stack, row: &Value, number: usize, attributes: &Value) {
    let time = timestamp(stack.now() + Duration::milliseconds(number as i64));
    let mut row = row.clone();
    for (name, text) in [
        ("sk", format!("c#{number:016x}")),
        ("resource_id", format!("m-{number:04}")),
        ("detected_at", format!("{time}#{number:024x}")),
    ] {
        row[name] = json!({"S": text});
    }
    for (name, text) in attributes.as_object().expect("attributes") {
        row[name] = json!({"S": text});
    }
    stack.dynamodb("PutItem", &json!({"TableName": "conflicts", "Item": row}));
}

/// Returns the only stored conflict.
pub(in crate::conflicts) fn only_conflict(stack: &Stack) -> Value {
    let mut rows = stack.conflicts();
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

/// Returns the key of the index for another shard of the same status.
pub(in crate::conflicts) fn other_shard(row: &Value, by: u8) -> String {
    let key = row["status_key"]["S"].as_str().expect("a key");
    let (status, shard) = key.rsplit_once('#').expect("a shard");
    let shard: u8 = shard.parse().expect("a number");
    format!("{status}#{}", (shard + by) % 8)
}

#[tokio::test]
async fn sparse_list_misses_no_conflict() {
    let stack = Stack::new();
    conflicted(&stack, "first").await;
    let row = only_conflict(&stack);

    // The middle of the shard contains no conflict of the list, and another shard contains some.
    let count = 2 * CONFLICTS_SCANNED_MAX + 100;
    let listed = |number: usize| number < 5 || number >= count - 3;
    for number in 0..count {
        let code = if listed(number) {
            "id_taken"
        } else {
            "version_mismatch"
        };
        copy(&stack, &row, number, &json!({"code": code}));
    }
    let other = json!({"code": "id_taken", "pk": "acme#0", "status_key": other_shard(&row, 1)});
    let others: Vec<usize> = (0..12).map(|number| 90 * number + 7).collect();
    for number in &others {
        copy(&stack, &row, *number, &other);
    }

    let mut expected: Vec<String> = (0..count)
        .filter(|number| listed(*number))
        .chain(others)
        .map(|number| format!("m-{number:04}"))
        .collect();
    expected.sort();
    for order in ["oldest", "newest"] {
        for limit in [2, 200] {
            let path = format!("conflicts?code=id_taken&order={order}&limit={limit}");
            let pages = pages(&stack, &path).await;
            assert!(pages.len() >= 3, "{} pages", pages.len());

            let mut seen: Vec<String> = Vec::new();
            for page in &pages {
                seen.extend(ids(&page.ok()).into_iter().map(str::to_owned));
            }
            assert_eq!(seen, expected, "{path}");
        }
        expected.reverse();
    }
}

#[tokio::test]
async fn page_without_conflicts_has_a_cursor() {
    let stack = Stack::new();
    conflicted(&stack, "first").await;
    let row = only_conflict(&stack);
    for number in 0..=CONFLICTS_SCANNED_MAX {
        copy(&stack, &row, number, &json!({}));
    }

    let pages = pages(&stack, "conflicts?code=id_taken").await;
    let counts: Vec<usize> = pages.iter().map(|page| ids(&page.ok()).len()).collect();
    assert_eq!(counts, [0, 0]);

    // Without conditions, the list reads no more than the page needs.
    let page = stack.get("conflicts?limit=200", &admin(&stack)).await.ok();
    assert_eq!(ids(&page).len(), 200);
}

#[tokio::test]
async fn legacy_conflicts_of_one_time_are_listed() {
    let stack = Stack::new();
    for number in 1..=4 {
        let id = conflicted(&stack, &format!("m-{number}")).await;
        if number % 2 == 0 {
            let decision = json!({"resolution": "accept_server"});
            resolve(&stack, &id, &decision).await.ok();
        }
    }
    age_conflicts(&stack);
    conflicted(&stack, "m-5").await;

    let time = timestamp(stack.now());
    let from = format!("&detected_from={time}");
    let until = format!("&detected_until={time}");
    let (all, open) = (["m-1", "m-2", "m-3", "m-4", "m-5"], ["m-1", "m-3", "m-5"]);
    for (query, expected) in [
        ("&status=all", &all[..]),
        ("&status=all&type=meter&channel=tenant", &all[..]),
        ("&status=all&user=ana&device_id=phone", &all[..]),
        ("&status=open&code=version_mismatch", &open[..]),
        ("&status=resolved&resource_id=m-4", &["m-4"]),
        ("&status=all&user=ben", &[]),
        (&format!("&status=all{from}"), &all[..]),
        (&format!("&status=all{until}"), &[]),
    ] {
        for order in ["oldest", "newest"] {
            for limit in 1..=3 {
                let path = format!("conflicts?limit={limit}&order={order}{query}");
                let mut seen: Vec<String> = Vec::new();
                for page in pages(&stack, &path).await {
                    seen.extend(ids(&page.ok()).into_iter().map(str::to_owned));
                }
                seen.sort();
                assert_eq!(seen, expected, "{path}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn list_takes_three_round_trips() {
    let stack = Stack::hooked(Arc::new(Meter::default()));
    // The payload is stored apart from the conflict, and is small enough for a list.
    for id in ["m-1", "m-2"] {
        let fields = json!({"text": "t".repeat(5000), "id": id});
        conflicted_by(&stack, id, fields).await;
    }

    for query in [
        "",
        "?status=all",
        "?status=all&type=meter&user=ana&code=version_mismatch&order=newest",
        "?user=ana&device_id=phone&detected_from=2020-01-01T00:00:00Z",
    ] {
        let began = Instant::now();
        let list = stack
            .get(&format!("conflicts{query}"), &admin(&stack))
            .await
            .ok();
        let round_trips = began.elapsed().as_millis() / ROUND_TRIP.as_millis();
        assert_eq!(round_trips, 3, "{query}");

        let loaded: BTreeSet<bool> = list["conflicts"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|conflict| conflict["client_payload"].is_object())
            .collect();
        assert_eq!(loaded, BTreeSet::from([true]), "{query}");
    }
}

#[tokio::test]
async fn added_index_contains_stored_conflicts() {
    let stack = Stack::new();
    conflicted(&stack, "m-1").await;
    age_conflicts(&stack);
    conflicted(&stack, "m-2").await;
    let delete = json!({"Delete": {"IndexName": "by_status_listed"}});
    stack.dynamodb(
        "UpdateTable",
        &json!({"TableName": "conflicts", "GlobalSecondaryIndexUpdates": [delete]}),
    );

    let updated = stack.beside(Arc::new(NoHook));
    let list = updated
        .get("conflicts?type=meter&user=ana", &admin(&updated))
        .await
        .ok();
    assert_eq!(ids(&list), ["m-1", "m-2"]);
}
