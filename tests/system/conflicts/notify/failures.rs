//! Notifications while SNS or the dead-letter bucket fails, and when the stream redelivers: each
//! resolution is published at least once and with the same content, or it is dead-lettered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tidemark::{
    engine::http::{CallFate, Hook, NoHook},
    topic::rejection,
};
use tidemark_tests::{Script, Stack, hooks::Moment, stack::stream_event};

use super::{is_resolution, published_ids, resolve_all};
use crate::conflicts::{conflicted, resolve};

/// Runs the notify function on these records. Returns the sequence number that it reports in
/// `batchItemFailures`, if any.
async fn notify(stack: &Stack, records: &[Value], hook: Arc<dyn Hook>) -> Option<String> {
    let notify = stack.consumer("notify", hook);
    let response = notify.notify(stream_event(records)).await;
    assert!(response.batch_item_failures.len() < 2);
    response
        .batch_item_failures
        .into_iter()
        .next()
        .and_then(|failure| failure.item_identifier)
}

fn number(record: &Value) -> String {
    record["dynamodb"]["SequenceNumber"]
        .as_str()
        .expect("a number")
        .to_owned()
}

/// Returns a hook that rejects each `Publish` whose body contains `word`.
fn rejecting(word: &'static str, status: u16, code: &'static str) -> Arc<Script> {
    Arc::new(Script::new(
        move |_, operation, body, moment| match moment {
            Moment::Before if operation == "Publish" && body.contains(word) => {
                CallFate::Reply(rejection(status, code, "no"))
            }
            _ => CallFate::Continue,
        },
    ))
}

#[tokio::test(start_paused = true)]
async fn sns_failure_does_not_block_change_log() {
    let down = Arc::new(AtomicBool::new(true));
    let hook = {
        let down = Arc::clone(&down);
        Script::new(move |_, operation, _, moment| {
            let fails =
                operation == "Publish" && moment == Moment::Before && down.load(Ordering::SeqCst);
            if fails {
                CallFate::Reply(rejection(500, "InternalError", "down"))
            } else {
                CallFate::Continue
            }
        })
    };

    let stack = Stack::new().streaming(Arc::new(hook));
    let ids = [
        conflicted(&stack, "m-1").await,
        conflicted(&stack, "m-2").await,
    ];
    let mut phone = stack.device("ana", "phone");
    phone.pull().await;
    for id in &ids {
        resolve(&stack, id, &json!({"resolution": "accept_client"}))
            .await
            .ok();
    }

    let poll_until_pulled = async {
        for attempt in 0.. {
            if attempt == 600
                || phone
                    .pull()
                    .await
                    .iter()
                    .any(|change| change["conflict"]["id"] == ids[1].as_str())
            {
                return attempt < 600;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    };

    tokio::select! {
        () = stack.settle() => panic!("the stream settled although every publish failed"),
        was_pulled = poll_until_pulled => assert!(was_pulled),
    }

    assert_eq!(stack.topic.published(), []);
    down.store(false, Ordering::SeqCst);
    stack.settle().await;
    assert_eq!(published_ids(&stack), ids.map(Value::from));
}

#[tokio::test(start_paused = true)]
async fn records_after_a_failed_one_wait() {
    let stack = Stack::new();
    let (ids, records) = resolve_all(&stack, &["m-1", "m-2", "m-3"]).await;
    let decisions: Vec<&Value> = records
        .iter()
        .filter(|record| is_resolution(record))
        .collect();

    let outages: [(u16, &'static str); 4] = [
        (500, "InternalError"),
        (403, "AuthorizationError"),
        (404, "NotFound"),
        (429, "Throttled"),
    ];

    for (at, (status, code)) in outages.into_iter().enumerate() {
        let failed = notify(&stack, &records, rejecting("m-2", status, code)).await;
        assert_eq!(failed, Some(number(decisions[1])), "{code}");
        assert_eq!(
            published_ids(&stack).len(),
            at + 1,
            "{code}: only the first is published"
        );
    }

    let failed = notify(
        &stack,
        &records,
        Arc::new(Script::new(|_, _, _, _| CallFate::Lose)),
    )
    .await;
    assert_eq!(failed, Some(number(decisions[0])));

    let from = records
        .iter()
        .position(|record| record == decisions[1])
        .expect("it");
    assert_eq!(
        notify(&stack, &records[from..], Arc::new(NoHook)).await,
        None
    );
    assert_eq!(published_ids(&stack)[4..], [json!(ids[1]), json!(ids[2])]);
    assert!(stack.dead_letters().await.is_empty());
}

#[tokio::test]
async fn redelivered_record_is_published_unchanged() {
    let stack = Stack::new();
    let (_, records) = resolve_all(&stack, &["m-1"]).await;
    assert_eq!(notify(&stack, &records, Arc::new(NoHook)).await, None);
    stack.advance(chrono::Duration::hours(2));
    assert_eq!(notify(&stack, &records, Arc::new(NoHook)).await, None);
    let published = stack.topic.published();
    assert!(
        published.len() == 2 && published[0] == published[1],
        "{published:?}"
    );
}

#[tokio::test]
async fn unpublishable_records_are_dead_lettered() {
    let stack = Stack::new();
    let (ids, mut records) = resolve_all(&stack, &["m-1", "m-2", "m-3"]).await;

    let decision = records
        .iter()
        .position(|record| record.to_string().contains("m-1") && is_resolution(record))
        .expect("it");
    records[decision]["dynamodb"]["NewImage"]["outcome"]["M"]["resolved_at"] =
        json!({"S": "poison"});
    records.insert(2, json!({"not": "a record"}));

    for code in [
        "InvalidParameter",
        "ParameterValueInvalid",
        "ValidationException",
    ] {
        assert_eq!(
            notify(&stack, &records, rejecting("m-2", 400, code)).await,
            None,
            "{code}"
        );
    }

    assert_eq!(
        published_ids(&stack),
        [&ids[2], &ids[2], &ids[2]].map(|id| json!(id))
    );

    let dead_letters = stack.dead_letters().await;
    assert!(
        dead_letters
            .keys()
            .all(|key| key.starts_with("set-aside/notify/"))
    );
    let kept: Vec<&Value> = dead_letters
        .values()
        .map(|object| &object["record"])
        .collect();
    assert_eq!(kept.len(), 3, "each is dead-lettered once");
    assert!(kept.contains(&&records[decision]) && kept.contains(&&records[2]));
    assert!(kept.iter().any(|record| record.to_string().contains("m-2")));
}

#[tokio::test(start_paused = true)]
async fn unpublishable_record_retried_if_dead_lettering_fails() {
    let stack = Stack::new();
    let (_, mut records) = resolve_all(&stack, &["m-1", "m-2"]).await;
    records[1]["dynamodb"]["NewImage"]["outcome"] = json!({"S": "poison"});
    assert!(is_resolution(&records[1]));

    let lost = Script::new(|_, operation, _, _| {
        if operation == "PutObject" {
            CallFate::Lose
        } else {
            CallFate::Continue
        }
    });

    assert_eq!(
        notify(&stack, &records, Arc::new(lost)).await,
        Some(number(&records[1]))
    );
    assert_eq!(notify(&stack, &records, Arc::new(NoHook)).await, None);
    assert_eq!(
        (
            stack.dead_letters().await.len(),
            published_ids(&stack).len()
        ),
        (1, 1)
    );
}
