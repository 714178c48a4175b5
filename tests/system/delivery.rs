//! Delivery status, §4.8 of the protocol: derived from what a device acknowledged and the entries
//! of the log.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use tidemark::engine::http::NoHook;
use tidemark_app::delivery::{ReadAllowance, is_delivered};
use tidemark_core::{
    model::{channel::Channel, resource::ResourceKey},
    rules::delivery::AwaitedVersion,
};
use tidemark_tests::{Device, Item, Stack, scenario};

fn edit(id: &str, base: u64) -> Item {
    let action = if base == 0 { "create" } else { "update" };
    scenario::meter(action, id, base, json!({"reading": base}))
}

/// Lets a device push these items, and appends them to the log.
async fn push_to_log(stack: &Stack, device: &Device<'_>, items: impl IntoIterator<Item = Item>) {
    device.push(items.into_iter().collect()).await;
    stack.settle().await;
}

/// Returns whether Ana's phone has the meter `id` at this version, which was written at `made_at`.
async fn has(stack: &Stack, id: &str, server_version: u64, made_at: DateTime<Utc>) -> bool {
    let resource = ResourceKey {
        channel: Channel::Tenant,
        resource_type: "meter".into(),
        id: id.into(),
    };
    let context = stack.parts("admin", Arc::new(NoHook));
    let awaited = AwaitedVersion {
        resource: &resource,
        server_version,
        made_at,
    };
    let allowance = ReadAllowance::default();
    is_delivered(&context, "acme", "ana", "phone", &awaited, &allowance)
        .await
        .expect("a delivery status")
}

#[tokio::test]
async fn acknowledged_change_counts_as_delivered() {
    let stack = Stack::new();
    let (mut ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    assert_eq!(ben.push_one(edit("m", 0)).await["status"], "ok");
    stack.settle().await;
    assert!(
        !has(&stack, "m", 1, stack.now()).await,
        "the device never acknowledged anything"
    );
    ana.pull_and_ack().await;
    stack.advance(Duration::minutes(10));

    let made_at = stack.now();
    assert_eq!(ben.push_one(edit("m", 1)).await["server_version"], 2);
    ana.pull_and_ack().await;
    assert!(
        !has(&stack, "m", 2, made_at).await,
        "the change is not in the log yet"
    );
    stack.settle().await;
    assert!(
        !has(&stack, "m", 2, made_at).await,
        "the change is in the log, after the position of the device"
    );
    ana.pull().await;
    assert!(
        !has(&stack, "m", 2, made_at).await,
        "the change is pulled, and not acknowledged"
    );
    let mut tablet = stack.device("ana", "tablet");
    tablet.pull_and_ack().await;
    assert!(
        !has(&stack, "m", 2, made_at).await,
        "only another device has it"
    );
    ana.ack().await.ok();
    assert!(has(&stack, "m", 2, made_at).await);
    assert!(
        !has(&stack, "m", 3, made_at).await,
        "a version that does not exist"
    );
}

#[tokio::test]
async fn acknowledged_part_of_a_segment_is_delivered() {
    let stack = Stack::new();
    let (mut ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ana.pull_and_ack().await;
    let made_at = stack.now();

    // One segment. The device acknowledges the first half of it.
    let creates = (0..20).map(|number| edit(&format!("m-{number}"), 0));
    push_to_log(&stack, &ben, creates).await;
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

    ana.pull_and_ack().await;
    push_to_log(&stack, &ben, [edit("m-0", 1), edit("m-0", 2)]).await;
    ana.pull_and_ack().await;
    assert!(
        has(&stack, "m-0", 2, made_at).await,
        "the log contains only version 3"
    );
}

#[tokio::test]
async fn delivery_beyond_read_limit_depends_on_age() {
    let stack = Stack::new();
    let (mut ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    push_to_log(&stack, &ben, [edit("before", 0)]).await;
    ana.pull_and_ack().await;

    stack.advance(Duration::hours(1));
    let made_at = stack.now();
    push_to_log(&stack, &ben, [edit("m", 0)]).await;

    for number in 0..100 {
        push_to_log(&stack, &ben, [edit(&format!("n-{number}"), 0)]).await;
        if number == 40 {
            ana.pull_and_ack().await;
            assert!(has(&stack, "m", 1, made_at).await, "after 40 segments");
            assert!(!has(&stack, "m", 2, made_at).await);
            assert!(
                !has(&stack, "before", 2, made_at).await,
                "reading ends at older entries"
            );
        }
    }

    ana.pull_and_ack().await;
    assert!(
        !has(&stack, "m", 1, made_at).await,
        "beyond the read limit, and written less than a day ago"
    );

    stack.advance(Duration::hours(25));
    ana.pull_and_ack().await;
    assert!(
        has(&stack, "m", 1, made_at).await,
        "the device had caught up a day later"
    );
}

#[tokio::test]
async fn delivery_of_expired_changes_depends_on_time() {
    let stack = Stack::new();
    let (mut ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    ana.pull_and_ack().await;
    let made_at = stack.now();
    ben.push_one(edit("m", 0)).await;
    ben.push_one(edit("n", 0)).await;
    stack.settle().await;

    stack.advance(Duration::days(2));
    ana.pull_and_ack().await;
    scenario::expire_log(&stack);
    assert!(has(&stack, "m", 1, made_at).await);
    assert!(!has(&stack, "m", 1, stack.now()).await);

    push_to_log(&stack, &ben, [edit("o", 0)]).await;
    assert!(
        has(&stack, "m", 1, made_at).await,
        "also with a segment after the position"
    );
    assert!(!has(&stack, "m", 1, stack.now()).await);
}

#[tokio::test]
async fn position_beyond_log_end_delivers_nothing() {
    let stack = Stack::new();
    let (mut ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let made_at = stack.now();
    push_to_log(&stack, &ben, [edit("m", 0)]).await;
    ana.pull_and_ack().await;
    // A second deployment with fewer changes, as after a restore.
    let restored = Stack::new();
    let body = json!({"ack_token": ana.since(), "device_id": "phone"});
    restored.post("sync/ack", &ana.token, &body).await.ok();
    assert!(!has(&restored, "m", 1, made_at - Duration::days(9)).await);
}

#[tokio::test]
async fn delivery_after_snapshot_uses_its_start_position() {
    let stack = Stack::new();
    let (mut ana, ben) = (stack.device("ana", "phone"), stack.device("ben", "phone"));
    let made_at = stack.now();
    let creates = (0..5).map(|number| edit(&format!("m-{number}"), 0));
    push_to_log(&stack, &ben, creates).await;

    ana.pull_page(2).await;
    push_to_log(&stack, &ben, [edit("m-4", 1)]).await;

    ana.ack().await.ok();
    assert!(
        !has(&stack, "m-0", 1, made_at).await,
        "the snapshot is not complete"
    );

    while ana.rows().len() < 5 {
        ana.pull_page(1).await;
    }
    ana.pull_and_ack().await;
    assert!(has(&stack, "m-4", 2, made_at).await && has(&stack, "m-0", 1, made_at).await);
}
