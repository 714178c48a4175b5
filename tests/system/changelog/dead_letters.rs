//! Records that cannot be sequenced: a corrupt record is dead-lettered, a record whose channel
//! fails is retried, and all other records are sequenced.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::{
    Reply,
    http::{CallFate, NoHook},
};
use tidemark_tests::{Item, Script, Stack, hooks::Moment};

use super::{failures, reader, sequence, writes};

#[tokio::test]
async fn corrupt_record_is_dead_lettered_others_sequenced() {
    let stack = Stack::new();
    let follower = reader(&stack).await;
    let mut records = writes(&stack, 4).await;
    records[1]["dynamodb"]["NewImage"]["server_version"] = json!({"S": "poison"});
    records.insert(2, json!({"not": "a record", "large": "x".repeat(900_000)}));
    assert!(sequence(&stack, &records, Arc::new(NoHook)).await);

    let dead_letters = stack.dead_letters().await;
    assert!(
        dead_letters
            .keys()
            .all(|key| key.starts_with("set-aside/changelog/") && key.ends_with(".json")),
        "{:?}",
        dead_letters.keys()
    );
    let kept: Vec<&Value> = dead_letters
        .values()
        .map(|object| &object["record"])
        .collect();
    assert!(
        kept.len() == 2 && kept.contains(&&records[1]) && kept.contains(&&records[2]),
        "records are stored whole, including the large one"
    );
    for object in dead_letters.values() {
        assert_eq!(object["function"], "changelog");
        assert!(object["reason"].is_string() && object["set_aside_at"].is_string());
    }

    // A record that is delivered again is stored and announced only once.
    stack.advance(chrono::Duration::hours(1));
    assert!(sequence(&stack, &records, Arc::new(NoHook)).await);
    assert_eq!(stack.dead_letters().await, dead_letters);

    let mut follower = follower;
    follower.pull().await;
    assert_eq!(
        follower.live().into_keys().collect::<Vec<_>>(),
        ["m-0", "m-2"]
    );
}

#[tokio::test(start_paused = true)]
async fn failed_dead_lettering_retries_corrupt_record() {
    let stack = Stack::new();
    let mut records = writes(&stack, 3).await;
    records[1]["dynamodb"]["NewImage"]["server_version"] = json!({"S": "poison"});
    let losing = Script::new(|_, operation, _, _| {
        if operation == "PutObject" {
            CallFate::Lose
        } else {
            CallFate::Continue
        }
    });

    let failed = failures(&stack, &records, Arc::new(losing)).await;
    assert_eq!(failed, [records[1]["dynamodb"]["SequenceNumber"].clone()]);
    assert!(sequence(&stack, &records[1..], Arc::new(NoHook)).await);
    assert_eq!(stack.dead_letters().await.len(), 1);
}

#[tokio::test]
async fn change_that_repairs_corrupt_row_is_sequenced() {
    let stack = Stack::new();
    let mut follower = reader(&stack).await;
    let mut records = writes(&stack, 4).await;
    records[3]["dynamodb"]["OldImage"]["payload"] = json!({"N": "1"});
    assert!(sequence(&stack, &records, Arc::new(NoHook)).await);
    follower.pull().await;
    assert_eq!(follower.live()["m-0"].server_version, 2);
}

#[tokio::test(start_paused = true)]
async fn failing_channel_is_reported_others_are_sequenced() {
    let stack = Stack::new();
    let mut records = writes(&stack, 2).await;
    let own = Item::create_as("submission", "t", json!({"form_id": "f", "data": {}})).version(1);
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

    let failed = failures(&stack, &records, Arc::new(failing)).await;
    assert_eq!(failed, [records[0]["dynamodb"]["SequenceNumber"].clone()]);

    let heads = stack
        .rows("changes")
        .into_iter()
        .filter(|row| row["sk"]["S"] == "head")
        .count();
    assert_eq!(heads, 1, "the user's channel is sequenced");
}
