//! Sequencing under adversity: whatever the stream does and wherever a function dies, no token
//! skips a change.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::{
    Reply,
    http::{CallFate, Hook, NoHook},
};
use tidemark_tests::{Device, Script, Stack, hooks::Moment, stack::stream_event};

/// Runs the changelog function on these records; whether it took them all.
async fn sequence(stack: &Stack, records: &[Value], hook: Arc<dyn Hook>) -> bool {
    let context = stack.context("changelog", hook);
    let response = tidemark_changelog::handle(&context, stream_event(records)).await;
    response.is_ok_and(|response| response.batch_item_failures.is_empty())
}

/// Creates and edits of a few meters by one device, each push its own stream record; gives the
/// records.
async fn writes(stack: &Stack, pushes: usize) -> Vec<Value> {
    let writer = stack.device("writer", "phone");
    let before = stack.stream_records().len();
    for at in 0..pushes {
        let id = format!("m-{}", at % 3);
        let action = if at < 3 { "create" } else { "update" };
        let item = json!({"resource_type": "meter", "action": action, "client_version": at / 3, "payload": {"id": id, "at": at}});
        assert_eq!(writer.push_one(item).await["status"], "ok");
    }
    stack.stream_records().split_off(before)
}

/// A device that pulled before anything was sequenced, so that it reads all of it from the log.
async fn reader(stack: &Stack) -> Device<'_> {
    let mut reader = stack.device("reader", "tablet");
    reader.pull().await;
    reader
}

/// A device that followed the log, and never had to start over, holds what a snapshot shows.
async fn assert_complete(stack: &Stack, mut follower: Device<'_>) {
    follower.pull().await;
    assert_eq!(follower.resets, 0);
    let mut fresh = stack.device("fresh", "tablet");
    fresh.pull().await;
    assert!(!fresh.rows.is_empty());
    assert_eq!(follower.live(), fresh.live());
}

#[tokio::test]
async fn records_repeated_and_delayed_and_out_of_order_leave_no_gap() {
    // Every order in which four records may come in two batches, and both again.
    for order in permutations(4) {
        for cut in 1..4 {
            let stack = Stack::new();
            let mut follower = reader(&stack).await;
            let records = writes(&stack, 4).await;
            let shuffled: Vec<Value> = order.iter().map(|at| records[*at].clone()).collect();
            for batch in [
                &shuffled[..cut],
                &shuffled[cut..],
                &shuffled[..cut],
                &shuffled[..],
            ] {
                assert!(sequence(&stack, batch, Arc::new(NoHook)).await);
                follower.pull_page(2).await;
            }
            assert_complete(&stack, follower).await;
        }
    }
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for next in 0..count {
        all = all
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..=order.len()).map(move |at| {
                    let mut order = order.clone();
                    order.insert(at, next);
                    order
                })
            })
            .collect();
    }
    all
}

#[tokio::test]
async fn a_late_record_is_appended_behind_the_head_and_reaches_who_has_passed_it() {
    let stack = Stack::new();
    let mut follower = reader(&stack).await;
    let records = writes(&stack, 3).await;
    assert!(sequence(&stack, &records[1..], Arc::new(NoHook)).await);
    assert_eq!(follower.pull().await.len(), 2);
    assert!(sequence(&stack, &records[..1], Arc::new(NoHook)).await);
    let late = follower.pull().await;
    assert_eq!((late.len(), &late[0]["id"]), (1, &json!("m-0")));
    // Repeats are recognised: nothing is appended again.
    let log = stack.rows("changes");
    assert!(sequence(&stack, &records[1..], Arc::new(NoHook)).await);
    assert_eq!(stack.rows("changes"), log);
}

#[tokio::test]
async fn a_late_record_whose_row_is_newer_is_not_sequenced() {
    let stack = Stack::new();
    let mut follower = reader(&stack).await;
    let records = writes(&stack, 6).await;
    assert!(sequence(&stack, &records[3..], Arc::new(NoHook)).await);
    assert!(sequence(&stack, &records[..3], Arc::new(NoHook)).await);
    let changes = follower.pull().await;
    assert!(
        changes.len() == 3 && changes.iter().all(|change| change["server_version"] == 2),
        "{changes:?}"
    );
}

