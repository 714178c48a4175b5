//! Metrics: the right numbers for a scenario.

mod corrupt;
mod failures;

use std::collections::BTreeMap;

use chrono::Duration;
use serde_json::{Value, json};
use tidemark_aws::metrics::Metric;
use tidemark_tests::{
    Item, Stack,
    scenario::{self, meter},
};
use tracing::level_filters::LevelFilter;

use super::CapturedLog;

/// Returns the metrics of each line since the last call, with the function of the line.
fn measured(written: &CapturedLog) -> Vec<(String, BTreeMap<String, u64>)> {
    let lines = written.take().metrics();
    let measured = lines.iter().map(|line| {
        let names = line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
            .as_array()
            .unwrap()
            .iter();
        let names = names.map(|metric| metric["Name"].as_str().unwrap().to_owned());
        let values = names.map(|name| (name.clone(), line[name].as_u64().unwrap()));
        // Cold starts have a separate test.
        (
            line["function"].as_str().unwrap().to_owned(),
            values.filter(|(name, _)| name != "ColdStarts").collect(),
        )
    });

    measured
        .filter(|(_, values): &(_, BTreeMap<_, _>)| !values.is_empty())
        .collect()
}

/// Asserts that a function has measured this, in one line, and that nothing else was measured. A
/// count of 0 is not emitted.
#[track_caller]
fn assert_measured(written: &CapturedLog, function: &str, expected: &[(&str, u64)]) {
    let expected = expected
        .iter()
        .filter(|(name, value)| *value > 0 || *name == "LogHeadAge");
    let expected = expected
        .map(|(name, value)| ((*name).to_owned(), *value))
        .collect();
    assert_eq!(measured(written), [(function.to_owned(), expected)]);
}

fn pushed(ok: u64, conflict: u64, error: u64, retryable: u64) -> Vec<(&'static str, u64)> {
    vec![
        ("Pushes", 1),
        ("PushedItems", ok + conflict + error),
        ("ItemsOk", ok),
        ("ItemsConflict", conflict),
        ("ItemsError", error),
        ("ItemsRetryable", retryable),
    ]
}

/// Returns the metrics of one pull.
fn pulled(changes: u64, snapshots: u64, resets: u64) -> Vec<(&'static str, u64)> {
    vec![
        ("Pulls", 1),
        ("PulledChanges", changes),
        ("Snapshots", snapshots),
        ("Resets", resets),
    ]
}

