//! Sequencing under faults: regardless of the order of the stream's records and of where a function
//! crashes, no token skips a change.

mod dead_letters;

use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};
use tidemark::engine::http::{CallFate, Hook, NoHook};
use tidemark_tests::{Device, Item, Script, Stack, hooks::Moment, stack::stream_event};

/// Runs the changelog function on these records and returns the sequence numbers that it reported
/// as failed.
async fn failures(stack: &Stack, records: &[Value], hook: Arc<dyn Hook>) -> Vec<String> {
    let changelog = stack.consumer("changelog", hook);
    let response = changelog.sequence(stream_event(records)).await;
    response
        .batch_item_failures
        .into_iter()
        .map(|failure| failure.item_identifier.expect("a sequence number"))
        .collect()
}

/// Runs the changelog function on these records and returns whether it reported no failures.
async fn sequence(stack: &Stack, records: &[Value], hook: Arc<dyn Hook>) -> bool {
    failures(stack, records, hook).await.is_empty()
}

/// Creates and updates up to three meters from one device, one stream record for each push, and
/// returns the records.
async fn writes(stack: &Stack, pushes: usize) -> Vec<Value> {
    let writer = stack.device("writer", "phone");
    let before = stack.stream_records().len();
    for at in 0..pushes as u64 {
        let action = if at < 3 { "create" } else { "update" };
        let payload = json!({"id": format!("m-{}", at % 3), "at": at});
        let item = Item::new("meter", action, at / 3).payload(payload);
        assert_eq!(writer.push_one(item).await["status"], "ok");
    }
    stack.stream_records().split_off(before)
}

/// Returns a device that pulled before anything was sequenced, so that it reads everything from the
/// log.
async fn reader(stack: &Stack) -> Device<'_> {
    let mut reader = stack.device("reader", "tablet");
    reader.pull().await;
    reader
}

/// Checks that a device that followed the log was never reset and holds what a snapshot returns.
async fn assert_complete(stack: &Stack, mut follower: Device<'_>) {
    follower.pull().await;
    assert_eq!(follower.resets, 0);
    let mut fresh = stack.device("fresh", "tablet");
    fresh.pull().await;
    assert!(!fresh.rows().is_empty());
    assert_eq!(follower.live(), fresh.live());
}

