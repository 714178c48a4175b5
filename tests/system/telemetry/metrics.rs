//! Metrics: the right numbers for a story, in the form that CloudWatch reads.

use std::{collections::BTreeMap, sync::Arc};

use chrono::Duration;
use serde_json::{Value, json};
use tidemark::engine::{
    Reply,
    http::{CallFate, NoHook},
};
use tidemark_aws::metrics::Metric;
use tidemark_tests::{Script, Stack, stack::stream_event};
use tracing::level_filters::LevelFilter;

use super::{CapturedLog, Responder, meter};

/// What was measured since the last time: the metrics of each line, with its function.
fn measured(written: &CapturedLog) -> Vec<(String, BTreeMap<String, u64>)> {
    let lines = written.take().metrics();
    let measured = lines.iter().map(|line| {
        let names = line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
            .as_array()
            .unwrap()
            .iter();
        let names = names.map(|metric| metric["Name"].as_str().unwrap().to_owned());
        let values = names.map(|name| (name.clone(), line[name].as_u64().unwrap()));
        // A cold start is a story of its own.
        (
            line["function"].as_str().unwrap().to_owned(),
            values.filter(|(name, _)| name != "ColdStarts").collect(),
        )
    });
    measured
        .filter(|(_, values): &(_, BTreeMap<_, _>)| !values.is_empty())
        .collect()
}

/// That a function measured this, in one line, and nothing else was measured. A count of 0 is not
/// told.
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

/// The same of a push that wrote so many rows.
fn wrote(rows: u64, mut pushed: Vec<(&'static str, u64)>) -> Vec<(&'static str, u64)> {
    pushed.push(("AcceptedChanges", rows));
    pushed
}

#[tokio::test]
async fn a_push_counts_its_items_by_outcome_and_a_conflict_once() {
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

    let missing = json!({"resource_type": "submission", "action": "create", "client_temp_id": "t-1", "client_version": 0,
        "payload": {"form_id": "f", "data": {}, "media": [photo]}});
    let unknown =
        json!({"resource_type": "volcano", "action": "create", "client_version": 0, "payload": {}});
    let items = json!([
        meter("update", "m-1", 1, json!({"reading": 3})),
        unknown,
        missing,
        meter("update", "m-2", 1, json!({"a": 1}))
    ]);
    phone.push_batch("b-1", &items).await.ok();
    let mut opened = wrote(1, pushed(1, 1, 2, 1));
    opened.push(("ConflictsOpened", 1));
    assert_measured(&written, "push", &opened);
    // A retry is a push again, and opens nothing again.
    phone.push_batch("b-1", &items).await.ok();
    assert_measured(&written, "push", &pushed(1, 1, 2, 1));
    // An edit that joins a conflict opens none.
    phone
        .push_one(meter("update", "m-1", 1, json!({"reading": 4})))
        .await;
    assert_measured(&written, "push", &pushed(0, 1, 0, 0));
}

#[tokio::test]
async fn a_decision_counts_once_through_either_door() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    let mut ids = Vec::new();
    for meter_id in ["m-1", "m-2"] {
        office
            .push_one(meter("create", meter_id, 0, json!({"reading": 1})))
            .await;
        office
            .push_one(meter("update", meter_id, 1, json!({"reading": 2})))
            .await;
        let rejected = stack
            .device("ana", "phone")
            .push_one(meter("update", meter_id, 1, json!({"reading": 3})))
            .await;
        ids.push(rejected["conflict_id"].as_str().unwrap().to_owned());
    }
    let root = stack.token("acme", "root", &["admin"], &[]);
    let decision = json!({"resolution": "accept_client"});
    let event = json!({"conflict_id": ids[1], "tenant": "acme", "resolved_by": "ops", "resolution": "accept_client"});

    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    stack
        .post(&format!("conflicts/{}/resolve", ids[0]), &root, &decision)
        .await
        .ok();
    assert_measured(
        &written,
        "resolve",
        &[("ConflictsResolved", 1), ("AcceptedChanges", 1)],
    );
    stack.invoke("resolve", &event).await;
    assert_measured(
        &written,
        "resolve",
        &[("ConflictsResolved", 1), ("AcceptedChanges", 1)],
    );
    // What was decided before is answered, and counted no more.
    stack
        .post(&format!("conflicts/{}/resolve", ids[0]), &root, &decision)
        .await
        .ok();
    stack.invoke("resolve", &event).await;
    assert_eq!(measured(&written), []);
    stack.settle().await;
    let told = measured(&written)
        .into_iter()
        .find(|(function, _)| function == "notify");
    assert_eq!(
        told,
        Some((
            "notify".to_owned(),
            BTreeMap::from([("Notifications".to_owned(), 2)])
        ))
    );
}

