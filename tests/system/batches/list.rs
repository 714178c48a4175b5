//! `GET /batches`: lists of batches by outcome, §7 of the protocol.

mod places;

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use tidemark_core::{model::time::timestamp, rules::batch_list::first_place};
use tidemark_tests::{ApiResponse, Script, Stack, hooks::Moment};

use super::{boss, create, edit, get, id_of, push, replay};

async fn list(stack: &Stack, query: &str) -> ApiResponse {
    stack.get(&format!("batches?{query}"), &boss(stack)).await
}

/// Returns the ids of the batches of a page.
fn ids(page: &Value) -> Vec<String> {
    let batches = page["batches"].as_array().expect("batches");
    let ids = batches.iter().map(|batch| batch["batch_id"].as_str());
    ids.map(|id| id.expect("an id").to_owned()).collect()
}

/// Returns the ids of a list that has one page.
async fn listed(stack: &Stack, query: &str) -> Vec<String> {
    let page = list(stack, query).await.ok();
    assert_eq!(page["next_cursor"], Value::Null, "{page}");
    ids(&page)
}

/// Reads a list to its end. Returns the ids, and the number of pages.
async fn read_pages(stack: &Stack, query: &str) -> (Vec<String>, usize) {
    let (mut read, mut cursor) = (Vec::new(), String::new());
    for pages in 1..100 {
        let page = list(stack, &format!("{query}{cursor}")).await.ok();
        read.extend(ids(&page));
        let Some(next) = page["next_cursor"].as_str() else {
            return (read, pages);
        };
        cursor = format!("&cursor={next}");
    }
    panic!("the list does not end");
}

/// Pushes batches of Ana, a second apart: one that is applied, one with an error, one with a
/// conflict, and one with both. Returns the ids of the last three.
async fn batches(stack: &Stack) -> [String; 3] {
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ben.push(json!([create("stale", "1"), edit("stale", 1, "ben's")]))
        .await;

    let mut ids = Vec::new();
    for (name, items) in [
        ("fine", json!([create("mine", "1")])),
        ("error", json!([edit("missing", 1, "x")])),
        ("conflict", json!([edit("stale", 1, "ana's")])),
        (
            "both",
            json!([
                edit("stale", 1, "ana's"),
                edit("missing", 1, "y"),
                edit("missing", 1, "z")
            ]),
        ),
    ] {
        stack.advance(Duration::seconds(1));
        ids.push(push(&ana, name, &items).await);
    }
    let [_, error, conflict, both] = ids.try_into().expect("four batches");
    [error, conflict, both]
}

#[tokio::test]
async fn batches_are_listed_by_outcome() {
    let stack = Stack::new();
    let [error, conflict, both] = batches(&stack).await;

    let newest = [both.clone(), error.clone()];
    assert_eq!(listed(&stack, "outcome=error").await, newest);
    assert_eq!(listed(&stack, "").await, newest, "the defaults");
    let oldest = listed(&stack, "outcome=error&order=oldest").await;
    assert_eq!(oldest, [error, both.clone()]);
    assert_eq!(
        listed(&stack, "outcome=conflict").await,
        [both.clone(), conflict]
    );
    assert!(listed(&stack, "outcome=unanswered").await.is_empty());

    let page = list(&stack, "outcome=error&limit=1").await.ok();
    let processed_at = timestamp(stack.now());
    let expected = json!({"batch_id": both, "user": "ana", "device_id": "phone",
        "processed_at": processed_at, "errors": 2, "conflicts": 1});
    assert_eq!(page["batches"], json!([expected]));
}

