//! `GET /conflicts`: a tenant's conflicts by status, paginated.

mod filters;
pub(super) mod sparse;

use chrono::Duration;
use serde_json::{Value, json};
use tidemark_tests::{Stack, scenario::pages};

use super::{admin, conflicted, conflicted_by, meter, rejected, resolve};

async fn listed(stack: &Stack, query: &str) -> Value {
    stack
        .get(&format!("conflicts{query}"), &admin(stack))
        .await
        .ok()
}

fn ids(list: &Value) -> Vec<&str> {
    list["conflicts"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it["resource_id"].as_str().expect("an id"))
        .collect()
}

#[tokio::test]
async fn open_conflicts_are_listed_by_detection_time() {
    let stack = Stack::new();
    for id in ["m-9", "m-1", "m-5"] {
        conflicted(&stack, id).await;
        stack.advance(Duration::seconds(1));
    }

    let list = listed(&stack, "").await;
    assert_eq!(
        (ids(&list), &list["next_cursor"]),
        (vec!["m-9", "m-1", "m-5"], &Value::Null)
    );

    let first = &list["conflicts"][0];
    assert_eq!(
        [
            &first["status"],
            &first["server_payload"],
            &first["client_payload"],
            &first["server_version"],
            &first["edit_count"]
        ],
        [
            &json!("open"),
            &json!({"code": "m-9", "reading": 50}),
            &json!({"reading": 42}),
            &json!(2),
            &json!(1)
        ]
    );
    assert!(first.get("joined").is_none() && first.get("outcome").is_none());

    assert_eq!(
        listed(&stack, "?status=open").await,
        list,
        "open is the default"
    );
}

#[tokio::test]
async fn resolved_conflict_moves_to_resolved_list() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    conflicted(&stack, "m-2").await;
    resolve(
        &stack,
        &id,
        &json!({"resolution": "accept_server", "note": "read wrongly"}),
    )
    .await
    .ok();

    assert_eq!(ids(&listed(&stack, "?status=open").await), ["m-2"]);
    let resolved = listed(&stack, "?status=resolved").await;
    assert_eq!(ids(&resolved), ["m-1"]);

    let outcome = &resolved["conflicts"][0]["outcome"];
    assert_eq!(
        [
            &outcome["resolution"],
            &outcome["resolved_by"],
            &outcome["note"],
            &outcome["server_version"]
        ],
        [
            &json!("accept_server"),
            &json!("root"),
            &json!("read wrongly"),
            &json!(3)
        ]
    );
}

#[tokio::test]
async fn cursor_pages_have_no_gaps_or_repeats() {
    let stack = Stack::new();
    let all: Vec<String> = (0..7).map(|number| format!("m-{number}")).collect();
    for (number, id) in all.iter().enumerate() {
        conflicted(&stack, id).await;
        // Some conflicts are detected in the same millisecond.
        stack.advance(Duration::milliseconds((number % 2) as i64));
    }

    for limit in 1..=8 {
        let pages = pages(&stack, &format!("conflicts?limit={limit}")).await;
        let mut seen = Vec::new();
        for page in &pages {
            seen.extend(ids(&page.ok()).into_iter().map(str::to_owned));
        }
        seen.sort();
        assert_eq!(
            (seen, pages.len()),
            (all.clone(), 7_usize.div_ceil(limit)),
            "pages of {limit}"
        );
    }
}