#[tokio::test]
async fn the_log_tells_how_long_changes_took_to_it_and_a_pull_how_old_they_are() {
    let stack = Stack::new();
    let office = stack.device("office", "pc");
    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    let mut tablet = stack.device("ana", "tablet");
    tablet.pull().await;
    assert_measured(
        &written,
        "pull",
        &[
            ("Pulls", 1),
            ("PulledChanges", 0),
            ("Snapshots", 2),
            ("Resets", 0),
        ],
    );

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
        &written,
        "changelog",
        &[("SequencedChanges", 3), ("LogHeadAge", 2_000)],
    );

    stack.advance(Duration::seconds(60));
    assert_eq!(tablet.pull().await.len(), 2);
    let page = [
        ("Pulls", 1),
        ("PulledChanges", 2),
        ("Snapshots", 0),
        ("Resets", 0),
    ];
    assert_measured(
        &written,
        "pull",
        &[&page[..], &[("PullLag", 62_000)]].concat(),
    );
    // Nothing new has no age, and nor has what the device made itself or what a snapshot shows.
    tablet.pull().await;
    assert_measured(
        &written,
        "pull",
        &[
            ("Pulls", 1),
            ("PulledChanges", 0),
            ("Snapshots", 0),
            ("Resets", 0),
        ],
    );
    tablet.push_one(meter("create", "m-3", 0, json!({}))).await;
    stack.settle().await;
    written.take();
    tablet.pull().await;
    assert_measured(
        &written,
        "pull",
        &[
            ("Pulls", 1),
            ("PulledChanges", 0),
            ("Snapshots", 0),
            ("Resets", 0),
        ],
    );
    stack.device("ben", "tablet").pull().await;
    assert_measured(
        &written,
        "pull",
        &[
            ("Pulls", 1),
            ("PulledChanges", 3),
            ("Snapshots", 2),
            ("Resets", 0),
        ],
    );
}

#[tokio::test]
async fn a_channel_that_starts_over_is_counted() {
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
    assert_measured(
        &written,
        "pull",
        &[
            ("Pulls", 1),
            ("PulledChanges", 1),
            ("Snapshots", 0),
            ("Resets", 1),
        ],
    );
}

/// A record that does not read is set aside; one that the tables do not take is given back.
#[tokio::test]
async fn set_aside_and_given_back_records_are_told_apart() {
    let stack = Stack::new();
    stack
        .device("ana", "phone")
        .push_one(meter("create", "m-1", 0, json!({})))
        .await;
    let mut records = stack.stream_records();
    records.push(json!({"eventName": "MODIFY"}));
    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    let failing = Responder::puts(Reply::error(400, "ValidationException", "no"));
    let context = stack.context("changelog", failing);
    tidemark_changelog::handle(&context, stream_event(&records))
        .await
        .unwrap();
    assert_measured(
        &written,
        "changelog",
        &[("SetAsideRecords", 1), ("Outages", 1)],
    );
    let context = stack.context("changelog", Arc::new(NoHook));
    tidemark_changelog::handle(&context, stream_event(&records))
        .await
        .unwrap();
    assert_measured(
        &written,
        "changelog",
        &[
            ("SetAsideRecords", 1),
            ("SequencedChanges", 1),
            ("LogHeadAge", 0),
        ],
    );
}

/// The push is answered, and its device tries again; but somebody must look, for a right may be
/// missing.
#[tokio::test]
async fn an_item_that_met_an_outage_is_counted_as_one() {
    let stack = Stack::new();
    let presigned = stack
        .post(
            "media/presign",
            &stack.token("acme", "ana", &[], &[]),
            &json!({"filename": "a.jpg", "content_type": "image/jpeg", "content_length": 1}),
        )
        .await
        .ok();
    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    let forbidden = Script::new(|_, operation, _, _| match operation {
        "HeadObject" => CallFate::Reply(Reply {
            status: 403,
            body: Vec::new(),
        }),
        _ => CallFate::Continue,
    });
    let payload = json!({"form_id": "f", "data": {}, "media": [presigned["key"]]});
    let item = json!({"client_temp_id": "t", "resource_type": "submission", "action": "create", "client_version": 0, "payload": payload});
    let result = stack
        .beside(Arc::new(forbidden))
        .device("ana", "phone")
        .push_one(item)
        .await;
    assert_eq!(
        (&result["code"], &result["retryable"]),
        (&json!("unavailable"), &json!(true))
    );
    assert_measured(
        &written,
        "push",
        &[pushed(0, 0, 1, 1), vec![("Outages", 1)]].concat(),
    );
}

