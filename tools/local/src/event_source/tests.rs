//! The event source mapping with functions that succeed, fail, and report batch item failures.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::*;
use crate::template::Template;

type SeenBatches = Arc<Mutex<Vec<Vec<String>>>>;

/// Returns a function that records the keys of each batch and returns the result of `response`.
fn recording(
    seen: SeenBatches,
    response: impl Fn(usize, &StreamEvent) -> Result<DynamoDbEventResponse, String> + Send + 'static,
) -> impl Consumer {
    move |event: StreamEvent| -> BoxFuture<'static, Result<DynamoDbEventResponse, String>> {
        let keys = event.records.iter().map(|record| {
            serde_json::from_str::<serde_json::Value>(record.get()).unwrap()["dynamodb"]["Keys"]
                    ["sk"]["S"]
                    .as_str()
                    .unwrap()
                    .to_owned()
        });

        let mut seen = seen.lock().unwrap();
        seen.push(keys.collect());
        Box::pin(std::future::ready(response(seen.len(), &event)))
    }
}

fn engine_with(keys: &[&str]) -> Engine {
    let engine = Engine::memory().unwrap();
    crate::deployment::create_tables(&engine, &Template::built_in().unwrap()).unwrap();
    put(&engine, keys);
    engine
}

fn put(engine: &Engine, keys: &[&str]) {
    for key in keys {
        let request =
            json!({"TableName": "resources", "Item": {"pk": {"S": "c"}, "sk": {"S": key}}});
        assert_eq!(
            engine
                .call("PutItem", request.to_string().as_bytes())
                .status,
            200
        );
    }
}

fn mapping(batch_records_max: usize) -> StreamMapping {
    StreamMapping {
        table: "resources".into(),
        function: "changelog".into(),
        batch_records_max,
        batching_window_s: 0,
        reports_item_failures: true,
        starting_position: "TRIM_HORIZON".into(),
        filters: Vec::new(),
    }
}

fn failed_item(identifier: &str) -> DynamoDbEventResponse {
    serde_json::from_value(json!({"batchItemFailures": [{"itemIdentifier": identifier}]})).unwrap()
}

#[tokio::test(start_paused = true)]
async fn records_are_delivered_in_order_and_batches() {
    let seen = SeenBatches::default();
    let mut mapping = EventSourceMapping::new(
        engine_with(&["a", "b", "c"]),
        &mapping(2),
        recording(seen.clone(), |_, _| Ok(Default::default())),
    );
    assert_eq!(mapping.drain().await, 3);
    assert_eq!(*seen.lock().unwrap(), [vec!["a", "b"], vec!["c"]]);
    assert_eq!(mapping.drain().await, 0);
}

#[tokio::test(start_paused = true)]
async fn failed_batch_is_retried_as_a_whole() {
    let seen = SeenBatches::default();
    let fail_once = |call, _: &StreamEvent| {
        if call == 1 {
            Err("down".to_owned())
        } else {
            Ok(Default::default())
        }
    };

    let mut mapping = EventSourceMapping::new(
        engine_with(&["a", "b"]),
        &mapping(9),
        recording(seen.clone(), fail_once),
    );

    assert_eq!(mapping.drain().await, 2);
    assert_eq!(*seen.lock().unwrap(), [["a", "b"], ["a", "b"]]);
}

#[tokio::test(start_paused = true)]
async fn next_batch_starts_at_failed_record() {
    let seen = SeenBatches::default();
    let fail_b = |call, event: &StreamEvent| {
        let b = event
            .records
            .get(1)
            .map(|record| tidemark_aws::stream::sequence_of(record));
        Ok(if call == 1 {
            tidemark_aws::stream::batch_item_failures(b)
        } else {
            Default::default()
        })
    };

    let mut mapping = EventSourceMapping::new(
        engine_with(&["a", "b", "c"]),
        &mapping(9),
        recording(seen.clone(), fail_b),
    );

    assert_eq!(mapping.drain().await, 3);
    assert_eq!(*seen.lock().unwrap(), [vec!["a", "b", "c"], vec!["b", "c"]]);
}

#[tokio::test(start_paused = true)]
async fn blank_identifier_fails_whole_batch() {
    let seen = SeenBatches::default();
    let blank = |call, _: &StreamEvent| {
        Ok(if call == 1 {
            failed_item("")
        } else {
            Default::default()
        })
    };

    let mut mapping = EventSourceMapping::new(
        engine_with(&["a", "b"]),
        &mapping(9),
        recording(seen.clone(), blank),
    );

    assert!(mapping.step().await.is_err());
    assert_eq!(mapping.drain().await, 2);
    assert_eq!(*seen.lock().unwrap(), [["a", "b"], ["a", "b"]]);
}

#[tokio::test(start_paused = true)]
async fn restarted_mapping_repeats_at_most_newest_record() {
    let (engine, seen) = (engine_with(&["a", "b"]), SeenBatches::default());
    EventSourceMapping::new(
        engine.clone(),
        &mapping(9),
        recording(seen.clone(), |_, _| Ok(Default::default())),
    )
    .drain()
    .await;

    put(&engine, &["c"]);
    seen.lock().unwrap().clear();
    EventSourceMapping::new(
        engine,
        &mapping(9),
        recording(seen.clone(), |_, _| Ok(Default::default())),
    )
    .drain()
    .await;

    assert_eq!(*seen.lock().unwrap(), [["b", "c"]]);
}

/// Verifies that the write wakes both mappings without a wait. If it woke only one, the other would
/// wait until its idle time is over.
#[tokio::test(start_paused = true)]
async fn write_wakes_every_mapping() {
    let engine = engine_with(&[]);
    let (stop, stopped) = watch::channel(false);
    let (noticed, mut notice) = tokio::sync::mpsc::unbounded_channel();
    let running = [0, 1].map(|number| {
        let noticed = noticed.clone();
        let notes = move |_, _: &StreamEvent| {
            noticed
                .send(number)
                .map(|()| Default::default())
                .map_err(|e| e.to_string())
        };
        tokio::spawn(
            EventSourceMapping::new(
                engine.clone(),
                &mapping(9),
                recording(SeenBatches::default(), notes),
            )
            .run(stopped.clone()),
        )
    });

    tokio::time::sleep(IDLE_MAX / 2).await;
    let began = tokio::time::Instant::now();
    put(&engine, &["a"]);
    let mut woken = [notice.recv().await.unwrap(), notice.recv().await.unwrap()];
    woken.sort_unstable();
    assert_eq!((woken, began.elapsed()), ([0, 1], Duration::ZERO));

    stop.send(true).unwrap();
    for mapping in running {
        mapping.await.unwrap();
    }
}

#[tokio::test]
async fn write_wakes_mapping_and_shutdown_stops_it() {
    let (engine, seen) = (engine_with(&[]), SeenBatches::default());
    let (stop, stopped) = watch::channel(false);
    let (noticed, mut notice) = tokio::sync::mpsc::unbounded_channel();
    let consumer = recording(seen.clone(), move |call, _| {
        noticed
            .send(call)
            .map(|()| Default::default())
            .map_err(|e| e.to_string())
    });
    let running =
        tokio::spawn(EventSourceMapping::new(engine.clone(), &mapping(9), consumer).run(stopped));

    put(&engine, &["a"]);
    notice.recv().await.unwrap();
    stop.send(true).unwrap();
    running.await.unwrap();
}