#[tokio::test]
async fn filters_select_devices_and_times() {
    let stack = Stack::new();
    let start = stack.now();
    let mut pushed = Vec::new();
    for (user, device) in [
        ("ana", "phone"),
        ("ana", "phone2"),
        ("ana2", "phone"),
        ("ben", "phone"),
    ] {
        let items = json!([edit("missing", 1, user)]);
        pushed.push(push(&stack.device(user, device), "b", &items).await);
        stack.advance(Duration::seconds(1));
    }
    let at = |seconds: i64| timestamp(start + Duration::seconds(seconds));

    for (query, expected) in [
        ("user=ana".to_owned(), &pushed[..2]),
        ("user=ana&device_id=phone".to_owned(), &pushed[..1]),
        ("user=ben&device_id=phone2".to_owned(), &pushed[..0]),
        ("user=an".to_owned(), &pushed[..0]),
        (format!("from={}", at(1)), &pushed[1..]),
        (format!("until={}", at(1)), &pushed[..1]),
        (format!("from={}&until={}", at(1), at(3)), &pushed[1..3]),
        (
            format!("user=ana&from={}&until={}", at(1), at(9)),
            &pushed[1..2],
        ),
        (format!("from={}&until={}", at(3), at(1)), &pushed[..0]),
    ] {
        let query = format!("order=oldest&{query}");
        assert_eq!(listed(&stack, &query).await, expected, "{query}");
    }
}

/// Puts an entry of the index of failed batches, with this many seconds of age.
fn put_failed(stack: &Stack, shard: u8, seconds: i64, errors: u8) -> String {
    let at = stack.now() - Duration::seconds(seconds);
    let unique = format!("{:032x}", i64::from(shard) * 1_000_000 + seconds);
    let row = json!({
        "pk": {"S": "acme#ana#phone"}, "sk": {"S": unique}, "fk": {"S": format!("acme#{shard}")},
        "f_at": {"N": first_place(at).to_string()},
        "fe": {"N": errors.to_string()}, "fc": {"N": "1"},
        "processed_at": {"N": at.timestamp_millis().to_string()},
    });
    stack.dynamodb(
        "PutItem",
        &json!({"TableName": "sync_batches", "Item": row}),
    );
    unique
}

#[tokio::test]
async fn short_pages_cover_every_shard() {
    let stack = Stack::new();
    let mut expected = Vec::new();
    // Only the oldest batch of the first shard has an error: its index is examined in parts, and
    // the pages end where the unknown part begins.
    for seconds in 1..=1_100 {
        put_failed(&stack, 3, 2 * seconds, 0);
    }
    expected.push((3_000, put_failed(&stack, 3, 3_000, 1)));
    for seconds in [1, 501, 1_999, 2_999, 3_001] {
        expected.push((seconds, put_failed(&stack, 5, seconds, 1)));
    }
    expected.sort();
    let newest: Vec<String> = expected.into_iter().map(|(_, unique)| unique).collect();

    for (order, expected) in [
        ("newest", newest.clone()),
        ("oldest", newest.into_iter().rev().collect()),
    ] {
        let (read, pages) = read_pages(&stack, &format!("outcome=error&order={order}")).await;
        let uniques: Vec<&str> = read.iter().map(|id| &id[id.len() - 32..]).collect();
        assert_eq!(uniques, expected, "{order}");
        assert!(pages >= 3, "{pages} pages");
    }

    let (read, pages) = read_pages(&stack, "outcome=conflict&limit=200").await;
    assert_eq!(read.len(), 1_106, "each batch once");
    assert!(pages >= 6, "{pages} pages");
}

#[tokio::test]
async fn batches_of_earlier_builds_are_not_listed() {
    let stack = Stack::new();
    let [_, _, both] = batches(&stack).await;
    for (table, added) in [
        ("sync_batches", &["fk", "f_at", "fe", "fc"][..]),
        ("sync_items", &["rk", "r_at"]),
    ] {
        for mut row in stack.rows(table) {
            let attributes = row.as_object_mut().expect("a row");
            attributes.retain(|name, _| !added.contains(&name.as_str()));
            stack.dynamodb("PutItem", &json!({"TableName": table, "Item": row}));
        }
    }

    stack.advance(Duration::minutes(2));
    for outcome in ["error", "conflict", "unanswered"] {
        let query = format!("outcome={outcome}");
        assert!(listed(&stack, &query).await.is_empty(), "{outcome}");
    }
    let batch = get(&stack, &boss(&stack), &both).await.ok();
    assert_eq!(batch["results"][1]["code"], "not_found");

    // A replay adds the batch to the index.
    let id = both.as_str();
    replay(&stack, &boss(&stack), id, &json!({})).await.ok();
    assert_eq!(listed(&stack, "outcome=error").await, [both]);
}

