//! The lines of requests in the trace.

use serde_json::Value;

/// Returns a path as the trace shows it: without the id of a batch, which is random if the device
/// did not name the batch.
pub(super) fn noted(path: &str) -> String {
    match path
        .strip_prefix("batches/")
        .map(|rest| rest.split_once('/'))
    {
        Some(Some((_, what))) => format!("batches/…/{what}"),
        Some(None) => "batches/…".to_owned(),
        None => path.to_owned(),
    }
}

/// Summarizes a response for the trace.
pub(super) fn shown(text: &str) -> String {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    let word = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };

    let results = body["results"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|result| {
            let outcome = if result["code"].is_null() {
                &result["status"]
            } else {
                &result["code"]
            };
            format!(
                "{} {} v{}",
                word(&result["server_id"]),
                word(outcome),
                result["server_version"]
            )
        });

    let changes = body["changes"].as_array().into_iter().flatten();
    let changes =
        changes.map(|change| format!("{} v{}", word(&change["id"]), change["server_version"]));

    let mut words: Vec<String> = results.chain(changes).collect();
    for field in [
        "reset",
        "revoked",
        "has_more",
        "code",
        "server_version",
        "resolution",
    ] {
        words.extend(body.get(field).map(|value| format!("{field}={value}")));
    }
    words.join(", ")
}
