//! What was delivered, §4.8 of the protocol: derived from what a device acknowledged and what the
//! log holds.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use tidemark::engine::http::NoHook;
use tidemark_aws::delivery::is_delivered;
use tidemark_core::{channel::Channel, delivery::AwaitedVersion, resource::ResourceKey};
use tidemark_tests::{Device, Stack};

fn edit(id: &str, base: u64) -> Value {
    let action = if base == 0 { "create" } else { "update" };
    json!({"resource_type": "meter", "action": action, "client_version": base, "base_version": base,
        "payload": {"id": id, "reading": base}})
}

/// Whether ana's phone has the meter `id` at this version, made at that moment.
async fn has(stack: &Stack, id: &str, server_version: u64, made_at: DateTime<Utc>) -> bool {
    let resource = ResourceKey {
        channel: Channel::Tenant,
        resource_type: "meter".into(),
        id: id.into(),
    };
    let context = stack.parts("conflicts", Arc::new(NoHook));
    let awaited = AwaitedVersion {
        resource: &resource,
        server_version,
        made_at,
    };
    is_delivered(&context, "acme", "ana", "phone", &awaited)
        .await
        .expect("an answer")
}

async fn catch_up(device: &mut Device<'_>) {
    device.pull().await;
    device.ack().await.ok();
}

#[tokio::test]
async fn delivered_is_what_the_device_has_acknowledged_since_it_was_sequenced() {
    let stack = Stack::new();
    let (mut ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    assert_eq!(ben.push_one(edit("m", 0)).await["status"], "ok");
    stack.settle().await;
    assert!(
        !has(&stack, "m", 1, stack.now()).await,
        "it never acknowledged anything"
    );
    catch_up(&mut ana).await;
    stack.advance(Duration::minutes(10));

    let made_at = stack.now();
    assert_eq!(ben.push_one(edit("m", 1)).await["server_version"], 2);
    catch_up(&mut ana).await;
    assert!(
        !has(&stack, "m", 2, made_at).await,
        "it is not in the log yet"
    );
    stack.settle().await;
    assert!(
        !has(&stack, "m", 2, made_at).await,
        "it is in the log, and the device stands before it"
    );
    ana.pull().await;
    assert!(
        !has(&stack, "m", 2, made_at).await,
        "it is pulled, and not acknowledged"
    );
    let mut tablet = stack.device("ana", "tablet");
    catch_up(&mut tablet).await;
    assert!(!has(&stack, "m", 2, made_at).await, "another device has it");
    ana.ack().await.ok();
    assert!(has(&stack, "m", 2, made_at).await);
    assert!(
        !has(&stack, "m", 3, made_at).await,
        "a version that there is not"
    );
}

#[tokio::test]
async fn a_newer_version_counts_and_what_stands_behind_the_position_does_not() {
    let stack = Stack::new();
    let (mut ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    catch_up(&mut ana).await;
    let made_at = stack.now();
    // One segment, of which the device acknowledges the first half.
    let items: Vec<Value> = (0..20)
        .map(|number| edit(&format!("m-{number}"), 0))
        .collect();
    ben.push(items.into()).await;
    stack.settle().await;
    ana.pull_page(10).await;
    ana.ack().await.ok();
    let mut delivered = 0;
    for number in 0..20 {
        let is_held = ana.live().contains_key(&format!("m-{number}"));
        assert_eq!(
            has(&stack, &format!("m-{number}"), 1, made_at).await,
            is_held,
            "m-{number}"
        );
        delivered += usize::from(is_held);
    }
    assert_eq!(delivered, 10);
    catch_up(&mut ana).await;
    ben.push(json!([edit("m-0", 1), edit("m-0", 2)])).await;
    stack.settle().await;
    catch_up(&mut ana).await;
    assert!(
        has(&stack, "m-0", 2, made_at).await,
        "the log holds version 3 alone"
    );
}

#[tokio::test]
async fn delivered_is_found_behind_many_segments_and_beyond_them_a_day_decides() {
    let stack = Stack::new();
    let (mut ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ben.push_one(edit("before", 0)).await;
    stack.settle().await;
    catch_up(&mut ana).await;
    stack.advance(Duration::hours(1));
    let made_at = stack.now();
    ben.push_one(edit("m", 0)).await;
    stack.settle().await;
    for number in 0..100 {
        ben.push_one(edit(&format!("n-{number}"), 0)).await;
        stack.settle().await;
        if number == 40 {
            catch_up(&mut ana).await;
            assert!(has(&stack, "m", 1, made_at).await, "behind 40 segments");
            assert!(!has(&stack, "m", 2, made_at).await);
            assert!(
                !has(&stack, "before", 2, made_at).await,
                "reading ends where the log is older"
            );
        }
    }
    catch_up(&mut ana).await;
    assert!(
        !has(&stack, "m", 1, made_at).await,
        "too far to look, and too young to be told without"
    );
    stack.advance(Duration::hours(25));
    catch_up(&mut ana).await;
    assert!(
        has(&stack, "m", 1, made_at).await,
        "the device was caught up a day later"
    );
}

#[tokio::test]
async fn what_has_left_the_log_is_told_by_time() {
    let stack = Stack::new();
    let (mut ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    catch_up(&mut ana).await;
    let made_at = stack.now();
    ben.push_one(edit("m", 0)).await;
    ben.push_one(edit("n", 0)).await;
    stack.settle().await;
    stack.advance(Duration::days(2));
    let expire = |stack: &Stack| {
        for row in stack.segments() {
            stack.dynamodb(
                "DeleteItem",
                &json!({"TableName": "changes", "Key": {"pk": row["pk"], "sk": row["sk"]}}),
            );
        }
    };
    catch_up(&mut ana).await;
    expire(&stack);
    assert!(has(&stack, "m", 1, made_at).await);
    assert!(!has(&stack, "m", 1, stack.now()).await);
    ben.push_one(edit("o", 0)).await;
    stack.settle().await;
    assert!(
        has(&stack, "m", 1, made_at).await,
        "and with a segment behind the position"
    );
    assert!(!has(&stack, "m", 1, stack.now()).await);
}

#[tokio::test]
async fn a_position_beyond_the_end_of_the_log_delivers_nothing() {
    let stack = Stack::new();
    let (mut ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let made_at = stack.now();
    ben.push_one(edit("m", 0)).await;
    stack.settle().await;
    catch_up(&mut ana).await;
    // Another deployment with less in it: what a restored one looks like.
    let restored = Stack::new();
    let body = json!({"ack_token": ana.since, "device_id": "phone"});
    restored.post("sync/ack", &ana.token, &body).await.ok();
    assert!(!has(&restored, "m", 1, made_at - Duration::days(9)).await);
}

#[tokio::test]
async fn after_a_snapshot_the_position_noted_before_it_counts() {
    let stack = Stack::new();
    let (mut ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let made_at = stack.now();
    let items: Vec<Value> = (0..5)
        .map(|number| edit(&format!("m-{number}"), 0))
        .collect();
    ben.push(items.into()).await;
    stack.settle().await;
    ana.pull_page(2).await;
    ben.push_one(edit("m-4", 1)).await;
    stack.settle().await;
    ana.ack().await.ok();
    assert!(
        !has(&stack, "m-0", 1, made_at).await,
        "its snapshot is not complete"
    );
    while ana.rows.len() < 5 {
        ana.pull_page(1).await;
    }
    catch_up(&mut ana).await;
    assert!(has(&stack, "m-4", 2, made_at).await && has(&stack, "m-0", 1, made_at).await);
}