#[tokio::test]
async fn outages_and_refusals_are_counted_apart() {
    let stack = Stack::new();
    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    stack.post_bytes("sync/push", None, b"{}").await;
    assert_measured(&written, "push", &[("Refusals", 1)]);
    stack
        .post_bytes(
            "sync/push",
            Some(&stack.token("acme", "ana", &[], &[])),
            b"{}",
        )
        .await;
    assert_measured(&written, "push", &[("Refusals", 1)]);
    let down = stack.beside(Responder::all(Reply::error(
        400,
        "ValidationException",
        "no",
    )));
    assert_eq!(
        down.device("ana", "phone")
            .send(&json!([meter("create", "m-1", 0, json!({}))]))
            .await
            .status,
        503
    );
    assert_measured(&written, "push", &[("Outages", 1)]);
}

#[tokio::test]
async fn a_cold_start_is_the_first_invocation_of_a_process() {
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
    // A refused request is an invocation too.
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

#[tokio::test]
async fn metrics_are_told_under_the_stacks_name_with_the_request_they_belong_to() {
    let stack = Stack::configured(&[("STACK_NAME", "tidemark-blue")]);
    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    stack
        .device("ana", "phone")
        .push_one(meter("create", "m-1", 0, json!({})))
        .await;
    let line = written.metrics().remove(0);
    let told = ["Stack", "function", "request_id"].map(|name| line[name].clone());
    assert_eq!(json!(told), json!(["tidemark-blue", "push", "request-0"]));
    assert_eq!(line["_aws"]["Timestamp"], stack.now().timestamp_millis());
}

/// What the specification of the embedded metric format asks of a line; CloudWatch drops without a
/// word what breaks it.
pub(super) fn assert_valid(line: &Value) {
    const UNITS: [&str; 2] = ["Count", "Milliseconds"];
    let text = |value: &Value| {
        value
            .as_str()
            .unwrap_or_else(|| panic!("no text: {value} in {line}"))
            .to_owned()
    };
    let timestamp = line["_aws"]["Timestamp"].as_u64().unwrap();
    assert!(
        (1_600_000_000_000..10_000_000_000_000).contains(&timestamp),
        "milliseconds: {timestamp}"
    );
    let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
    assert!(!directives.is_empty() && line.to_string().len() < 256 * 1024);
    for directive in directives {
        let namespace = text(&directive["Namespace"]);
        assert!((1..=255).contains(&namespace.len()) && !namespace.starts_with("AWS/"));
        for dimensions in directive["Dimensions"].as_array().unwrap() {
            assert!(dimensions.as_array().unwrap().len() <= 30);
            for name in dimensions.as_array().unwrap() {
                let value = text(&line[text(name)]);
                assert!(
                    (1..=1024).contains(&value.len())
                        && value.is_ascii()
                        && !value.trim().is_empty(),
                    "{value:?}"
                );
            }
        }
        let metrics = directive["Metrics"].as_array().unwrap();
        assert!((1..=100).contains(&metrics.len()));
        for metric in metrics {
            let name = text(&metric["Name"]);
            assert!(
                (1..=1024).contains(&name.len())
                    && name.bytes().all(|byte| byte.is_ascii_graphic())
            );
            assert!(line[&name].is_number(), "{name} of {line}");
            assert!(UNITS.contains(&text(&metric["Unit"]).as_str()));
        }
    }
}

#[tokio::test]
async fn every_metric_in_one_line_is_a_line_that_cloudwatch_reads() {
    let values: BTreeMap<Metric, u64> = Metric::ALL.into_iter().zip(0..).collect();
    let line = tidemark_aws::metrics::line(
        &values,
        "tidemark",
        Stack::new().now(),
        &[("function", "push"), ("request_id", "r-1")],
    );
    assert!(!line.contains('\n'));
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_valid(&line);
    let names: Vec<_> = line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["Name"].clone())
        .collect();
    assert_eq!(names.len(), Metric::ALL.len());
    assert_eq!((&line["Pushes"], &line["Outages"]), (&json!(0), &json!(20)));
}

/// The page for operators lists each metric with its unit, and none that there is not.
#[test]
fn the_page_for_operators_lists_the_metrics() {
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
