//! Rows in the formats of earlier builds: conflicts keyed by tenant and id, audit entries keyed by
//! tenant and id, and deleted resources that still contain their last payload. They are listed,
//! joined, resolved and found by retries like current rows.

use serde_json::{Value, json};
use tidemark_core::model::{channel::Channel, ids, principal::Author, resource::ResourceKey};
use tidemark_tests::{Stack, noise, scenario::pages};

use super::{admin, audited, conflicted, meter, rejected, resolve, shown, stored};

/// Rewrites every conflict of Ana's phone about a meter into the format of earlier builds. Returns
/// their ids, in no particular order.
pub(crate) fn age_conflicts(stack: &Stack) -> Vec<String> {
    let mut ids = Vec::new();
    for row in stack.rows("conflicts") {
        delete_row(stack, "conflicts", &row);
        let Some(meter) = row["resource_id"]["S"].as_str() else {
            continue;
        };
        let id = legacy_id(meter, &row);
        let old = legacy_conflict(&row, &id);
        stack.dynamodb("PutItem", &json!({"TableName": "conflicts", "Item": old}));
        ids.push(id);
    }
    ids
}

fn delete_row(stack: &Stack, table: &str, row: &Value) {
    stack.dynamodb(
        "DeleteItem",
        &json!({"TableName": table, "Key": {"pk": row["pk"], "sk": row["sk"]}}),
    );
}

/// Returns the id of the first edit of a conflict.
fn first_edit(row: &Value) -> &str {
    row["edits"]["L"][0]["S"].as_str().expect("an edit")
}

/// Returns the id that earlier builds gave to a conflict of Ana's phone about a meter.
fn legacy_id(meter: &str, row: &Value) -> String {
    let key = ResourceKey {
        channel: Channel::Tenant,
        resource_type: "meter".into(),
        id: meter.into(),
    };
    let author = Author::device("ana", "phone");
    let prefix = ids::legacy_conflict_prefix("acme", &key, &author);
    format!("{prefix}{}", first_edit(row))
}

/// Returns a conflict's row in the format of earlier builds.
fn legacy_conflict(row: &Value, id: &str) -> Value {
    let mut old = row.clone();
    let status = row["status"]["S"].as_str().expect("a status");
    let detected_at = row["detected_at"]["S"]
        .as_str()
        .and_then(|text| text.split('#').next())
        .expect("a time");
    for (name, text) in [
        ("pk", "acme"),
        ("sk", id),
        ("id", id),
        ("device_key", "acme#ana#phone"),
        ("status_key", &format!("acme#{status}")),
        ("detected_at", detected_at),
        ("edit", first_edit(row)),
    ] {
        old[name] = json!({"S": text});
    }

    old["server_deleted"] = json!({"BOOL": row["server_deleted"]["BOOL"] == true});
    for name in ["server_payload", "base_version"] {
        old[name] = if row[name].is_null() {
            json!({"NULL": true})
        } else {
            row[name].clone()
        };
    }
    for name in [
        "newest",
        "siblings",
        "followed",
        "server_at",
        "server_bytes",
        "was",
        "was_part",
    ] {
        old.as_object_mut().expect("a row").remove(name);
    }
    old
}

#[tokio::test]
async fn legacy_conflicts_are_listed_and_joined() {
    let stack = Stack::new();
    conflicted(&stack, "m-1").await;
    rejected(&stack, meter("update", "m-1", 1, json!({"note": "joined"}))).await;
    let old = age_conflicts(&stack).remove(0);
    conflicted(&stack, "m-2").await;

    let list = stack.get("conflicts?limit=1", &admin(&stack)).await.ok();
    assert_eq!(list["conflicts"][0]["id"], old.as_str());
    let cursor = list["next_cursor"].as_str().expect("a cursor");
    let list = stack
        .get(&format!("conflicts?cursor={cursor}"), &admin(&stack))
        .await
        .ok();
    assert_eq!(
        (&list["conflicts"][0]["resource_id"], &list["next_cursor"]),
        (&json!("m-2"), &Value::Null)
    );

    // A further edit joins the conflict, and a retry of each of its edits finds it.
    assert_eq!(
        rejected(&stack, meter("update", "m-1", 1, json!({"note": "later"}))).await,
        old
    );
    assert_eq!(
        rejected(&stack, meter("update", "m-1", 1, json!({"note": "joined"}))).await,
        old
    );
    assert_eq!(
        rejected(&stack, meter("update", "m-1", 1, json!({"reading": 42}))).await,
        old
    );

    let whole = shown(&stack, &old).await;
    assert_eq!(
        (&whole["edit_count"], &whole["joined"][1]["client_payload"]),
        (&json!(3), &json!({"note": "later"}))
    );
}

