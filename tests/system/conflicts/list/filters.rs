//! The filters of `GET /conflicts`, and the cursors of filtered lists.

use chrono::Duration;
use serde_json::{Value, json};
use tidemark_core::{model::time::timestamp, wire::cursor};
use tidemark_tests::{
    Device, Item, Stack,
    scenario::{member_of_north, pages},
};

use super::{admin, conflicted, ids, listed, resolve};

/// Opens a conflict of a device about a resource that the office has updated, and advances the
/// clock by a second.
async fn opened(stack: &Stack, device: &Device<'_>, resource_type: &str, id: &str) -> String {
    let office = member_of_north(stack, "office");
    let item = |action: &str, version: u64, note: &str| {
        let item = Item::new(resource_type, action, version)
            .base(version)
            .payload(json!({"note": note}))
            .id(id);
        match resource_type {
            "task" => item.channel("group/north"),
            _ => item,
        }
    };
    office.push_one(item("create", 0, "created")).await;
    office.push_one(item("update", 1, "updated")).await;

    let result = device.push_one(item("update", 1, "stale")).await;
    assert_eq!(result["status"], "conflict", "{result}");
    stack.advance(Duration::seconds(1));
    result["conflict_id"].as_str().expect("an id").to_owned()
}

/// Stores conflicts that differ in every attribute by which a list filters, one per second: `m-1`
/// and `t-1` of Ana's phone, `m-2` of her tablet, which is resolved, and `m-3` and `m-5` of Ben's
/// phone.
async fn conflicts(stack: &Stack) {
    let (ana, ben) = (member_of_north(stack, "ana"), stack.device("ben", "phone"));
    opened(stack, &ana, "meter", "m-1").await;
    let tablet = stack.device("ana", "tablet");
    let resolved = opened(stack, &tablet, "meter", "m-2").await;
    opened(stack, &ben, "meter", "m-3").await;
    opened(stack, &ana, "task", "t-1").await;

    let create = |id: &str| Item::create("meter", id, json!({"code": "A"}));
    stack.device("office", "pc").push_one(create("m-4")).await;
    let taken = ben.push_one(create("m-5")).await;
    assert_eq!(taken["code"], "unique_violation", "{taken}");

    resolve(stack, &resolved, &json!({"resolution": "accept_server"}))
        .await
        .ok();
}

/// Returns the resources of a list that is read in pages of this size.
async fn read(stack: &Stack, query: &str, limit: usize) -> Vec<String> {
    let mut seen = Vec::new();
    for page in pages(stack, &format!("conflicts?limit={limit}{query}")).await {
        let page = page.ok();
        assert!(ids(&page).len() <= limit, "{query}: {page}");
        seen.extend(ids(&page).into_iter().map(str::to_owned));
    }
    seen
}

#[tokio::test]
async fn filters_select_conflicts_in_either_order() {
    let stack = Stack::new();
    let second = |number: i64| timestamp(stack.now() + Duration::seconds(number));
    let (first, second, third) = (second(1), second(2), second(3));
    conflicts(&stack).await;

    for (query, expected) in [
        ("", "m-1 m-3 t-1 m-5"),
        ("&status=all", "m-1 m-2 m-3 t-1 m-5"),
        ("&status=resolved", "m-2"),
        ("&type=task", "t-1"),
        ("&type=submission", ""),
        ("&channel=tenant", "m-1 m-3 m-5"),
        ("&channel=group/north", "t-1"),
        ("&user=ben", "m-3 m-5"),
        ("&user=ana&status=all", "m-1 m-2 t-1"),
        ("&user=nobody&status=all", ""),
        ("&device_id=phone", "m-1 m-3 t-1 m-5"),
        ("&device_id=tablet&status=all", "m-2"),
        ("&user=ana&device_id=phone&status=all", "m-1 t-1"),
        ("&user=ana&device_id=tablet", ""),
        ("&code=unique_violation", "m-5"),
        ("&code=version_mismatch&status=all", "m-1 m-2 m-3 t-1"),
        ("&resource_id=m-3", "m-3"),
        (&format!("&detected_from={second}"), "m-3 t-1 m-5"),
        (&format!("&detected_until={second}"), "m-1"),
        (
            &format!("&detected_from={first}&detected_until={third}&status=all"),
            "m-2 m-3",
        ),
        (
            &format!("&detected_from={second}&detected_until={second}"),
            "",
        ),
        (
            &format!("&detected_from={third}&detected_until={first}"),
            "",
        ),
        (
            &format!("&type=meter&user=ben&code=version_mismatch&detected_from={first}"),
            "m-3",
        ),
    ] {
        let mut expected: Vec<&str> = expected.split_whitespace().collect();
        for limit in [1, 2, 200] {
            assert_eq!(read(&stack, query, limit).await, expected, "{query}");
        }

        expected.reverse();
        let newest = format!("{query}&order=newest");
        for limit in [1, 2, 200] {
            assert_eq!(read(&stack, &newest, limit).await, expected, "{newest}");
        }
    }
}