#[tokio::test]
async fn repeated_and_reordered_records_leave_no_gap() {
    // Every order of four records in two batches, then the first batch and all records again.
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
async fn late_record_is_appended_after_the_head() {
    let stack = Stack::new();
    let mut follower = reader(&stack).await;
    let records = writes(&stack, 3).await;
    assert!(sequence(&stack, &records[1..], Arc::new(NoHook)).await);
    assert_eq!(follower.pull().await.len(), 2);

    assert!(sequence(&stack, &records[..1], Arc::new(NoHook)).await);
    let late = follower.pull().await;
    assert_eq!((late.len(), &late[0]["id"]), (1, &json!("m-0")));

    // Repeated records are recognized and not appended again.
    let log = stack.rows("changes");
    assert!(sequence(&stack, &records[1..], Arc::new(NoHook)).await);
    assert_eq!(stack.rows("changes"), log);
}

#[tokio::test]
async fn corrupt_row_does_not_lose_late_record() {
    let stack = Stack::new();
    let mut follower = reader(&stack).await;
    let records = writes(&stack, 3).await;
    assert!(sequence(&stack, &records[1..], Arc::new(NoHook)).await);
    follower.pull().await;

    let rows = stack.rows("resources").into_iter();
    let mut rows = rows.filter(|row| row["sk"]["S"] == "meter#m-0");
    let mut row = rows.next().unwrap();
    row["edits"] = json!({"S": "not bytes"});
    stack.dynamodb("PutItem", &json!({"TableName": "resources", "Item": row}));

    assert!(sequence(&stack, &records[..1], Arc::new(NoHook)).await);
    let late = follower.pull().await;
    assert_eq!((late.len(), &late[0]["id"]), (1, &json!("m-0")));
}

#[tokio::test]
async fn superseded_late_record_is_not_sequenced() {
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
async fn new_stream_starts_the_next_epoch() {
    let stack = Stack::new();
    let mut follower = reader(&stack).await;
    let records = writes(&stack, 6).await;
    assert!(sequence(&stack, &records[..2], Arc::new(NoHook)).await);
    follower.pull().await;

    // The stream was disabled and enabled: a newer label, and sequence numbers that start lower.
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
async fn concurrent_invocations_on_one_channel_lose_nothing() {
    let stack = Stack::new();
    let mut follower = reader(&stack).await;
    let records = writes(&stack, 9).await;
    let pass_through = || Arc::new(Script::new(|_, _, _, _| CallFate::Continue));
    let (even, odd): (Vec<_>, Vec<_>) = records
        .chunks(2)
        .enumerate()
        .partition(|(at, _)| at % 2 == 0);

    for ((_, one), (_, other)) in even.into_iter().zip(odd) {
        let (first, second) = tokio::join!(
            sequence(&stack, one, pass_through()),
            sequence(&stack, other, pass_through())
        );
        assert!(first && second);
        follower.pull_page(1).await;
    }

    assert!(sequence(&stack, &records[8..], pass_through()).await);
    assert_complete(&stack, follower).await;
}

#[rstest]
#[case::of_a_new_log(0)]
#[case::of_a_log(2)]
#[tokio::test(start_paused = true)]
async fn lagging_head_is_moved_by_next_invocation(#[case] first: usize) {
    let stack = Stack::new();
    let mut follower = reader(&stack).await;
    let records = writes(&stack, 6).await;
    assert!(first == 0 || sequence(&stack, &records[..first], Arc::new(NoHook)).await);
    assert!(
        !sequence(&stack, &records[first..4], Arc::new(Script::heads_stay())).await,
        "reported in batchItemFailures"
    );
    follower.pull().await;
    assert_eq!(follower.rows().len(), first, "a pull ends at the head");

    assert!(
        sequence(&stack, &records[4..], Arc::new(NoHook)).await,
        "later records are sequenced first"
    );
    follower.pull().await;

    let log = stack.rows("changes");
    assert!(sequence(&stack, &records[first..4], Arc::new(NoHook)).await);
    assert_eq!(
        stack.rows("changes"),
        log,
        "the records were in the log already"
    );
    assert_complete(&stack, follower).await;
}

#[tokio::test(start_paused = true)]
async fn put_with_lost_response_adds_one_segment() {
    let stack = Stack::new();
    let records = writes(&stack, 3).await;
    assert!(sequence(&stack, &records[1..], Arc::new(NoHook)).await);

    let mut is_first = true;
    let lossy = Script::new(move |_, operation, _, moment| {
        let is_it =
            operation == "PutItem" && moment == Moment::After && std::mem::take(&mut is_first);
        if is_it {
            CallFate::Lose
        } else {
            CallFate::Continue
        }
    });

    assert!(sequence(&stack, &records[..1], Arc::new(lossy)).await);
    assert_eq!(
        stack.segments().len(),
        2,
        "the late record is appended once"
    );
}

#[rstest]
#[case::at_the_start(0)]
#[case::in_the_middle(1)]
#[case::at_the_end(2)]
#[tokio::test]
async fn gap_in_the_log_resets_the_channel(#[case] lost: usize) {
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
            follower.rows().len(),
            [0, 2, 3][lost],
            "entries before the gap are delivered"
        );
    }

    assert_eq!(follower.pull_page(100).await["reset"], json!(["tenant"]));
    follower.resets = 0;
    assert_complete(&stack, follower).await;
}

#[tokio::test]
async fn equal_sequence_numbers_hide_no_change() {
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
