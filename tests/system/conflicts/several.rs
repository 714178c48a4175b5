//! Consecutive conflicts of one device about one resource.

use serde_json::{Value, json};
use tidemark_core::model::limits::RESOLVED_CONFLICTS_MAX;
use tidemark_tests::{Item, Stack};

use super::{conflicted, meter, rejected, resolve, shown};

/// Updates the meter as the office and pushes a conflicting edit from Ana's phone that is based on
/// `base`. Returns the conflict's id.
async fn conflict_again(stack: &Stack, base: u64, number: u64) -> String {
    let office = stack.device("office", "pc");
    let version = stack.rows("resources")[0]["server_version"]["N"]
        .as_str()
        .expect("a number")
        .parse()
        .expect("a number");

    assert_eq!(
        office
            .push_one(meter("update", "m-1", version, json!({"by": number})))
            .await["status"],
        "ok"
    );

    rejected(
        stack,
        meter("update", "m-1", base, json!({"reading": 1000 + number})),
    )
    .await
}

#[tokio::test]
async fn each_conflict_is_found_by_its_edit() {
    let stack = Stack::new();
    let mut ids = vec![conflicted(&stack, "m-1").await];
    for number in 0..8 {
        resolve(
            &stack,
            ids.last().expect("one"),
            &json!({"resolution": "accept_server"}),
        )
        .await
        .ok();
        let base = stack.rows("resources")[0]["server_version"]["N"]
            .as_str()
            .expect("a number")
            .parse()
            .expect("a number");
        ids.push(conflict_again(&stack, base, number).await);
    }

    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 9, "each edit opened another conflict");

    // A retry of each edit finds the conflict that the edit opened.
    for number in 0..8 {
        let result = stack
            .device("ana", "phone")
            .push_one(meter(
                "update",
                "m-1",
                3 + 2 * number,
                json!({"reading": 1000 + number}),
            ))
            .await;
        let id = result["conflict_id"].as_str().expect("an id");
        assert!(ids.iter().any(|known| known == id), "{result}");
        assert_eq!(
            shown(&stack, id).await["client_payload"],
            json!({"reading": 1000 + number})
        );
        assert_eq!(result["resolution"].is_null(), number == 7, "{result}");
    }
}

#[tokio::test]
async fn edits_joined_to_earlier_conflict_are_found() {
    let stack = Stack::new();
    let first = conflicted(&stack, "m-1").await;
    assert_eq!(
        rejected(&stack, meter("update", "m-1", 1, json!({"note": "joined"}))).await,
        first
    );
    resolve(&stack, &first, &json!({"resolution": "accept_server"}))
        .await
        .ok();

    let mut second = String::new();
    for number in 0..=RESOLVED_CONFLICTS_MAX as u64 {
        let base = stack.rows("resources")[0]["server_version"]["N"]
            .as_str()
            .expect("a number")
            .parse()
            .expect("a number");
        second = conflict_again(&stack, base, number).await;
        resolve(&stack, &second, &json!({"resolution": "accept_server"}))
            .await
            .ok();
    }

    let result = stack
        .device("ana", "phone")
        .push_one(meter("update", "m-1", 1, json!({"note": "joined"})))
        .await;
    assert_eq!(
        (&result["conflict_id"], &result["resolution"]),
        (&json!(first), &json!("accept_server")),
        "{result}"
    );
    assert_ne!(first, second);
}

#[tokio::test]
async fn two_open_conflicts_resolve_independently() {
    let stack = Stack::new();
    let first = conflicted(&stack, "m-1").await;

    // It is based on the version that the first edit conflicted with, so it does not join that
    // conflict.
    let second = conflict_again(&stack, 2, 1).await;
    assert_ne!(first, second);
    assert_eq!(
        rejected(
            &stack,
            meter("update", "m-1", 2, json!({"note": "joins the second"}))
        )
        .await,
        second
    );

    resolve(&stack, &first, &json!({"resolution": "accept_server"}))
        .await
        .ok();
    stack.settle().await;
    resolve(&stack, &second, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    stack.settle().await;

    let third = conflict_again(&stack, 4, 2).await;
    stack.settle().await;
    assert_eq!(
        stack.topic.published().len(),
        2,
        "each decision is published once"
    );
    let listed = |status: &str| format!("conflicts?status={status}");
    let ids = async |status: &str| {
        let list = stack.get(&listed(status), &super::admin(&stack)).await.ok();
        list["conflicts"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|it| it["id"].clone())
            .collect::<Vec<Value>>()
    };
    assert_eq!(ids("open").await, [json!(third)]);
    let resolved = ids("resolved").await;
    assert!(
        resolved.len() == 2
            && resolved.contains(&json!(first))
            && resolved.contains(&json!(second)),
        "{resolved:?}"
    );
}

#[tokio::test]
async fn large_joined_edits_are_kept_whole() {
    let stack = Stack::new();
    let first = conflicted(&stack, "m-1").await;
    let text = |number: usize| format!("{number}-{}", "y".repeat(number * 400));
    let edits: Vec<Item> = (0..40)
        .map(|number| meter("update", "m-1", 1, json!({"text": text(number)})))
        .collect();

    let results = stack.device("ana", "phone").push(json!(edits)).await;
    assert!(
        results
            .iter()
            .all(|result| result["conflict_id"] == first.as_str()),
        "{results:?}"
    );

    let whole = shown(&stack, &first).await;
    for number in 0..40 {
        assert_eq!(
            whole["joined"][number]["client_payload"],
            json!({"text": text(number)})
        );
    }
    let row = stack.conflicts().remove(0);
    assert!(row.to_string().len() < 40_000, "{}", row.to_string().len());
}