#[tokio::test]
async fn invalid_filter_is_rejected_at_parameter() {
    let stack = Stack::new();
    let long = "x".repeat(257);
    for (parameter, value) in [
        ("status", "closed"),
        ("order", "sideways"),
        ("type", &long),
        ("channel", "north"),
        ("channel", "group/"),
        ("user", &long),
        ("device_id", &long),
        ("code", "unheard_of"),
        ("resource_id", &long),
        ("detected_from", "yesterday"),
        ("detected_from", "2026-01-01"),
        ("detected_until", "1769850720"),
        ("detected_until", "9999-12-31T23:59:59-01:00"),
    ] {
        let path = format!("conflicts?{parameter}={value}");
        let rejected = stack.get(&path, &admin(&stack)).await;
        let body = rejected.json();
        assert_eq!(
            (rejected.status, &body["code"], &body["path"]),
            (400, &json!("invalid_request"), &json!(parameter)),
            "{path}"
        );
    }

    // An empty parameter is a missing one.
    let empty = "?status=&order=&type=&channel=&user=&device_id=&code=&resource_id=&detected_from=";
    assert_eq!(listed(&stack, empty).await["conflicts"], json!([]));
}

#[tokio::test]
async fn cursor_belongs_to_one_filter() {
    let stack = Stack::new();
    conflicts(&stack).await;
    let cursor_of = async |query: &str| {
        let list = listed(&stack, &format!("?limit=1{query}")).await;
        list["next_cursor"].as_str().expect("a cursor").to_owned()
    };

    let cursor = cursor_of("&user=ben").await;
    let same = format!("?user=ben&cursor={cursor}");
    assert_eq!(ids(&listed(&stack, &same).await), ["m-5"]);

    let (plain, all) = (cursor_of("").await, cursor_of("&status=all").await);
    for query in [
        format!("cursor={cursor}"),
        format!("user=ana&cursor={cursor}"),
        format!("device_id=ben&cursor={cursor}"),
        format!("user=ben&type=meter&cursor={cursor}"),
        format!("user=ben&order=newest&cursor={cursor}"),
        format!("user=ben&status=all&cursor={cursor}"),
        format!("status=all&cursor={plain}"),
        format!("order=newest&cursor={plain}"),
        format!("cursor={all}"),
    ] {
        let path = format!("conflicts?{query}");
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
async fn cursors_of_earlier_builds_continue() {
    let stack = Stack::new();
    for id in ["m-1", "m-2", "m-3"] {
        conflicted(&stack, id).await;
        stack.advance(Duration::seconds(1));
    }

    let mut rows = stack.conflicts();
    rows.sort_by_key(|row| row["detected_at"]["S"].to_string());
    let of = |name: &str| rows[0][name]["S"].as_str().expect("a text");
    let old = cursor::encode("conflicts?status=open", [of("detected_at"), of("sk")]);
    let list = listed(&stack, &format!("?cursor={old}")).await;
    assert_eq!(ids(&list), ["m-2", "m-3"]);
}

#[tokio::test]
async fn forged_cursor_causes_no_failure() {
    let stack = Stack::new();
    conflicted(&stack, "m-1").await;
    let path = "conflicts?status=all&detected_from=2020-01-01T00:00:00Z";
    for order in ["oldest", "newest"] {
        let path = format!("{path}&order={order}");
        // The checksum of a cursor contains the name of its list, which is not secret.
        let name = format!("conflicts?filter=all#{order}#######2020-01-01T00:00:00.000Z#");
        let forge = |place: [&str; 3]| format!("{path}&cursor={}", cursor::encode(&name, place));
        let status = async |path: String| stack.get(&path, &admin(&stack)).await.status;

        // DynamoDB rejects a start key outside the bounds of the query.
        for detected_at in [
            "0001-01-01T00:00:00.000Z",
            "9999-12-31T23:59:59.999Z",
            "\u{1}",
            "zzz",
            "\u{10ffff}#0",
        ] {
            for of in ["open", "resolved"] {
                let forged = forge([detected_at, "conf-1", of]);
                assert_eq!(status(forged).await, 200, "{order} {detected_at}");
            }
        }
        // A query appends a letter to the time, and a key has at most 1,024 bytes.
        for (bytes, expected) in [(64, 200), (65, 400), (1024, 400)] {
            let forged = forge([&"2".repeat(bytes), "conf-1", "open"]);
            assert_eq!(status(forged).await, expected, "{order} {bytes} bytes");
        }
        let forged = forge(["2026-01-01T00:00:00.000Z", "conf-1", "all"]);
        assert_eq!(status(forged).await, 400, "all is no status of a conflict");
    }
}

#[tokio::test]
async fn cursor_of_another_tenant_reveals_nothing() {
    let stack = Stack::new();
    conflicted(&stack, "m-1").await;
    conflicted(&stack, "m-2").await;
    let stranger = stack.token("other", "root", &["admin"], &[]);

    for query in [
        "conflicts?limit=1",
        "conflicts?status=all&type=meter&limit=1",
    ] {
        let list: Value = stack.get(query, &admin(&stack)).await.ok();
        let cursor = list["next_cursor"].as_str().expect("a cursor");
        let path = format!("{query}&cursor={cursor}");
        let others = stack.get(&path, &stranger).await.ok();
        assert_eq!(others, json!({"conflicts": [], "next_cursor": null}));
    }
}
