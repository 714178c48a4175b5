//! `GET /audit`: who resolved which conflict, when, and the resource before and after.

use std::collections::BTreeSet;

use chrono::Duration;
use serde_json::{Value, json};
use tidemark_core::wire::cursor;
use tidemark_tests::{Script, Stack, hooks::Moment, noise, permissions::granted, scenario::pages};

use super::{admin, audited, conflicted, conflicted_by, meter, rejected, resolve};

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

/// Creates conflicts about these meters and resolves them, one second apart.
async fn resolve_each(stack: &Stack, ids: &[String]) {
    for id in ids {
        let conflict = conflicted(stack, id).await;
        resolve(stack, &conflict, &json!({"resolution": "accept_client"}))
            .await
            .ok();
        stack.advance(Duration::seconds(1));
    }
}

#[tokio::test]
async fn audit_entry_records_resolver_before_and_after() {
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
async fn entries_are_sorted_in_either_order() {
    let stack = Stack::new();
    let ids: Vec<String> = (1..=3).map(|number| format!("m-{number}")).collect();
    resolve_each(&stack, &ids).await;
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
async fn cursor_covers_the_whole_log() {
    let stack = Stack::new();
    let ids: Vec<String> = (1..=5).map(|number| format!("m-{number}")).collect();
    resolve_each(&stack, &ids).await;

    for limit in 1..=6 {
        let mut seen = Vec::new();
        for page in pages(&stack, &format!("audit?limit={limit}")).await {
            let page = page.ok();
            assert!((1..=limit).contains(&about(&page).len()));
            seen.extend(about(&page).into_iter().map(str::to_owned));
        }
        seen.reverse();
        assert_eq!(seen, ids, "pages of {limit}");
    }
}

#[tokio::test]
async fn cursor_continues_at_the_end() {
    let stack = Stack::new();
    assert_eq!(
        entries(&stack, "?order=oldest").await,
        json!({"entries": [], "next_cursor": null})
    );

    resolve_each(&stack, &["m-1".into(), "m-2".into()]).await;
    let page = entries(&stack, "?order=oldest").await;
    assert_eq!(about(&page), ["m-1", "m-2"]);
    let continued = format!(
        "?order=oldest&cursor={}",
        page["next_cursor"].as_str().expect("a cursor")
    );

    let nothing = entries(&stack, &continued).await;
    assert_eq!(
        (about(&nothing).len(), &nothing["next_cursor"]),
        (0, &page["next_cursor"])
    );

    resolve_each(&stack, &["m-3".into()]).await;
    assert_eq!(about(&entries(&stack, &continued).await), ["m-3"]);
}

/// Resolves two conflicts about the meter `id`: an edit that sets a text, and one that keeps it.
async fn resolve_with_text(stack: &Stack, id: &str, text: &str) {
    let accept = json!({"resolution": "accept_client"});
    let conflict = conflicted_by(stack, id, json!({"text": text})).await;
    resolve(stack, &conflict, &accept).await.ok();
    let conflict = rejected(stack, meter("update", id, 1, json!({"n": 1}))).await;
    resolve(stack, &conflict, &accept).await.ok();
}

/// Reads the audit log to its end, and asserts that Lambda can return each page. Returns the
/// entries and the number of pages.
async fn read_pages(stack: &Stack) -> (Vec<Value>, usize) {
    let pages = pages(stack, "audit").await;
    let mut entries = Vec::new();
    for page in &pages {
        assert!(serde_json::to_string(&page.text).expect("text").len() < 5_000_000);
        entries.extend_from_slice(page.ok()["entries"].as_array().expect("a list"));
    }
    (entries, pages.len())
}

#[tokio::test]
async fn large_entries_are_whole_and_limit_pages() {
    let stack = Stack::new();
    for number in 0..5 {
        // Quotes are escaped in the payload and again by Lambda. The noise does not compress.
        let text = format!("{}{}", "\"".repeat(85 * 1024), noise(170 * 1024, number));
        resolve_with_text(&stack, &format!("m-{number}"), &text).await;
        stack.advance(Duration::seconds(1));
    }

    let (seen, pages) = read_pages(&stack).await;

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
async fn corrupt_entry_hides_no_other() {
    let stack = Stack::new();
    resolve_each(&stack, &["m-1".into(), "m-2".into(), "m-3".into()]).await;

    let mut rows = stack.rows("audit_log");
    rows.sort_by_key(|row| row["sk"]["S"].to_string());
    let mut broken = rows[1].clone();
    broken["packed"] = json!({"B": "AAAA"});
    stack.dynamodb(
        "PutItem",
        &json!({"TableName": "audit_log", "Item": broken}),
    );

    assert_eq!(about(&entries(&stack, "").await), ["m-3", "m-1"]);
    let pages = pages(&stack, "audit?limit=1").await;
    assert_eq!(pages.len(), 2);
    assert_eq!(about(&pages[1].ok()), ["m-1"]);
}

#[tokio::test]
async fn only_admins_read_their_tenants_log() {
    let stack = Stack::new();
    resolve_each(&stack, &["m-1".into()]).await;

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

    // The key of an entry is longer than its id.
    let long = cursor::encode("audit?order=newest", [&"0".repeat(1024)]);
    for (query, path) in [
        ("?order=random", "order"),
        ("?limit=0", "limit"),
        ("?cursor=x", "cursor"),
        (&format!("?cursor={long}"), "cursor"),
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
async fn audit_log_is_append_only() {
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

/// No function has the permission to update or delete audit entries.
#[test]
fn no_function_can_change_audit_entries() {
    let grants: Vec<_> = granted()
        .iter()
        .filter(|grant| grant.resource.starts_with("table/audit_log"))
        .collect();
    let functions: BTreeSet<_> = grants.iter().map(|grant| grant.function.as_str()).collect();

    assert!(
        functions.is_superset(&BTreeSet::from(["admin", "batches", "push", "resolve"])),
        "{functions:?}"
    );

    for grant in grants {
        assert!(
            matches!(
                grant.action.as_str(),
                "dynamodb:PutItem" | "dynamodb:BatchGetItem" | "dynamodb:Query"
            ),
            "{grant}"
        );
    }
}
