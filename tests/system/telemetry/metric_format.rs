//! Lines with metrics follow the embedded metric format of CloudWatch.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidemark_aws::metrics::{self, Metric};
use tidemark_tests::{Stack, scenario::meter};
use tracing::level_filters::LevelFilter;

use super::CapturedLog;

/// Checks a line against the specification of the embedded metric format. CloudWatch drops a line
/// that violates it without an error.
pub(super) fn assert_valid(line: &Value) {
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
            assert_dimensions(line, dimensions.as_array().unwrap());
        }
        assert_metrics(line, directive["Metrics"].as_array().unwrap());
    }
}

/// Checks a set of dimensions: each is the name of a field with a printable value.
fn assert_dimensions(line: &Value, names: &[Value]) {
    assert!(names.len() <= 30);
    for name in names {
        let value = text(&line[text(name)]);
        assert!(
            (1..=1024).contains(&value.len()) && value.is_ascii() && !value.trim().is_empty(),
            "{value:?}"
        );
    }
}

/// Checks the metrics of a directive: each has a unit and is the name of a field with a number.
fn assert_metrics(line: &Value, metrics: &[Value]) {
    const UNITS: [&str; 2] = ["Count", "Milliseconds"];
    assert!((1..=100).contains(&metrics.len()));
    for metric in metrics {
        let name = text(&metric["Name"]);
        assert!(
            (1..=1024).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
        );
        assert!(line[name].is_number(), "{name} of {line}");
        assert!(UNITS.contains(&text(&metric["Unit"])));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

#[tokio::test]
async fn metrics_have_stack_and_request() {
    let stack = Stack::configured(&[("STACK_NAME", "tidemark-blue")]);
    let (written, _guard) = CapturedLog::at(LevelFilter::ERROR);
    stack
        .device("ana", "phone")
        .push_one(meter("create", "m-1", 0, json!({})))
        .await;
    let line = written.metrics().remove(0);
    let reported = ["Stack", "function", "request_id"].map(|name| line[name].clone());
    assert_eq!(
        json!(reported),
        json!(["tidemark-blue", "push", "request-0"])
    );
    assert_eq!(line["_aws"]["Timestamp"], stack.now().timestamp_millis());
}

#[tokio::test]
async fn line_with_every_metric_is_valid() {
    let values: BTreeMap<Metric, u64> = Metric::ALL.into_iter().zip(0..).collect();
    let line = metrics::line(
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
