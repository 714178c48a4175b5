//! `GET /audit`: who decided what, when, and what stood before and after.

use std::collections::BTreeSet;

use chrono::Duration;
use serde_json::{Value, json};
use tidemark_tests::{Script, Stack, hooks::Moment, permissions::granted};

use super::{admin, audited, conflicted, conflicted_by, item, noise, rejected, resolve};

async fn entries(stack: &Stack, query: &str) -> Value {
    stack
        .get(&format!("audit{query}"), &admin(stack))
        .await
        .ok()
}

fn about(list: &Value) -> Vec<&str> {
    list["entries"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it["resource_id"].as_str().expect("an id"))
        .collect()
}

/// Conflicts about these meters, decided a second after the other.
async fn decided(stack: &Stack, ids: &[String]) {
    for id in ids {
        let conflict = conflicted(stack, id).await;
        resolve(stack, &conflict, &json!({"resolution": "accept_client"}))
            .await
            .ok();
        stack.advance(Duration::seconds(1));
    }
}

#[tokio::test]
async fn the_audit_log_tells_who_decided_what_and_what_stood_before_and_after() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    resolve(
        &stack,
        &id,
        &json!({"resolution": "accept_client", "note": "Ana was there"}),
    )
    .await
    .ok();
    let entry = &audited(&stack).await[0];
    assert_eq!(
        *entry,
        json!({
            "id": entry["id"], "at": entry["at"], "action": "conflict_resolved", "by": "root", "via": "api", "user": "ana",
            "device_id": "phone", "conflict_id": id, "channel": "tenant", "resource_type": "meter", "resource_id": "m-1",
            "resolution": "accept_client", "note": "Ana was there",
            "before": {"server_version": 2, "deleted": false, "payload": {"code": "m-1", "reading": 50}},
            "after": {"server_version": 3, "deleted": false, "payload": {"code": "m-1", "reading": 42}},
        })
    );
}

#[tokio::test]
async fn entries_come_newest_first_or_oldest_first() {
    let stack = Stack::new();
    let ids: Vec<String> = (1..=3).map(|number| format!("m-{number}")).collect();
    decided(&stack, &ids).await;
    assert_eq!(about(&entries(&stack, "").await), ["m-3", "m-2", "m-1"]);
    assert_eq!(
        about(&entries(&stack, "?order=newest").await),
        ["m-3", "m-2", "m-1"]
    );
    assert_eq!(
        about(&entries(&stack, "?order=oldest").await),
        ["m-1", "m-2", "m-3"]
    );
}

#[tokio::test]
async fn a_cursor_leads_through_the_whole_log() {
    let stack = Stack::new();
    let ids: Vec<String> = (1..=5).map(|number| format!("m-{number}")).collect();
    decided(&stack, &ids).await;
    for limit in 1..=6 {
        let (mut seen, mut query) = (Vec::new(), format!("?limit={limit}"));
        loop {
            let page = entries(&stack, &query).await;
            assert!(!about(&page).is_empty() && about(&page).len() <= limit);
            seen.extend(about(&page).into_iter().map(str::to_owned));
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            query = format!("?limit={limit}&cursor={cursor}");
        }
        seen.reverse();
        assert_eq!(seen, ids, "pages of {limit}");
    }
}

#[tokio::test]
async fn whoever_follows_the_log_asks_again_from_where_it_ended() {
    let stack = Stack::new();
    assert_eq!(
        entries(&stack, "?order=oldest").await,
        json!({"entries": [], "next_cursor": null})
    );
    decided(&stack, &["m-1".into(), "m-2".into()]).await;
    let page = entries(&stack, "?order=oldest").await;
    assert_eq!(about(&page), ["m-1", "m-2"]);
    let goes_on = format!(
        "?order=oldest&cursor={}",
        page["next_cursor"].as_str().expect("a cursor")
    );
    let nothing = entries(&stack, &goes_on).await;
    assert_eq!(
        (about(&nothing).len(), &nothing["next_cursor"]),
        (0, &page["next_cursor"])
    );
    decided(&stack, &["m-3".into()]).await;
    assert_eq!(about(&entries(&stack, &goes_on).await), ["m-3"]);
}

