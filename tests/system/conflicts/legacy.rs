//! Rows as earlier builds wrote them: conflicts under `tenant` / id, audit entries under `tenant` /
//! id, deleted resources with their last payload. They are listed, joined, decided and repeated
//! like others.

use serde_json::{Value, json};
use tidemark_core::{channel::Channel, ids, principal::Author, resource::ResourceKey};
use tidemark_tests::Stack;

use super::{admin, audited, conflicted, item, rejected, resolve, shown, stored};

/// Rewrites every conflict of Ana's phone about a meter into the form of earlier builds; gives
/// their ids, in no order.
pub(crate) fn age_conflicts(stack: &Stack) -> Vec<String> {
    let mut ids = Vec::new();
    for row in stack.rows("conflicts") {
        stack.dynamodb(
            "DeleteItem",
            &json!({"TableName": "conflicts", "Key": {"pk": row["pk"], "sk": row["sk"]}}),
        );
        let Some(meter) = row["resource_id"]["S"].as_str() else {
            continue;
        };
        let key = ResourceKey {
            channel: Channel::Tenant,
            resource_type: "meter".into(),
            id: meter.into(),
        };
        let edit = row["edits"]["L"][0]["S"].as_str().expect("an edit");
        let id = format!(
            "{}{edit}",
            ids::legacy_conflict_prefix("acme", &key, &Author::device("ana", "phone"))
        );
        let mut old = row.clone();
        let detected_at = row["detected_at"]["S"]
            .as_str()
            .and_then(|text| text.split('#').next())
            .expect("a time");
        for (name, text) in [
            ("pk", "acme"),
            ("sk", &id),
            ("id", &id),
            ("device_key", "acme#ana#phone"),
            (
                "status_key",
                &format!("acme#{}", row["status"]["S"].as_str().expect("a status")),
            ),
            ("detected_at", detected_at),
            ("edit", edit),
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
        for name in ["newest", "others", "followed", "server_at", "server_bytes"] {
            old.as_object_mut().expect("a row").remove(name);
        }
        stack.dynamodb("PutItem", &json!({"TableName": "conflicts", "Item": old}));
        ids.push(id);
    }
    ids
}

#[tokio::test]
async fn conflicts_of_earlier_builds_are_listed_and_joined() {
    let stack = Stack::new();
    conflicted(&stack, "m-1").await;
    rejected(&stack, item("update", "m-1", 1, json!({"note": "joined"}))).await;
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
    // A further edit joins, and each that stands in it is answered with it again.
    assert_eq!(
        rejected(&stack, item("update", "m-1", 1, json!({"note": "later"}))).await,
        old
    );
    assert_eq!(
        rejected(&stack, item("update", "m-1", 1, json!({"note": "joined"}))).await,
        old
    );
    assert_eq!(
        rejected(&stack, item("update", "m-1", 1, json!({"reading": 42}))).await,
        old
    );
    let whole = shown(&stack, &old).await;
    assert_eq!(
        (&whole["edit_count"], &whole["joined"][1]["client_payload"]),
        (&json!(3), &json!({"note": "later"}))
    );
}

#[tokio::test]
async fn conflicts_of_earlier_builds_are_decided_once() {
    let stack = Stack::new();
    conflicted(&stack, "m-1").await;
    rejected(&stack, item("update", "m-1", 1, json!({"note": "joined"}))).await;
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
    // Another edit opens a conflict of its own, behind which the old one is still known.
    let new = rejected(&stack, item("update", "m-1", 2, json!({"note": "new"}))).await;
    assert_ne!(new, old);
    for fields in [json!({"note": "joined"}), json!({"reading": 42})] {
        let result = stack
            .device("ana", "phone")
            .push_one(item("update", "m-1", 1, fields))
            .await;
        assert_eq!(
            (&result["conflict_id"], &result["resolution"]),
            (&json!(old), &json!("accept_server")),
            "{result}"
        );
    }
    assert_eq!(
        rejected(&stack, item("update", "m-1", 2, json!({"note": "new"}))).await,
        new
    );
}

#[tokio::test]
async fn old_conflicts_count_for_their_device() {
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
async fn refused_creates_of_earlier_builds_stay_refused() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    office
        .push_one(item("create", "m-1", 0, json!({"code": "A"})))
        .await;
    let create = item("create", "m-2", 0, json!({"code": "A"}));
    rejected(&stack, create.clone()).await;
    let old = age_conflicts(&stack).remove(0);
    office
        .push_one(item("update", "m-1", 1, json!({"code": "B"})))
        .await;
    assert_eq!(
        rejected(&stack, create).await,
        old,
        "though the value is free by now"
    );
}

#[tokio::test]
async fn audit_entries_of_earlier_builds_are_merged() {
    let stack = Stack::new();
    for number in 0..6 {
        let id = conflicted(&stack, &format!("m-{number}")).await;
        resolve(&stack, &id, &json!({"resolution": "accept_server"}))
            .await
            .ok();
        stack.advance(chrono::Duration::seconds(1));
        if number == 2 {
            for mut row in stack.rows("audit_log") {
                stack.dynamodb(
                    "DeleteItem",
                    &json!({"TableName": "audit_log", "Key": {"pk": row["pk"], "sk": row["sk"]}}),
                );
                let id = row["sk"]["S"]
                    .as_str()
                    .and_then(|sk| sk.strip_prefix("s#"))
                    .expect("an entry")
                    .to_owned();
                (row["pk"], row["sk"]) = (json!({"S": "acme"}), json!({"S": id}));
                stack.dynamodb("PutItem", &json!({"TableName": "audit_log", "Item": row}));
            }
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
    for limit in 1..=4 {
        let (mut seen, mut query) = (Vec::new(), format!("audit?limit={limit}"));
        loop {
            let page = stack.get(&query, &admin(&stack)).await.ok();
            seen.extend(page["entries"].as_array().expect("entries").clone());
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            query = format!("audit?limit={limit}&cursor={cursor}");
        }
        let newest: Vec<String> = expected.iter().rev().cloned().collect();
        assert_eq!(about(&seen), newest, "pages of {limit}");
    }
}

/// Rewrites the row of a meter that is there into that of one which an earlier build deleted.
fn age_deleted(stack: &Stack, id: &str) {
    let rows = stack.rows("resources").into_iter();
    let mut row = rows
        .into_iter()
        .find(|row| row["sk"]["S"] == format!("meter#{id}"))
        .expect("the row");
    row["deleted"] = json!({"BOOL": true});
    row["server_version"] = json!({"N": "2"});
    stack.dynamodb("PutItem", &json!({"TableName": "resources", "Item": row}));
}

#[tokio::test]
async fn resources_deleted_by_earlier_builds_keep_their_payload() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    let note = "n".repeat(5000);
    for id in ["m-1", "m-2"] {
        office
            .push_one(item("create", id, 0, json!({"note": note})))
            .await;
        age_deleted(&stack, id);
    }
    stack.settle().await;
    let mut fresh = stack.device("ben", "phone");
    fresh.pull().await;
    assert!(fresh.live().is_empty());
    let accepted = rejected(&stack, item("update", "m-1", 1, json!({"reading": 1}))).await;
    let kept = rejected(&stack, item("update", "m-2", 1, json!({"reading": 1}))).await;
    assert_eq!(
        shown(&stack, &accepted).await["server_payload"],
        json!({"note": note})
    );
    resolve(&stack, &accepted, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    let (version, deleted, payload) = stored(&stack, "m-1");
    assert_eq!(
        (version, deleted, payload.len()),
        (
            3,
            false,
            json!({"note": note, "reading": 1}).to_string().len()
        )
    );
    // One that stays deleted is written in the form of this build.
    let told = resolve(&stack, &kept, &json!({"resolution": "accept_server"}))
        .await
        .ok();
    assert_eq!(
        (&told["server_deleted"], &told["server_payload"]),
        (&json!(true), &json!({"note": note}))
    );
    let row = stack
        .rows("resources")
        .into_iter()
        .find(|row| row["sk"]["S"] == "meter#m-2")
        .expect("the row");
    assert!(
        row["payload"].is_null() && row.to_string().len() < 1000,
        "{row}"
    );
    let entries = audited(&stack).await;
    let entry = entries
        .iter()
        .find(|entry| entry["resource_id"] == "m-2")
        .expect("an entry");
    assert_eq!(entry["after"]["payload"], json!({"note": note}));
    let later = rejected(&stack, item("update", "m-2", 1, json!({"reading": 2}))).await;
    assert_eq!(
        shown(&stack, &later).await["server_payload"],
        json!({"note": note})
    );
    let told = resolve(&stack, &later, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    assert_eq!(told["server_payload"], json!({"note": note, "reading": 2}));
}
