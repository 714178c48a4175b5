//! `was` in an item, and the base of a conflict that it makes known (§5.1).

mod log;

use rstest::rstest;
use serde_json::{Value, json};
use tidemark_core::model::limits::WAS_BYTES_MAX;
use tidemark_tests::{Item, Stack, noise};

use super::{admin, meter, rejected, resolve, shown};
use crate::batches::{boss, push, replay};

/// The content of the meter `m-1` at version 1.
fn first_version() -> Value {
    json!({"code": "m-1", "reading": 44, "note": "front door"})
}

/// Creates the meter `m-1` and updates it to version 2, as the office.
async fn overtaken(stack: &Stack) {
    let office = stack.device("office", "pc");
    office
        .push_one(meter("create", "m-1", 0, first_version()))
        .await;
    office
        .push_one(meter("update", "m-1", 1, json!({"reading": 50})))
        .await;
}

/// Returns an update of version 1 of the meter `m-1`.
fn stale(patch: Value) -> Item {
    meter("update", "m-1", 1, patch)
}

/// Returns the base of a conflict and its source; `Null` for what is absent.
fn base(conflict: &Value) -> (Value, Value) {
    let field = |name: &str| conflict.get(name).cloned().unwrap_or_default();
    (field("base_payload"), field("base_source"))
}

const UNKNOWN: (Value, Value) = (Value::Null, Value::Null);

/// Pushes an update of version 1 of the meter `m-1` from Ana's phone, with these texts as `payload`
/// and `was`. Returns the id of the conflict.
async fn rejected_text(stack: &Stack, payload: &str, was: &str) -> String {
    let body = format!(
        r#"{{"device_id":"phone","client_sync_token":null,"items":[{{"resource_type":"meter",
        "action":"update","client_version":1,"base_version":1,"payload":{payload},"was":{was}}}]}}"#
    );
    let token = stack.token("acme", "ana", &[], &[]);
    let response = stack
        .post_bytes("sync/push", Some(&token), body.as_bytes())
        .await
        .ok();
    let result = &response["results"][0];
    assert_eq!(result["code"], "version_mismatch", "{result}");
    result["conflict_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn base_from_device_has_changed_fields() {
    let stack = Stack::new();
    overtaken(&stack).await;
    stack.settle().await;
    let id = rejected(
        &stack,
        stale(json!({"reading": 42, "added": true})).with("was", first_version()),
    )
    .await;

    let conflict = shown(&stack, &id).await;
    assert_eq!(base(&conflict), (json!({"reading": 44}), json!("device")));
    assert_eq!(conflict.get("base_payload_omitted"), None);

    let list = stack.get("conflicts", &admin(&stack)).await.ok();
    assert_eq!(base(&list["conflicts"][0]), UNKNOWN, "lists omit it");
}

#[tokio::test]
async fn joined_edits_extend_the_base() {
    let stack = Stack::new();
    overtaken(&stack).await;
    stack.settle().await;
    let id = rejected(
        &stack,
        stale(json!({"reading": 42, "added": 1})).with("was", json!({"reading": 44})),
    )
    .await;
    let was = json!({"reading": 42, "added": 1, "note": "front door"});
    let patch = json!({"reading": 43, "added": 2, "note": "in cellar"});
    rejected(&stack, stale(patch).with("was", was.clone())).await;

    let conflict = shown(&stack, &id).await;
    assert_eq!(
        base(&conflict),
        (
            json!({"reading": 44, "note": "front door"}),
            json!("device")
        )
    );
    assert_eq!(conflict["joined"][0]["was"], was);

    // The base is known from the edits only if each update has a `was`.
    rejected(&stack, stale(json!({"reading": 41}))).await;
    let conflict = shown(&stack, &id).await;
    assert_eq!(base(&conflict), (first_version(), json!("log")));
    assert_eq!(conflict["joined"][0]["was"], was);
    assert_eq!(conflict["joined"][1].get("was"), None);
}

