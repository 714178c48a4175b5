//! The status, §7.2 of the protocol: what an admin sees of the change logs and of the dead letters.

use serde_json::{Value, json};
use tidemark_core::model::time::timestamp;
use tidemark_tests::{Device, Item, Stack, scenario};

fn admin(stack: &Stack) -> Device<'_> {
    Device::new(stack, stack.token("acme", "boss", &["admin"], &[]), "desk")
}

async fn create(stack: &Stack, id: &str, channel: &str) {
    let item = Item::create("task", id, json!({"title": "x".repeat(1000)})).channel(channel);
    assert_eq!(admin(stack).push_one(item).await["status"], "ok");
}

async fn status(stack: &Stack, query: &str) -> Value {
    stack
        .get(&format!("status{query}"), &admin(stack).token)
        .await
        .ok()
}

/// Creates a meter in another tenant, whose channels no status of this tenant contains.
async fn create_in_other_tenant(stack: &Stack) {
    let token = stack.token("umbrella", "eve", &["admin"], &[]);
    Device::new(stack, token, "phone")
        .push_one(Item::create("meter", "m", json!({})))
        .await;
    stack.settle().await;
}

#[tokio::test]
async fn status_lists_when_channel_logs_moved() {
    let stack = Stack::new();
    assert_eq!(status(&stack, "").await["channels"], json!([]));
    create(&stack, "a", "tenant").await;
    stack.settle().await;
    let first = timestamp(stack.now());
    stack.advance(chrono::Duration::seconds(90));
    create(&stack, "b", "group/nörd #%").await;
    stack.settle().await;
    let second = timestamp(stack.now());
    create_in_other_tenant(&stack).await;

    let channel = |name: &str, moved_at: &str, age: u64| json!({"channel": name, "head_moved_at": moved_at, "head_age_seconds": age, "repaired_at": null});
    let expected = [
        channel("group/nörd #%", &second, 0),
        channel("tenant", &first, 90),
    ];
    let report = status(&stack, "").await;
    assert_eq!(
        (&report["channels"], &report["next_cursor"]),
        (&json!(expected), &Value::Null),
        "no channel of another tenant"
    );
    assert_eq!(report["server_time"], timestamp(stack.now()));
    assert_eq!(
        report["set_aside"],
        json!({"objects": 0, "has_more": false, "oldest_at": null})
    );
    assert_eq!(report["given_up"], report["set_aside"]);

    assert_paginated(&stack, &expected).await;
}

/// Checks that two pages of one channel each contain these channels.
async fn assert_paginated(stack: &Stack, expected: &[Value; 2]) {
    let page = status(stack, "?limit=1").await;
    assert_eq!(page["channels"], json!([expected[0]]));
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    let page = status(stack, &format!("?limit=1&cursor={cursor}")).await;
    assert_eq!(page["channels"], json!([expected[1]]));
}

/// Returns the report of one channel, compared with its log.
async fn report_of(stack: &Stack, channel: &str) -> Value {
    status(stack, &format!("?channel={channel}")).await["channels"][0].clone()
}

/// Returns how many changes of the tenant's channel are not in its log.
async fn not_in_log(stack: &Stack) -> Value {
    report_of(stack, "tenant").await["comparison"]["not_in_log"].clone()
}

#[tokio::test]
async fn one_channel_is_compared_with_its_log() {
    let stack = Stack::new();
    let nothing = json!({"channel": "tenant", "head_moved_at": null, "head_age_seconds": null, "repaired_at": null, "comparison":
        {"resources": 0, "not_in_log": 0, "oldest_not_in_log_at": null, "oldest_not_in_log_seconds": null, "is_complete": true}});
    assert_eq!(report_of(&stack, "tenant").await, nothing);

    create(&stack, "a", "tenant").await;
    stack.settle().await;
    create(&stack, "b", "tenant").await;
    create(&stack, "mine", "user/ana").await;
    let made_at = timestamp(stack.now());
    stack.advance(chrono::Duration::seconds(200));
    create(&stack, "c", "tenant").await;
    let behind = |resources: u64, not_in_log: u64| {
        json!({"resources": resources, "not_in_log": not_in_log,
        "oldest_not_in_log_at": made_at, "oldest_not_in_log_seconds": 200, "is_complete": true})
    };

    assert_eq!(
        report_of(&stack, "tenant").await["comparison"],
        behind(3, 2)
    );
    let never = report_of(&stack, "user/ana").await;
    assert_eq!(
        (&never["head_moved_at"], &never["comparison"]),
        (&Value::Null, &behind(1, 1)),
        "the channel was never sequenced"
    );

    assert_lost_changes_count_until_repaired(&stack).await;

    // Changes that are older than the log are not compared.
    stack.advance(chrono::Duration::days(31));
    scenario::expire_log(&stack);
    assert_eq!(not_in_log(&stack).await, 0);
}