#[tokio::test]
async fn legacy_conflicts_get_base_from_log() {
    let stack = Stack::new();
    conflicted(&stack, "m-1").await;
    let old = age_conflicts(&stack).remove(0);
    assert_eq!(shown(&stack, &old).await.get("base_payload"), None);

    stack.settle().await;
    let joined = meter("update", "m-1", 1, json!({"note": "later"}));
    let was = json!({"note": noise(2000, 1)});
    rejected(&stack, joined.with("was", was.clone())).await;
    let conflict = shown(&stack, &old).await;
    assert_eq!(
        [
            &conflict["base_payload"],
            &conflict["base_source"],
            &conflict["joined"][0]["was"]
        ],
        [&json!({"code": "m-1", "reading": 44}), &json!("log"), &was]
    );
}

#[tokio::test]
async fn legacy_conflicts_are_resolved_once() {
    let stack = Stack::new();
    conflicted(&stack, "m-1").await;
    rejected(&stack, meter("update", "m-1", 1, json!({"note": "joined"}))).await;
    let old = age_conflicts(&stack).remove(0);
    let decision = json!({"resolution": "accept_server"});
    let first = resolve(&stack, &old, &decision).await.ok();
    assert_eq!(resolve(&stack, &old, &decision).await.ok(), first);

    stack.settle().await;
    assert_eq!(stack.topic.published().len(), 1);
    let list = stack
        .get("conflicts?status=resolved", &admin(&stack))
        .await
        .ok();
    assert_eq!(list["conflicts"][0]["id"], old.as_str());

    // Another edit opens a new conflict. Retried edits of the old conflict still find the old one.
    let new = rejected(&stack, meter("update", "m-1", 2, json!({"note": "new"}))).await;
    assert_ne!(new, old);
    for fields in [json!({"note": "joined"}), json!({"reading": 42})] {
        let result = stack
            .device("ana", "phone")
            .push_one(meter("update", "m-1", 1, fields))
            .await;
        assert_eq!(
            (&result["conflict_id"], &result["resolution"]),
            (&json!(old), &json!("accept_server")),
            "{result}"
        );
    }
    assert_eq!(
        rejected(&stack, meter("update", "m-1", 2, json!({"note": "new"}))).await,
        new
    );
}

#[tokio::test]
async fn legacy_conflicts_count_for_their_device() {
    let stack = Stack::new();
    let mut ana = stack.device("ana", "phone");
    ana.pull().await;
    ana.ack().await.ok();

    conflicted(&stack, "m-1").await;
    conflicted(&stack, "m-2").await;
    let old = age_conflicts(&stack);
    conflicted(&stack, "m-3").await;
    resolve(&stack, &old[0], &json!({"resolution": "accept_server"}))
        .await
        .ok();

    let counted = stack.get("devices", &ana.token).await.ok()["devices"][0]["conflicts"].clone();
    assert_eq!(
        counted,
        json!({"open": 2, "unacknowledged": 1, "has_more": false})
    );
}

#[tokio::test]
async fn rejected_legacy_creates_stay_rejected() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    office
        .push_one(meter("create", "m-1", 0, json!({"code": "A"})))
        .await;
    let create = meter("create", "m-2", 0, json!({"code": "A"}));
    rejected(&stack, create.clone()).await;
    let old = age_conflicts(&stack).remove(0);

    office
        .push_one(meter("update", "m-1", 1, json!({"code": "B"})))
        .await;
    assert_eq!(
        rejected(&stack, create).await,
        old,
        "although the value is free now"
    );
}

/// Rewrites every audit entry into the format of earlier builds.
fn age_audit_entries(stack: &Stack) {
    for mut row in stack.rows("audit_log") {
        delete_row(stack, "audit_log", &row);
        let id = row["sk"]["S"]
            .as_str()
            .and_then(|sk| sk.strip_prefix("s#"))
            .expect("an entry")
            .to_owned();
        (row["pk"], row["sk"]) = (json!({"S": "acme"}), json!({"S": id}));
        stack.dynamodb("PutItem", &json!({"TableName": "audit_log", "Item": row}));
    }
}