#[tokio::test]
async fn large_entries_are_told_whole_and_cut_the_page() {
    let stack = Stack::new();
    for number in 0..5 {
        // Quotes are escaped in the payload, and again by Lambda; half of it does not compress.
        let text = format!("{}{}", "\"".repeat(85 * 1024), noise(170 * 1024 + number));
        let id = conflicted_by(&stack, &format!("m-{number}"), json!({"text": text})).await;
        resolve(&stack, &id, &json!({"resolution": "accept_client"}))
            .await
            .ok();
        let id = rejected(
            &stack,
            item("update", &format!("m-{number}"), 1, json!({"n": 1})),
        )
        .await;
        resolve(&stack, &id, &json!({"resolution": "accept_client"}))
            .await
            .ok();
        stack.advance(Duration::seconds(1));
    }
    let (mut seen, mut query, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let response = stack.get(&format!("audit{query}"), &admin(&stack)).await;
        assert!(serde_json::to_string(&response.text).expect("text").len() < 5_000_000);
        let page = response.ok();
        seen.extend(page["entries"].as_array().expect("a list").iter().cloned());
        pages += 1;
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        query = format!("?cursor={cursor}");
    }
    assert!((2..10).contains(&pages), "{pages} pages");
    assert_eq!(seen.len(), 10);
    let text = |entry: &Value, side: &str| entry[side]["payload"]["text"].as_str().map(str::len);
    assert!(
        seen.iter()
            .all(|entry| text(entry, "after").is_some_and(|bytes| bytes >= 255 * 1024))
    );
    assert_eq!(
        seen.iter()
            .filter(|entry| text(entry, "before") == text(entry, "after"))
            .count(),
        5
    );
}

#[tokio::test]
async fn an_entry_that_does_not_read_hides_no_other() {
    let stack = Stack::new();
    decided(&stack, &["m-1".into(), "m-2".into(), "m-3".into()]).await;
    let mut rows = stack.rows("audit_log");
    rows.sort_by_key(|row| row["sk"]["S"].to_string());
    let mut broken = rows[1].clone();
    broken["packed"] = json!({"B": "AAAA"});
    stack.dynamodb(
        "PutItem",
        &json!({"TableName": "audit_log", "Item": broken}),
    );
    assert_eq!(about(&entries(&stack, "").await), ["m-3", "m-1"]);
    let page = entries(&stack, "?limit=1").await;
    let page = entries(
        &stack,
        &format!(
            "?limit=1&cursor={}",
            page["next_cursor"].as_str().expect("a cursor")
        ),
    )
    .await;
    assert_eq!(
        (about(&page), &page["next_cursor"]),
        (vec!["m-1"], &Value::Null)
    );
}

#[tokio::test]
async fn only_admins_read_the_log_and_only_their_own_tenants() {
    let stack = Stack::new();
    decided(&stack, &["m-1".into()]).await;
    let by_user = stack
        .get("audit", &stack.token("acme", "ana", &[], &[]))
        .await;
    assert_eq!(
        (by_user.status, &by_user.json()["code"]),
        (403, &json!("forbidden"))
    );
    let others = stack
        .get("audit", &stack.token("other", "root", &["admin"], &[]))
        .await
        .ok();
    assert_eq!(others, json!({"entries": [], "next_cursor": null}));
    for (query, path) in [
        ("?order=random", "order"),
        ("?limit=0", "limit"),
        ("?cursor=x", "cursor"),
    ] {
        let rejected = stack.get(&format!("audit{query}"), &admin(&stack)).await;
        assert_eq!(
            (rejected.status, &rejected.json()["path"]),
            (400, &json!(path)),
            "{query}"
        );
    }
}

#[tokio::test]
async fn the_audit_log_is_only_added_to() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    let watched = Stack::over(
        stack.engine.clone(),
        std::sync::Arc::new(Script::new(|_, operation, body, moment| {
            if moment == Moment::Before && body.contains("audit_log") {
                assert_eq!(operation, "TransactWriteItems");
                let request: Value = serde_json::from_str(body).expect("a request");
                for write in request["TransactItems"]
                    .as_array()
                    .expect("items")
                    .iter()
                    .filter(|it| it.to_string().contains("audit_log"))
                {
                    assert_eq!(
                        write["Put"]["ConditionExpression"],
                        "attribute_not_exists(pk)"
                    );
                }
            }
            tidemark::engine::http::CallFate::Continue
        })),
    );
    resolve(&watched, &id, &json!({"resolution": "accept_client"}))
        .await
        .ok();
    assert_eq!(stack.rows("audit_log").len(), 1);
}

/// The right to change or delete what stands there is what no function has.
#[test]
fn no_function_may_change_or_delete_audit_entries() {
    let about_the_log: Vec<_> = granted()
        .iter()
        .filter(|right| right.resource.starts_with("table/audit_log"))
        .collect();
    let functions: BTreeSet<_> = about_the_log
        .iter()
        .map(|right| right.function.as_str())
        .collect();
    assert!(
        functions.is_superset(&BTreeSet::from(["batches", "conflicts", "push", "resolve"])),
        "{functions:?}"
    );
    for right in about_the_log {
        assert!(
            matches!(
                right.action.as_str(),
                "dynamodb:PutItem" | "dynamodb:BatchGetItem" | "dynamodb:Query"
            ),
            "{right}"
        );
    }
}