/// Lets the stream lose two changes of the tenant's channel, and checks that they are counted until
/// a repair appends them.
async fn assert_lost_changes_count_until_repaired(stack: &Stack) {
    stack.forget().await;
    stack.advance(chrono::Duration::days(2));
    assert_eq!(not_in_log(stack).await, 2);

    stack.invoke("changelog", &json!({"repair": {}})).await;
    let report = report_of(stack, "tenant").await;
    assert_eq!(
        (&report["comparison"]["not_in_log"], &report["repaired_at"]),
        (&json!(0), &json!(timestamp(stack.now())))
    );
}

#[tokio::test]
async fn large_channel_is_compared_in_pages() {
    let stack = Stack::new();
    let writer = admin(&stack);
    for batch in 0..22 {
        let create = |number: usize| {
            let id = format!("t-{:04}", batch * 50 + number);
            Item::create("task", &id, json!({"title": ""})).channel("tenant")
        };
        writer.push((0..50).map(create).collect()).await;
        if batch == 10 {
            stack.settle().await;
        }
    }

    let (mut found, mut resources, mut cursor) = (0, 0, String::new());
    loop {
        let page = status(&stack, &format!("?channel=tenant{cursor}")).await;
        let comparison = &page["channels"][0]["comparison"];
        found += comparison["not_in_log"].as_u64().expect("a count");
        resources += comparison["resources"].as_u64().expect("a count");
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!((resources, found), (1100, 550));
}

/// The log has more segments than one request reads: changes in the unread part are not counted,
/// and the comparison is marked as incomplete.
#[tokio::test]
async fn long_log_yields_incomplete_comparison() {
    let stack = Stack::new();
    create(&stack, "first", "tenant").await;
    stack.settle().await;
    for number in 0..90 {
        stack.advance(chrono::Duration::minutes(10));
        create(&stack, &format!("t-{number:02}"), "tenant").await;
        stack.settle().await;
    }

    create(&stack, "last", "tenant").await;
    let comparison = status(&stack, "?channel=tenant").await["channels"][0]["comparison"].clone();
    assert_eq!(
        [&comparison["not_in_log"], &comparison["is_complete"]],
        [&json!(1), &json!(false)],
        "{comparison}"
    );
}

#[tokio::test]
async fn dead_letters_are_counted_but_not_shown() {
    let stack = Stack::new();
    create(&stack, "secret", "tenant").await;
    let mut records = stack.stream_records();
    records[0]["dynamodb"]["NewImage"]["server_version"] = json!({"S": "poison"});
    stack
        .invoke("changelog", &json!({"Records": records}))
        .await;

    for tenant in ["acme", "umbrella"] {
        let response = stack
            .get("status", &stack.token(tenant, "boss", &["admin"], &[]))
            .await;
        assert!(
            !response.text.contains("secret") && !response.text.contains("set-aside/"),
            "{}",
            response.text
        );
        let report = response.ok();
        assert_eq!(
            [
                &report["set_aside"]["objects"],
                &report["given_up"]["objects"]
            ],
            [&json!(1), &json!(0)]
        );
        assert!(report["set_aside"]["oldest_at"].is_string());
    }
}

#[tokio::test]
async fn status_is_for_admins_and_validates_queries() {
    let stack = Stack::new();
    let rejected = stack
        .get("status", &stack.token("acme", "ana", &["editor"], &[]))
        .await;
    assert_eq!(
        (rejected.status, &rejected.json()["code"]),
        (403, &json!("forbidden"))
    );

    create(&stack, "a", "tenant").await;
    create(&stack, "b", "user/x").await;
    stack.settle().await;
    let cursor = status(&stack, "?limit=1").await["next_cursor"]
        .as_str()
        .expect("a cursor")
        .to_owned();
    let token = admin(&stack).token;

    for (query, code, path) in [
        ("channel=everyone", "invalid_request", "channel"),
        ("channel=group/", "invalid_request", "channel"),
        ("limit=0", "invalid_request", "limit"),
        ("cursor=cu1_x", "invalid_cursor", "cursor"),
        (
            &format!("channel=tenant&cursor={cursor}"),
            "invalid_cursor",
            "cursor",
        ),
        (
            &format!(
                "cursor={}",
                tidemark_core::wire::cursor::encode("status", ["nowhere"])
            ),
            "invalid_cursor",
            "cursor",
        ),
        (
            &format!(
                "channel=tenant&cursor={}",
                tidemark_core::wire::cursor::encode("status?channel=tenant", ["x"])
            ),
            "invalid_cursor",
            "cursor",
        ),
    ] {
        let response = stack.get(&format!("status?{query}"), &token).await;
        assert_eq!(
            (
                response.status,
                &response.json()["code"],
                &response.json()["path"]
            ),
            (400, &json!(code), &json!(path)),
            "{query}"
        );
    }
}
