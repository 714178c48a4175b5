//! Replayed edits that conflict: they join the conflict of their device, or their policy resolves
//! them.

use serde_json::json;
use tidemark_tests::Stack;

use super::{
    super::{boss, create, edit, push, replay},
    outcomes,
};
use crate::conflicts::legacy::age_conflicts;

#[tokio::test]
async fn replayed_conflict_joins_the_open_conflict() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let id = push(&ana, "b", &json!([edit("stale", 1, "too early")])).await;
    ben.push(json!([create("stale", "1"), edit("stale", 1, "ben's")]))
        .await;
    let conflict = ana.push_one(edit("stale", 1, "ana's")).await["conflict_id"].clone();
    let results = replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"].clone();
    assert_eq!(
        (outcomes(&results), &results[0]["conflict_id"]),
        (vec![(json!("conflict"), json!(2))], &conflict)
    );
    let rows = stack.conflicts();
    assert_eq!((rows.len(), &rows[0]["edit_count"]["N"]), (1, &json!("2")));
}

#[tokio::test]
async fn replayed_conflict_joins_a_legacy_conflict() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ben.push(json!([create("m", "1"), edit("m", 1, "ben's")]))
        .await;
    let id = push(
        &ana,
        "b",
        &json!([edit("m", 1, "ana's"), edit("missing", 1, "late")]),
    )
    .await;

    let old = age_conflicts(&stack).remove(0);
    let results = replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"].clone();
    assert_eq!(
        (&results[0]["status"], &results[0]["conflict_id"]),
        (&json!("conflict"), &json!(old))
    );
    assert_eq!(stack.conflicts().len(), 1);
}

#[tokio::test]
async fn replayed_edit_that_wins_is_recorded() {
    let catalog = "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\npolicy = 'client_wins'";
    let stack = Stack::configured(&[("CATALOG", catalog)]);
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let id = push(&ana, "b", &json!([edit("missing", 1, "late")])).await;
    ben.push(json!([create("missing", "1"), edit("missing", 1, "ben's")]))
        .await;
    let results = replay(&stack, &boss(&stack), &id, &json!({})).await.ok()["results"].clone();
    assert_eq!(outcomes(&results), [(json!("ok"), json!(3))]);
    assert_eq!(results[0]["resolution"], "accept_client");
    assert_eq!(stack.conflicts().len(), 1);
}
