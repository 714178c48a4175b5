//! The line of the embedded metric format.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{DIMENSION, Metric, NAMESPACE};

/// Returns the EMF line with these values, without a newline. `properties` are searchable in the
/// logs; CloudWatch extracts no metrics from them.
pub fn line(
    values: &BTreeMap<Metric, u64>,
    stack: &str,
    at: DateTime<Utc>,
    properties: &[(&str, &str)],
) -> String {
    let metrics: Vec<_> = values
        .keys()
        .map(|metric| json!({"Name": metric.name(), "Unit": metric.unit()}))
        .collect();
    let directive =
        json!({"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics});

    let mut line = Map::new();
    line.insert(
        "_aws".into(),
        json!({"Timestamp": at.timestamp_millis(), "CloudWatchMetrics": [directive]}),
    );

    line.insert(DIMENSION.into(), json!(stack));
    line.extend(
        properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value))),
    );
    line.extend(
        values
            .iter()
            .map(|(metric, value)| (metric.name(), json!(value))),
    );

    Value::Object(line).to_string()
}