/// Reads the audit log to its end in pages of this size, newest entry first.
async fn read_pages(stack: &Stack, limit: usize) -> Vec<Value> {
    let mut entries = Vec::new();
    for page in pages(stack, &format!("audit?limit={limit}")).await {
        entries.extend_from_slice(page.ok()["entries"].as_array().expect("entries"));
    }
    entries
}

#[tokio::test]
async fn legacy_audit_entries_are_merged() {
    let stack = Stack::new();
    for number in 0..6 {
        let id = conflicted(&stack, &format!("m-{number}")).await;
        resolve(&stack, &id, &json!({"resolution": "accept_server"}))
            .await
            .ok();
        stack.advance(chrono::Duration::seconds(1));
        if number == 2 {
            age_audit_entries(&stack);
        }
    }

    let about = |entries: &[Value]| {
        entries
            .iter()
            .map(|entry| entry["resource_id"].to_string())
            .collect::<Vec<_>>()
    };
    let expected: Vec<String> = (0..6).map(|number| format!("\"m-{number}\"")).collect();
    assert_eq!(about(&audited(&stack).await), expected);

    let newest: Vec<String> = expected.iter().rev().cloned().collect();
    for limit in 1..=4 {
        let seen = read_pages(&stack, limit).await;
        assert_eq!(about(&seen), newest, "pages of {limit}");
    }
}

/// Returns the row of the meter `id`.
fn row_of(stack: &Stack, id: &str) -> Value {
    stack
        .rows("resources")
        .into_iter()
        .find(|row| row["sk"]["S"] == format!("meter#{id}"))
        .expect("the row")
}

/// Rewrites the row of an existing meter as a deletion by an earlier build, with the payload in it.
fn age_deleted(stack: &Stack, id: &str) {
    let mut row = row_of(stack, id);
    row["deleted"] = json!({"BOOL": true});
    row["server_version"] = json!({"N": "2"});
    stack.dynamodb("PutItem", &json!({"TableName": "resources", "Item": row}));
}

/// Accepts a conflict with a legacy deletion of `m-1`, and asserts that the resource is restored
/// with its last payload.
async fn assert_restored(stack: &Stack, conflict: &str, note: &str) {
    resolve(stack, conflict, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    let (version, deleted, payload) = stored(stack, "m-1");
    assert_eq!(
        (version, deleted, payload.len()),
        (
            3,
            false,
            json!({"note": note, "reading": 1}).to_string().len()
        )
    );
}

/// Dismisses a conflict with a legacy deletion of `m-2`, and asserts that the resource stays
/// deleted and is rewritten in the current format.
async fn assert_rewritten(stack: &Stack, conflict: &str, note: &str) {
    let response = resolve(stack, conflict, &json!({"resolution": "accept_server"}))
        .await
        .ok();
    assert_eq!(
        (&response["server_deleted"], &response["server_payload"]),
        (&json!(true), &json!({"note": note}))
    );

    let row = row_of(stack, "m-2");
    assert!(
        row["payload"].is_null() && row.to_string().len() < 1000,
        "{row}"
    );
    let entries = audited(stack).await;
    let entry = entries
        .iter()
        .find(|entry| entry["resource_id"] == "m-2")
        .expect("an entry");
    assert_eq!(entry["after"]["payload"], json!({"note": note}));
}

#[tokio::test]
async fn legacy_deletions_keep_their_payload() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    let note = "n".repeat(5000);
    for id in ["m-1", "m-2"] {
        office
            .push_one(meter("create", id, 0, json!({"note": note})))
            .await;
        age_deleted(&stack, id);
    }

    stack.settle().await;
    let mut fresh = stack.device("ben", "phone");
    fresh.pull().await;
    assert!(fresh.live().is_empty());
    let accepted = rejected(&stack, meter("update", "m-1", 1, json!({"reading": 1}))).await;
    let kept = rejected(&stack, meter("update", "m-2", 1, json!({"reading": 1}))).await;
    assert_eq!(
        shown(&stack, &accepted).await["server_payload"],
        json!({"note": note})
    );

    assert_restored(&stack, &accepted, &note).await;
    assert_rewritten(&stack, &kept, &note).await;

    let later = rejected(&stack, meter("update", "m-2", 1, json!({"reading": 2}))).await;
    assert_eq!(
        shown(&stack, &later).await["server_payload"],
        json!({"note": note})
    );
    let response = resolve(&stack, &later, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    assert_eq!(
        response["server_payload"],
        json!({"note": note, "reading": 2})
    );
}