#[rstest]
#[case::number("7")]
#[case::text(r#""reading""#)]
#[case::null("null")]
#[case::list("[44]")]
#[case::unpaired_surrogate(r#"{"reading":"\ud800"}"#)]
#[case::too_deep(format!(r#"{{"reading":{}{}}}"#, "[".repeat(64), "]".repeat(64)))]
#[case::too_large(format!(r#"{{"reading":"{}"}}"#, "x".repeat(WAS_BYTES_MAX - 13)))]
#[tokio::test]
async fn unusable_was_is_ignored(#[case] was: String) {
    let stack = Stack::new();
    overtaken(&stack).await;
    let id = rejected_text(&stack, r#"{"id":"m-1","reading":42}"#, &was).await;
    assert_eq!(base(&shown(&stack, &id).await), UNKNOWN);

    let rows = stack.conflicts();
    assert!(rows[0].get("was").is_none() && rows[0].get("was_part").is_none());
}

#[rstest]
#[case::repeated_fields(r#"{"reading":1,"reading":44,"id":"m-1"}"#)]
#[case::empty("{}")]
#[case::deepest(format!(r#"{{"reading":{}{}}}"#, "[".repeat(63), "]".repeat(63)))]
#[case::largest(format!(r#"{{"reading":"{}"}}"#, "x".repeat(WAS_BYTES_MAX - 14)))]
#[tokio::test]
async fn usable_was_is_stored(#[case] was: String) {
    let stack = Stack::new();
    overtaken(&stack).await;
    let id = rejected_text(&stack, r#"{"id":"m-1","reading":42}"#, &was).await;

    let mut expected: Value = serde_json::from_str(&was).expect("JSON");
    expected.as_object_mut().expect("an object").remove("id");
    assert_eq!(base(&shown(&stack, &id).await), (expected, json!("device")));
}

#[tokio::test]
async fn base_keeps_digits_and_order() {
    let stack = Stack::new();
    let token = stack.token("acme", "office", &[], &[]);
    let fields = r#""serial":9007199254740993,"reading":1.0"#;
    for (action, version, fields) in [("create", 0, fields), ("update", 1, r#""reading":5"#)] {
        let body = format!(
            r#"{{"device_id":"pc","client_sync_token":null,"items":[{{"resource_type":"meter",
            "action":"{action}","client_version":{version},"payload":{{"id":"m-1",{fields}}}}}]}}"#
        );
        let response = stack
            .post_bytes("sync/push", Some(&token), body.as_bytes())
            .await
            .ok();
        assert_eq!(response["results"][0]["status"], "ok", "{response}");
    }
    stack.settle().await;

    let patch = r#"{"id":"m-1","reading":2,"serial":3}"#;
    let id = rejected_text(&stack, patch, &format!("{{{fields}}}")).await;
    let shown = async |id: &str| {
        let path = format!("conflicts/{id}");
        stack.get(&path, &admin(&stack)).await.text
    };
    let text = shown(&id).await;
    let expected = format!(r#""base_payload":{{{fields}}},"base_source":"device""#);
    assert!(text.contains(&expected), "{text}");

    rejected_text(&stack, patch.replace('2', "4").as_str(), "null").await;
    let text = shown(&id).await;
    let expected = format!(r#""base_payload":{{{fields}}},"base_source":"log""#);
    assert!(text.contains(&expected), "{text}");
}

/// Pushes twelve edits of fields that no other edit changes, half of them with a large `was`.
/// Returns the conflict's id and the base.
async fn twelve_edits(stack: &Stack) -> (String, Value) {
    overtaken(stack).await;
    let mut known = json!({});
    let mut items = Vec::new();
    for number in 0..12_usize {
        let name = format!("field{number}");
        let before = noise(if number % 2 == 0 { 10 } else { 4000 }, number as u64);
        let item = stale(json!({ &name: number })).with("was", json!({ &name: before }));
        known[&name] = json!(before);
        items.push(item);
    }

    let results = stack.device("ana", "phone").push(json!(items)).await;
    let id = results[0]["conflict_id"].as_str().expect("an id");
    assert!(results.iter().all(|result| result["conflict_id"] == id));
    (id.to_owned(), known)
}

#[tokio::test]
async fn large_and_late_was_is_kept() {
    let stack = Stack::new();
    let (id, known) = twelve_edits(&stack).await;
    assert_eq!(base(&shown(&stack, &id).await), (known, json!("device")));
    assert!(
        stack.conflicts()[0].to_string().len() < 8000,
        "large ones are stored in rows of their own"
    );
}

/// Returns the row of `conflicts` that contains only the `was` of edits.
fn row_with_was(stack: &Stack) -> Value {
    let mut rows = stack.rows("conflicts");
    rows.retain(|row| {
        let sk = row["sk"]["S"].as_str().expect("a key");
        let name = sk.rsplit('#').next();
        sk.starts_with("p#") && name.is_some_and(|name| name.starts_with('w'))
    });
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

#[tokio::test]
async fn missing_row_with_was_is_tolerated() {
    let stack = Stack::new();
    let (id, _) = twelve_edits(&stack).await;
    let row = row_with_was(&stack);
    let key = json!({"pk": row["pk"], "sk": row["sk"]});
    stack.dynamodb("DeleteItem", &json!({"TableName": "conflicts", "Key": key}));

    let conflict = shown(&stack, &id).await;
    assert_eq!(
        (base(&conflict), &conflict["edit_count"]),
        (UNKNOWN, &json!(12))
    );
    assert!(conflict["joined"][0].get("was").is_none());
    assert!(conflict["joined"][1]["was"].is_object());
}

#[rstest]
#[case::wrong_type(json!({"L": []}))]
#[case::wrong_content(json!({"B": "AAAA"}))]
#[tokio::test]
async fn corrupt_was_is_treated_as_missing(#[case] packed: Value) {
    let stack = Stack::new();
    let (id, _) = twelve_edits(&stack).await;
    let (mut separate, mut inline) = (row_with_was(&stack), stack.conflicts().remove(0));
    assert!(inline["was"]["S"].is_string(), "that of the first edit");
    separate["packed"] = packed;
    inline["was"] = json!({"S": "{"});
    for row in [separate, inline] {
        stack.dynamodb("PutItem", &json!({"TableName": "conflicts", "Item": row}));
    }

    let conflict = shown(&stack, &id).await;
    assert_eq!(
        (base(&conflict), &conflict["edit_count"]),
        (UNKNOWN, &json!(12))
    );
    assert!(conflict["joined"][0].get("was").is_none());
    assert!(conflict["joined"][1]["was"].is_object());

    let decision = json!({"resolution": "accept_client"});
    resolve(&stack, &id, &decision).await.ok();
}

#[tokio::test]
async fn was_is_not_part_of_the_edit() {
    let stack = Stack::new();
    overtaken(&stack).await;
    let edit = stale(json!({"reading": 42}));
    let id = rejected(&stack, edit.clone().with("was", json!({"reading": 44}))).await;
    let before = stack.rows("conflicts");
    for repeated in [edit.clone().with("was", json!({"reading": 1})), edit] {
        assert_eq!(rejected(&stack, repeated).await, id);
    }
    assert_eq!(stack.rows("conflicts"), before, "a retry writes nothing");

    // It does not decide whether an edit is applied, either.
    let current = meter("update", "m-1", 2, json!({"reading": 51}));
    let result = stack
        .device("ben", "phone")
        .push_one(current.with("was", json!({"reading": "other"})))
        .await;
    assert_eq!(result["status"], "ok", "{result}");
}

#[tokio::test]
async fn replay_keeps_was() {
    let stack = Stack::new();
    let ana = stack.device("ana", "phone");
    let edit = stale(json!({"reading": 42})).with("was", json!({"reading": 44}));
    let batch = push(&ana, "b", &json!([edit])).await;
    overtaken(&stack).await;

    let response = replay(&stack, &boss(&stack), &batch, &json!({})).await.ok();
    let id = response["results"][0]["conflict_id"]
        .as_str()
        .expect("an id");
    assert_eq!(
        base(&shown(&stack, id).await),
        (json!({"reading": 44}), json!("device"))
    );
}

#[tokio::test]
async fn policy_conflict_keeps_was() {
    let catalog = "[meter]\nchannel = 'tenant'\nid_prefix = 'm'\npolicy = 'server_wins'";
    let stack = Stack::configured(&[("CATALOG", catalog)]);
    overtaken(&stack).await;
    let edit = stale(json!({"reading": 42})).with("was", json!({"reading": 44}));
    let id = rejected(&stack, edit).await;
    let conflict = shown(&stack, &id).await;
    assert_eq!(
        (&conflict["status"], base(&conflict)),
        (
            &json!("resolved"),
            (json!({"reading": 44}), json!("device"))
        )
    );
}