#[tokio::test]
async fn a_new_stream_starts_the_next_epoch_and_leftovers_of_the_old_one_come_late() {
    let stack = Stack::new();
    let mut follower = reader(&stack).await;
    let records = writes(&stack, 6).await;
    assert!(sequence(&stack, &records[..2], Arc::new(NoHook)).await);
    follower.pull().await;
    // The stream was switched off and on: a newer label, and numbers that start lower.
    let renumbered = |record: &Value, number: usize| {
        let mut record = record.clone();
        let arn = record["eventSourceARN"]
            .as_str()
            .expect("an ARN")
            .to_owned();
        let (table, _) = arn.split_once("/stream/").expect("a stream");
        record["eventSourceARN"] = format!("{table}/stream/9999999999.0").into();
        record["dynamodb"]["SequenceNumber"] = format!("{number:021}").into();
        record
    };
    assert!(
        sequence(
            &stack,
            &[renumbered(&records[3], 7), renumbered(&records[4], 8)],
            Arc::new(NoHook)
        )
        .await
    );
    follower.pull().await;
    assert!(
        sequence(&stack, &records[2..3], Arc::new(NoHook)).await,
        "a leftover of the old stream"
    );
    assert!(sequence(&stack, &[renumbered(&records[5], 9)], Arc::new(NoHook)).await);
    assert_complete(&stack, follower).await;
}