#[tokio::test]
async fn cursor_of_another_list_is_rejected() {
    let stack = Stack::new();
    conflicted(&stack, "m-1").await;
    conflicted(&stack, "m-2").await;
    let cursor = listed(&stack, "?limit=1").await["next_cursor"]
        .as_str()
        .expect("a cursor")
        .to_owned();

    assert!(
        cursor
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'),
        "{cursor}"
    );

    for path in [
        format!("conflicts?status=resolved&cursor={cursor}"),
        format!("audit?cursor={cursor}"),
        format!("conflicts?cursor={}", &cursor[..cursor.len() - 1]),
        "conflicts?cursor=1".to_owned(),
    ] {
        let rejected = stack.get(&path, &admin(&stack)).await;
        let body = rejected.json();
        assert_eq!(
            (rejected.status, &body["code"], &body["path"]),
            (400, &json!("invalid_cursor"), &json!("cursor")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn invalid_limit_or_status_is_rejected() {
    let stack = Stack::new();
    for (query, path) in [
        ("?limit=0", "limit"),
        ("?limit=201", "limit"),
        ("?limit=ten", "limit"),
        ("?status=closed", "status"),
        ("?status=OPEN", "status"),
    ] {
        let rejected = stack
            .get(&format!("conflicts{query}"), &admin(&stack))
            .await;
        let body = rejected.json();
        assert_eq!(
            (rejected.status, &body["code"], &body["path"]),
            (400, &json!("invalid_request"), &json!(path)),
            "{query}"
        );
    }

    assert_eq!(
        stack
            .get("conflicts?limit=200", &admin(&stack))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn only_admins_list_their_tenants_conflicts() {
    let stack = Stack::new();
    conflicted(&stack, "m-1").await;
    let by_user = stack
        .get("conflicts", &stack.token("acme", "ana", &[], &[]))
        .await;
    assert_eq!(
        (by_user.status, &by_user.json()["code"]),
        (403, &json!("forbidden"))
    );
    let others = stack
        .get("conflicts", &stack.token("other", "root", &["admin"], &[]))
        .await
        .ok();
    assert_eq!(others, json!({"conflicts": [], "next_cursor": null}));
}

#[tokio::test]
async fn corrupt_conflict_hides_no_other() {
    let stack = Stack::new();
    for id in ["m-1", "m-2", "m-3"] {
        conflicted(&stack, id).await;
        stack.advance(Duration::seconds(1));
    }

    let mut broken = stack
        .conflicts()
        .into_iter()
        .find(|row| row["resource_id"]["S"] == "m-2")
        .expect("the row");
    broken["channel"] = json!({"S": "nowhere"});
    stack.dynamodb(
        "PutItem",
        &json!({"TableName": "conflicts", "Item": broken}),
    );

    assert_eq!(ids(&listed(&stack, "").await), ["m-1", "m-3"]);
    let pages = pages(&stack, "conflicts?limit=1").await;
    assert_eq!(ids(&pages[1].ok()), [""; 0]);
    assert_eq!(
        ids(&pages[2].ok()),
        ["m-3"],
        "the list continues after the corrupt conflict"
    );
}

#[tokio::test]
async fn stale_index_entry_is_left_out() {
    let stack = Stack::new();
    let id = conflicted(&stack, "m-1").await;
    conflicted(&stack, "m-2").await;
    let status_key = stack.conflicts()[0]["status_key"].clone();
    resolve(&stack, &id, &json!({"resolution": "accept_server"}))
        .await
        .ok();

    // The index lags behind its table, as a global secondary index of DynamoDB does.
    let mut row = stack
        .conflicts()
        .into_iter()
        .find(|row| row["id"]["S"] == id.as_str())
        .expect("the row");
    row["status_key"] = status_key;
    stack.dynamodb("PutItem", &json!({"TableName": "conflicts", "Item": row}));

    assert_eq!(ids(&listed(&stack, "?status=open").await), ["m-2"]);
}

#[tokio::test]
async fn list_omits_large_payloads_not_conflicts() {
    let stack = Stack::new();
    let large = "\"".repeat(47 * 1024); // twice as long escaped, and twice that as Lambda escapes the body
    for number in 0..40 {
        let id = format!("m-{number:02}");
        conflicted_by(&stack, &id, json!({"text": large})).await;
        stack.advance(Duration::seconds(1));
    }

    // Payloads that are stored apart from the conflict's row are not loaded for a list.
    let office = stack.device("office", "pc");
    office
        .push_one(meter(
            "create",
            "huge",
            0,
            json!({"text": "x".repeat(200 * 1024)}),
        ))
        .await;
    office
        .push_one(meter("update", "huge", 1, json!({"reading": 1})))
        .await;
    rejected(
        &stack,
        meter("update", "huge", 1, json!({"text": "y".repeat(200 * 1024)})),
    )
    .await;

    let response = stack.get("conflicts?limit=200", &admin(&stack)).await;
    assert!(serde_json::to_string(&response.text).expect("text").len() < 5_000_000);
    let list = response.ok();
    let conflicts = list["conflicts"].as_array().expect("a list");
    assert_eq!(conflicts.len(), 41);
    for conflict in conflicts {
        for side in ["server_payload", "client_payload"] {
            let is_omitted = conflict[format!("{side}_omitted")] == true;
            assert_ne!(conflict[side].is_object(), is_omitted, "{side}");
        }
    }
    assert!(
        conflicts[0]["client_payload"].is_object()
            && conflicts[39]["client_payload_omitted"] == true
    );
    assert!(
        conflicts[40]["client_payload_omitted"] == true
            && conflicts[40]["server_payload_omitted"] == true
    );
}