/// Adds the number of rows that a push has written.
fn wrote(rows: u64, mut pushed: Vec<(&'static str, u64)>) -> Vec<(&'static str, u64)> {
    pushed.push(("AcceptedChanges", rows));
    pushed
}

/// Returns a batch with one applied item, one conflict, one error, and one error that may be
/// retried, because the upload of `photo` is missing.
fn batch_of_every_outcome(photo: &Value) -> Value {
    let submission = json!({"form_id": "f", "data": {}, "media": [photo]});
    json!([
        meter("update", "m-1", 1, json!({"reading": 3})),
        Item::new("volcano", "create", 0).payload(json!({})),
        Item::create_as("submission", "t-1", submission),
        meter("update", "m-2", 1, json!({"a": 1}))
    ])
}

#[tokio::test]
async fn push_counts_items_by_outcome() {
    let stack = Stack::new().today();
    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    let (office, phone) = (stack.device("office", "pc"), stack.device("ana", "phone"));
    let photo = json!({"filename": "a.jpg", "content_type": "image/jpeg", "content_length": 5});
    let photo = stack.post("media/presign", &phone.token, &photo).await.ok()["key"].clone();
    written.take();

    office
        .push(json!([
            meter("create", "m-1", 0, json!({"reading": 1})),
            meter("create", "m-2", 0, json!({}))
        ]))
        .await;
    assert_measured(&written, "push", &wrote(2, pushed(2, 0, 0, 0)));
    office
        .push_one(meter("update", "m-1", 1, json!({"reading": 2})))
        .await;
    assert_measured(&written, "push", &wrote(1, pushed(1, 0, 0, 0)));

    let items = batch_of_every_outcome(&photo);
    phone.push_batch("b-1", &items).await.ok();
    let mut opened = wrote(1, pushed(1, 1, 2, 1));
    opened.push(("ConflictsOpened", 1));
    assert_measured(&written, "push", &opened);

    // A retry counts as a push, but it opens no conflict.
    phone.push_batch("b-1", &items).await.ok();
    assert_measured(&written, "push", &pushed(1, 1, 2, 1));

    // An edit that joins a conflict opens none.
    phone
        .push_one(meter("update", "m-1", 1, json!({"reading": 4})))
        .await;
    assert_measured(&written, "push", &pushed(0, 1, 0, 0));
}

/// Creates a conflict of Ana's phone about each of two meters. Returns their ids.
async fn two_conflicts(stack: &Stack) -> [String; 2] {
    let fields = || [1, 2, 3].map(|reading| json!({"reading": reading}));
    [
        scenario::open_conflict(stack, "m-1", fields()).await,
        scenario::open_conflict(stack, "m-2", fields()).await,
    ]
}

#[tokio::test]
async fn resolution_counts_once_per_entry_point() {
    let stack = Stack::new();
    let [by_api, directly] = two_conflicts(&stack).await;
    let root = scenario::admin(&stack);
    let path = format!("conflicts/{by_api}/resolve");
    let decision = json!({"resolution": "accept_client"});
    let event = json!({"conflict_id": directly, "tenant": "acme", "resolved_by": "ops", "resolution": "accept_client"});

    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    let counted = [("ConflictsResolved", 1), ("AcceptedChanges", 1)];
    stack.post(&path, &root, &decision).await.ok();
    assert_measured(&written, "resolve", &counted);
    stack.invoke("resolve", &event).await;
    assert_measured(&written, "resolve", &counted);

    // A repeated resolution gets a response, but is not counted again.
    stack.post(&path, &root, &decision).await.ok();
    stack.invoke("resolve", &event).await;
    assert_eq!(measured(&written), []);

    stack.settle().await;
    let reported = measured(&written)
        .into_iter()
        .find(|(function, _)| function == "notify");
    assert_eq!(
        reported,
        Some((
            "notify".to_owned(),
            BTreeMap::from([("Notifications".to_owned(), 2)])
        ))
    );
}

/// Pushes three changes, the first of them two seconds before they are sequenced, and asserts what
/// the sequencer measures.
async fn sequence_three_changes(stack: &Stack, written: &CapturedLog) {
    let office = stack.device("office", "pc");
    office.push_one(meter("create", "m-1", 0, json!({}))).await;
    stack.advance(Duration::milliseconds(1_500));
    office
        .push(json!([
            meter("update", "m-1", 1, json!({"a": 1})),
            meter("create", "m-2", 0, json!({}))
        ]))
        .await;
    stack.advance(Duration::milliseconds(500));

    written.take();
    stack.settle().await;
    assert_measured(
        written,
        "changelog",
        &[("SequencedChanges", 3), ("LogHeadAge", 2_000)],
    );
}

#[tokio::test]
async fn log_and_pull_report_lag() {
    let stack = Stack::new();
    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    let mut tablet = stack.device("ana", "tablet");
    tablet.pull().await;
    assert_measured(&written, "pull", &pulled(0, 2, 0));

    sequence_three_changes(&stack, &written).await;
    stack.advance(Duration::seconds(60));
    assert_eq!(tablet.pull().await.len(), 2);
    assert_measured(
        &written,
        "pull",
        &[pulled(2, 0, 0), vec![("PullLag", 62_000)]].concat(),
    );

    // A pull without new changes has no age, and neither do the device's own changes and snapshots.
    tablet.pull().await;
    assert_measured(&written, "pull", &pulled(0, 0, 0));
    tablet.push_one(meter("create", "m-3", 0, json!({}))).await;
    stack.settle().await;
    written.take();
    tablet.pull().await;
    assert_measured(&written, "pull", &pulled(0, 0, 0));
    stack.device("ben", "tablet").pull().await;
    assert_measured(&written, "pull", &pulled(3, 2, 0));
}

#[tokio::test]
async fn reset_is_counted() {
    let stack = Stack::new();
    let mut tablet = stack.device("ana", "tablet");
    tablet.pull().await;
    stack
        .device("office", "pc")
        .push_one(meter("create", "m-1", 0, json!({})))
        .await;
    stack.settle().await;
    stack.advance(Duration::days(31));
    tablet.token = stack.token("acme", "ana", &[], &[]);

    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    tablet.pull().await;
    assert_measured(&written, "pull", &pulled(1, 0, 1));
}

#[tokio::test]
async fn cold_start_is_counted_once_per_process() {
    let stack = Stack::new();
    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    let mut ana = stack.device("ana", "phone");
    for at in 0..3 {
        ana.push_one(meter("create", &format!("m-{at}"), 0, json!({})))
            .await;
        ana.pull().await;
        ana.ack().await;
        stack.settle().await;
    }

    // A rejected request is an invocation too.
    stack.post_bytes("media/presign", None, b"{}").await;
    stack.post_bytes("media/presign", None, b"{}").await;

    let cold: Vec<_> = written
        .metrics()
        .into_iter()
        .filter(|line| line.get("ColdStarts").is_some())
        .collect();
    let cold: Vec<_> = cold
        .iter()
        .map(|line| {
            (
                line["function"].as_str().unwrap(),
                line["ColdStarts"].as_u64().unwrap(),
            )
        })
        .collect();

    assert_eq!(
        cold,
        [
            ("push", 1),
            ("pull", 1),
            ("ack", 1),
            ("changelog", 1),
            ("presign", 1)
        ]
    );
}

/// The page for operators lists exactly the metrics that exist, each with its unit.
#[test]
fn operations_page_lists_all_metrics() {
    let page = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/operations.md"
    ))
    .unwrap();

    let table = page.split("| metric | unit |").nth(1).unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let listed: Vec<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            (cells[1].trim_matches('`').to_owned(), cells[2].to_owned())
        })
        .collect();

    let expected: Vec<_> = Metric::ALL
        .iter()
        .map(|metric| (metric.name(), metric.unit().to_owned()))
        .collect();
    assert_eq!(listed, expected);
}
