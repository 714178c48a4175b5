//! The base of a conflict whose edits lack `was` (§5.1): from the change log, from the conflict, or
//! unknown.

use rstest::rstest;
use serde_json::{Value, json};
use tidemark_core::model::limits::BASE_SEGMENTS_MAX;
use tidemark_tests::{
    Item, Stack,
    scenario::{self, member_of_north},
};

use super::{
    super::{admin, meter, rejected, shown},
    UNKNOWN, base, first_version, overtaken, stale,
};

#[tokio::test]
async fn base_from_log_is_complete() {
    let stack = Stack::new();
    overtaken(&stack).await;
    let id = rejected(&stack, stale(json!({"reading": 42}))).await;
    assert_eq!(base(&shown(&stack, &id).await), UNKNOWN, "not in the log");

    stack.settle().await;
    let from_log = (first_version(), json!("log"));
    assert_eq!(base(&shown(&stack, &id).await), from_log);
    scenario::resolve(&stack, &json!(id), &json!({"resolution": "accept_client"}))
        .await
        .ok();
    stack.settle().await;
    assert_eq!(base(&shown(&stack, &id).await), from_log, "once resolved");

    scenario::expire_log(&stack);
    assert_eq!(base(&shown(&stack, &id).await), UNKNOWN, "expired");
}

#[tokio::test]
async fn base_of_deleted_resource_is_shown() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    office
        .push_one(meter("create", "m-1", 0, json!({"reading": 44})))
        .await;
    office
        .push_one(meter("update", "m-1", 1, json!({"reading": 50})))
        .await;
    office.push_one(meter("delete", "m-1", 2, json!({}))).await;
    stack.settle().await;

    let id = rejected(&stack, stale(json!({"reading": 42}))).await;
    let conflict = shown(&stack, &id).await;
    assert_eq!(conflict["server_deleted"], true);
    assert_eq!(base(&conflict), (json!({"reading": 44}), json!("log")));
}

#[tokio::test]
async fn current_version_is_base_without_log() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    for id in ["A", "B"] {
        let create = meter("create", id, 0, json!({"code": id}));
        office.push_one(create).await;
    }

    let taken = meter("update", "B", 1, json!({"code": "A"}));
    let conflict = shown(&stack, &rejected(&stack, taken).await).await;
    assert_eq!(conflict["code"], "unique_violation");
    assert_eq!(base(&conflict), (json!({"code": "B"}), json!("log")));

    // A create has no base.
    let create = meter("create", "C", 0, json!({"code": "A"}));
    let create = create.with("was", json!({"code": "C"}));
    let conflict = shown(&stack, &rejected(&stack, create).await).await;
    assert_eq!(base(&conflict), UNKNOWN);
}

#[tokio::test]
async fn base_in_left_group_is_hidden() {
    let stack = Stack::new();
    let task = |action: &str, version: u64, title: &str| {
        let task = Item::new("task", action, version).base(version);
        let task = task.payload(json!({"title": title})).id("n-1");
        task.channel("group/north")
    };
    let lead = member_of_north(&stack, "lead");
    lead.push_one(task("create", 0, "one")).await;
    lead.push_one(task("update", 1, "two")).await;
    let ana = member_of_north(&stack, "ana");
    let result = ana.push_one(task("update", 1, "three")).await;
    let path = format!(
        "conflicts/{}",
        result["conflict_id"].as_str().expect("an id")
    );
    stack.settle().await;

    let left = stack.token("acme", "ana", &[], &[]);
    let known = (json!({"title": "one"}), json!("log"));
    for (reader, token, expected) in [
        ("a member", ana.token.clone(), known.clone()),
        ("a former member", left, UNKNOWN),
        ("an admin", admin(&stack), known.clone()),
        (
            "a viewer",
            stack.token("acme", "vic", &["viewer"], &[]),
            known,
        ),
    ] {
        let conflict = stack.get(&path, &token).await.ok();
        assert_eq!(base(&conflict), expected, "{reader}");
    }
}

#[rstest]
#[case::wrong_type(json!({"L": []}))]
#[case::wrong_content(json!({"B": "AAAA"}))]
#[tokio::test]
async fn base_behind_corrupt_segment_is_unknown(#[case] entries: Value) {
    let stack = Stack::new();
    overtaken(&stack).await;
    stack.settle().await;
    let id = rejected(&stack, stale(json!({"reading": 42}))).await;
    let other = meter("create", "m-2", 0, json!({}));
    stack.device("office", "pc").push_one(other).await;
    stack.settle().await;
    let known = (first_version(), json!("log"));
    assert_eq!(base(&shown(&stack, &id).await), known);

    let newest = |row: &Value| row["sk"]["S"].as_str().map(str::to_owned);
    let mut row = stack.segments().into_iter().max_by_key(newest);
    let row = row.as_mut().expect("a segment");
    row["entries"] = entries;
    stack.dynamodb("PutItem", &json!({"TableName": "changes", "Item": row}));

    let conflict = shown(&stack, &id).await;
    assert_eq!(
        (base(&conflict), &conflict["status"]),
        (UNKNOWN, &json!("open"))
    );
}

#[rstest]
#[case::last_read_segment(BASE_SEGMENTS_MAX - 1, true)]
#[case::first_unread_segment(BASE_SEGMENTS_MAX, false)]
#[tokio::test]
async fn base_search_has_bound(#[case] segments_after: usize, #[case] is_found: bool) {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    office
        .push_one(meter("create", "m-1", 0, first_version()))
        .await;
    stack.settle().await;
    for number in 0..segments_after {
        let other = meter("create", &format!("other-{number}"), 0, json!({}));
        office.push_one(other).await;
        stack.settle().await;
    }
    assert_eq!(stack.segments().len(), segments_after + 1);

    office
        .push_one(meter("update", "m-1", 1, json!({"reading": 50})))
        .await;
    let id = rejected(&stack, stale(json!({"reading": 42}))).await;
    let expected = if is_found {
        (first_version(), json!("log"))
    } else {
        UNKNOWN
    };
    assert_eq!(base(&shown(&stack, &id).await), expected);
}