#[tokio::test]
async fn two_invocations_racing_on_one_channel_lose_nothing() {
    let stack = Stack::new();
    let mut follower = reader(&stack).await;
    let records = writes(&stack, 9).await;
    let politely = || Arc::new(Script::new(|_, _, _, _| CallFate::Continue));
    let (even, odd): (Vec<_>, Vec<_>) = records
        .chunks(2)
        .enumerate()
        .partition(|(at, _)| at % 2 == 0);
    for ((_, one), (_, other)) in even.into_iter().zip(odd) {
        let (first, second) = tokio::join!(
            sequence(&stack, one, politely()),
            sequence(&stack, other, politely())
        );
        assert!(first && second);
        follower.pull_page(1).await;
    }
    assert!(sequence(&stack, &records[8..], politely()).await);
    assert_complete(&stack, follower).await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_lags_behind_is_moved_by_whoever_comes_next() {
    for first in [0, 2] {
        let stack = Stack::new();
        let mut follower = reader(&stack).await;
        let records = writes(&stack, 6).await;
        assert!(first == 0 || sequence(&stack, &records[..first], Arc::new(NoHook)).await);
        assert!(
            !sequence(&stack, &records[first..4], Arc::new(Script::heads_stay())).await,
            "given back"
        );
        follower.pull().await;
        assert_eq!(follower.rows.len(), first, "nobody reads behind the head");
        assert!(
            sequence(&stack, &records[4..], Arc::new(NoHook)).await,
            "others come first"
        );
        follower.pull().await;
        let log = stack.rows("changes");
        assert!(sequence(&stack, &records[first..4], Arc::new(NoHook)).await);
        assert_eq!(stack.rows("changes"), log, "it stood there");
        assert_complete(&stack, follower).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_segment_whose_answer_is_lost_is_put_once() {
    let stack = Stack::new();
    let records = writes(&stack, 3).await;
    assert!(sequence(&stack, &records[1..], Arc::new(NoHook)).await);
    let mut is_first = true;
    let deaf = Script::new(move |_, operation, _, moment| {
        let is_it =
            operation == "PutItem" && moment == Moment::After && std::mem::take(&mut is_first);
        if is_it {
            CallFate::Lose
        } else {
            CallFate::Continue
        }
    });
    assert!(sequence(&stack, &records[..1], Arc::new(deaf)).await);
    assert_eq!(
        stack.segments().len(),
        2,
        "a late record finds nothing of its own at its position"
    );
}

#[tokio::test]
async fn a_log_that_does_not_lead_on_starts_the_channel_over() {
    for lost in [0, 1, 2] {
        let stack = Stack::new();
        let mut follower = reader(&stack).await;
        let records = writes(&stack, 6).await;
        for batch in records.chunks(2) {
            assert!(sequence(&stack, batch, Arc::new(NoHook)).await);
        }
        let mut segments = stack.segments();
        segments.sort_by_key(|row| row["sk"]["S"].to_string());
        let key = json!({"pk": segments[lost]["pk"], "sk": segments[lost]["sk"]});
        stack.dynamodb("DeleteItem", &json!({"TableName": "changes", "Key": key}));
        if lost > 0 {
            let page = follower.pull_page(100).await;
            assert_eq!((&page["has_more"], page.get("reset")), (&json!(true), None));
            assert_eq!(
                follower.rows.len(),
                [0, 2, 3][lost],
                "what leads on is delivered"
            );
        }
        assert_eq!(follower.pull_page(100).await["reset"], json!(["tenant"]));
        follower.resets = 0;
        assert_complete(&stack, follower).await;
    }
}

#[tokio::test]
async fn an_unreadable_record_is_set_aside_and_the_rest_goes_on() {
    let stack = Stack::new();
    let follower = reader(&stack).await;
    let mut records = writes(&stack, 4).await;
    records[1]["dynamodb"]["NewImage"]["server_version"] = json!({"S": "poison"});
    records.insert(2, json!({"not": "a record", "large": "x".repeat(900_000)}));
    assert!(sequence(&stack, &records, Arc::new(NoHook)).await);
    let aside = stack.dead_letter().await;
    assert!(
        aside
            .keys()
            .all(|key| key.starts_with("set-aside/changelog/") && key.ends_with(".json")),
        "{:?}",
        aside.keys()
    );
    let kept: Vec<&Value> = aside.values().map(|object| &object["record"]).collect();
    assert!(
        kept.len() == 2 && kept.contains(&&records[1]) && kept.contains(&&records[2]),
        "whole, the large one too"
    );
    for object in aside.values() {
        assert_eq!(object["function"], "changelog");
        assert!(object["reason"].is_string() && object["set_aside_at"].is_string());
    }
    // What is delivered again is kept, and announced, once.
    stack.advance(chrono::Duration::hours(1));
    assert!(sequence(&stack, &records, Arc::new(NoHook)).await);
    assert_eq!(stack.dead_letter().await, aside);
    let mut follower = follower;
    follower.pull().await;
    assert_eq!(
        follower.live().into_keys().collect::<Vec<_>>(),
        ["m-0", "m-2"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_record_that_cannot_be_set_aside_is_delivered_again() {
    let stack = Stack::new();
    let mut records = writes(&stack, 3).await;
    records[1]["dynamodb"]["NewImage"]["server_version"] = json!({"S": "poison"});
    let hook = || {
        Script::new(|_, operation, _, _| {
            if operation == "PutObject" {
                CallFate::Lose
            } else {
                CallFate::Continue
            }
        })
    };
    let context = stack.context("changelog", Arc::new(hook()));
    let response = tidemark_changelog::handle(&context, stream_event(&records))
        .await
        .expect("a response");
    let dead_letters: Vec<_> = response
        .batch_item_failures
        .into_iter()
        .map(|failure| failure.item_identifier)
        .collect();
    assert_eq!(
        dead_letters,
        [records[1]["dynamodb"]["SequenceNumber"]
            .as_str()
            .map(ToOwned::to_owned)]
    );
    assert!(sequence(&stack, &records[1..], Arc::new(NoHook)).await);
    assert_eq!(stack.dead_letter().await.len(), 1);
}

#[tokio::test]
async fn a_change_that_repairs_an_unreadable_row_is_sequenced() {
    let stack = Stack::new();
    let mut follower = reader(&stack).await;
    let mut records = writes(&stack, 4).await;
    records[3]["dynamodb"]["OldImage"]["payload"] = json!({"N": "1"});
    assert!(sequence(&stack, &records, Arc::new(NoHook)).await);
    follower.pull().await;
    assert_eq!(follower.live()["m-0"].server_version, 2);
}

#[tokio::test]
async fn two_shards_that_give_one_number_to_two_changes_hide_neither() {
    let stack = Stack::new();
    let mut follower = reader(&stack).await;
    let mut records = writes(&stack, 2).await;
    records[1]["dynamodb"]["SequenceNumber"] = records[0]["dynamodb"]["SequenceNumber"].clone();
    for record in &records {
        assert!(sequence(&stack, std::slice::from_ref(record), Arc::new(NoHook)).await);
    }
    follower.pull().await;
    assert_eq!(
        follower.live().into_keys().collect::<Vec<_>>(),
        ["m-0", "m-1"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_cannot_be_sequenced_is_reported_by_its_first_record_and_the_others_go_on() {
    let stack = Stack::new();
    let mut records = writes(&stack, 2).await;
    let own = json!({"client_temp_id": "t", "resource_type": "submission", "action": "create", "client_version": 1,
        "payload": {"form_id": "f", "data": {}}});
    stack.device("reader", "phone").push_one(own).await;
    records = stack
        .stream_records()
        .split_off(stack.stream_records().len() - records.len() - 1);
    let failing = Script::new(|_, operation, body, moment| match moment {
        Moment::Before if operation == "PutItem" && body.contains("acme#tenant") => {
            CallFate::Reply(Reply::error(500, "InternalServerError", "out of order"))
        }
        _ => CallFate::Continue,
    });
    let context = stack.context("changelog", Arc::new(failing));
    let response = tidemark_changelog::handle(&context, stream_event(&records))
        .await
        .expect("a response");
    let dead_letters: Vec<_> = response
        .batch_item_failures
        .into_iter()
        .map(|failure| failure.item_identifier)
        .collect();
    assert_eq!(
        dead_letters,
        [records[0]["dynamodb"]["SequenceNumber"]
            .as_str()
            .map(ToOwned::to_owned)]
    );
    let heads = stack
        .rows("changes")
        .into_iter()
        .filter(|row| row["sk"]["S"] == "head")
        .count();
    assert_eq!(heads, 1, "the user's channel went on");
}