#[tokio::test]
async fn replayed_batch_leaves_the_list() {
    let stack = Stack::new();
    let (ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let id = push(&ana, "b", &json!([edit("missing", 1, "late")])).await;
    assert_eq!(listed(&stack, "outcome=error").await, [id.as_str()]);

    ben.push_one(create("missing", "1")).await;
    replay(&stack, &boss(&stack), &id, &json!({"dry_run": true}))
        .await
        .ok();
    assert_eq!(listed(&stack, "outcome=error").await, [id.as_str()]);
    replay(&stack, &boss(&stack), &id, &json!({})).await.ok();
    assert!(listed(&stack, "outcome=error").await.is_empty());
}

#[tokio::test]
async fn expired_batches_are_not_listed() {
    let stack = Stack::new();
    batches(&stack).await;
    stack.advance(Duration::days(90) - Duration::seconds(4));
    assert!(!listed(&stack, "outcome=error").await.is_empty());
    stack.advance(Duration::seconds(5));
    assert!(listed(&stack, "outcome=error").await.is_empty());
}

/// Pushes a batch of Ana's phone whose function dies after it stored the items.
async fn die(stack: &Stack, batch_id: &str, items: &Value) {
    // Raw items, earlier results and rows are requested concurrently; the fourth call writes the
    // resource.
    let dying = stack.beside(Arc::new(Script::dying_at(3, Moment::Before)));
    let device = dying.device("ana", "phone");
    let died = tokio::time::timeout(
        std::time::Duration::from_secs(60),
        device.push_batch(batch_id, items),
    );
    assert!(died.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn unanswered_batch_is_listed_until_retried() {
    let stack = Stack::new();
    let (ana, items) = (stack.device("ana", "phone"), json!([create("m", "1")]));
    push(&ana, "answered", &json!([create("other", "1")])).await;
    let received_at = timestamp(stack.now());
    die(&stack, "b", &items).await;
    let unanswered = async || listed(&stack, "outcome=unanswered").await;

    stack.advance(Duration::seconds(60));
    assert!(unanswered().await.is_empty(), "the push may still run");
    stack.advance(Duration::milliseconds(1));
    assert_eq!(unanswered().await, [id_of("ana", "b")]);
    let page = list(&stack, "outcome=unanswered").await.ok();
    let expected = json!({"batch_id": id_of("ana", "b"), "user": "ana", "device_id": "phone",
        "received_at": received_at, "processed_at": null, "errors": 0, "conflicts": 0});
    assert_eq!(page["batches"], json!([expected]));
    for (filter, count) in [
        ("user=ana&device_id=phone", 1),
        ("user=ana", 1),
        ("user=an", 0),
        ("user=ana&device_id=phon", 0),
    ] {
        let query = format!("outcome=unanswered&{filter}");
        assert_eq!(listed(&stack, &query).await.len(), count, "{filter}");
    }

    let later = ana.push_batch("b", &items).await.ok();
    assert_eq!(later["results"][0]["status"], "ok");
    assert!(unanswered().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn unanswered_list_begins_a_day_ago() {
    let stack = Stack::new();
    let start = timestamp(stack.now());
    die(&stack, "b", &json!([create("m", "1")])).await;
    stack.advance(Duration::hours(24) + Duration::milliseconds(1));
    assert!(listed(&stack, "outcome=unanswered").await.is_empty());

    let since = format!("outcome=unanswered&from={start}");
    assert_eq!(listed(&stack, &since).await, [id_of("ana", "b")]);
    let until = format!("{since}&until={start}");
    assert!(listed(&stack, &until).await.is_empty());
}

/// Puts the index entry of a received batch with this many seconds of age, and its results unless
/// it is unanswered.
fn put_received(stack: &Stack, shard: u8, seconds: i64, is_answered: bool) -> String {
    let at: DateTime<Utc> = stack.now() - Duration::seconds(seconds);
    let unique = format!("{seconds:032x}");
    let row = json!({
        "pk": {"S": format!("acme#ana#phone#{unique}")}, "sk": {"S": "0000"},
        "rk": {"S": format!("acme#{shard}")}, "r_at": {"N": first_place(at).to_string()},
    });
    stack.dynamodb("PutItem", &json!({"TableName": "sync_items", "Item": row}));
    if is_answered {
        let row = json!({"pk": {"S": "acme#ana#phone"}, "sk": {"S": unique}});
        stack.dynamodb(
            "PutItem",
            &json!({"TableName": "sync_batches", "Item": row}),
        );
    }
    unique
}

#[tokio::test]
async fn answered_batches_make_short_pages() {
    let stack = Stack::new();
    let mut expected = Vec::new();
    for seconds in 100..400 {
        let is_answered = seconds % 149 != 0;
        let shard = if seconds < 350 { 1 } else { 6 };
        let unique = put_received(&stack, shard, seconds, is_answered);
        expected.extend((!is_answered).then_some(unique));
    }
    assert_eq!(expected.len(), 2);

    let (read, pages) = read_pages(&stack, "outcome=unanswered").await;
    let uniques: Vec<&str> = read.iter().map(|id| &id[id.len() - 32..]).collect();
    assert_eq!(uniques, expected);
    assert!(pages > 3, "{pages} pages");
    let (read, _) = read_pages(&stack, "outcome=unanswered&limit=1&order=oldest").await;
    assert_eq!(read.len(), 2);
}

#[tokio::test]
async fn list_is_for_readers_of_the_tenant() {
    let stack = Stack::new();
    batches(&stack).await;
    let token = |tenant, user, roles: &[&str]| stack.token(tenant, user, roles, &[]);
    for (token, status, count) in [
        (token("acme", "boss", &["admin"]), 200, Some(2)),
        (token("acme", "vic", &["viewer"]), 200, Some(2)),
        (token("umbrella", "boss", &["admin"]), 200, Some(0)),
        (token("acme", "ana", &["editor"]), 403, None),
        ("none".to_owned(), 401, None),
    ] {
        let response = stack.get("batches?outcome=error", &token).await;
        let listed = response.json()["batches"].as_array().map(Vec::len);
        assert_eq!((response.status, listed), (status, count));
    }
}

#[tokio::test]
async fn invalid_parameters_are_named() {
    let stack = Stack::new();
    let long = format!("user={}", "x".repeat(257));
    for (query, path) in [
        (long.as_str(), "user"),
        ("outcome=ok", "outcome"),
        ("order=up", "order"),
        ("limit=201", "limit"),
        ("device_id=phone", "device_id"),
        ("from=yesterday", "from"),
        ("until=2026-01-01", "until"),
    ] {
        let response = list(&stack, query).await;
        let problem = response.json();
        assert_eq!(
            (response.status, &problem["code"], &problem["path"]),
            (400, &json!("invalid_request"), &json!(path)),
            "{query}"
        );
    }
}

#[tokio::test]
async fn cursor_belongs_to_its_filters() {
    let stack = Stack::new();
    batches(&stack).await;
    let page = list(&stack, "outcome=error&limit=1").await.ok();
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    for query in [
        "outcome=conflict",
        "outcome=error&order=oldest",
        "outcome=error&user=ana",
        "outcome=error&from=2026-01-01T00:00:00Z",
    ] {
        let response = list(&stack, &format!("{query}&cursor={cursor}")).await;
        assert_eq!(
            (response.status, &response.json()["code"]),
            (400, &json!("invalid_cursor")),
            "{query}"
        );
    }

    let next = format!("outcome=error&limit=1&cursor={cursor}");
    assert_eq!(listed(&stack, &next).await.len(), 1);
}
