//! Invalid input of every kind (§2, §3.7, §8): an invalid envelope is rejected as a whole, with the
//! path of the error; an invalid item is an error at its index, and the other items are applied; no
//! input causes a 500 or a panic.
#![expect(clippy::unwrap_used, reason = "a failed precondition fails the test")]

mod bounds;
mod content;
mod envelope;
mod fidelity;
mod items;
mod long_words;
mod names;
mod noise;
mod predecessors;
mod pull_tokens;

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, value::RawValue};
use tidemark_aws::tables::format::unpack;
use tidemark_tests::{ApiResponse, Stack};

/// The fields of an object, each as the text that was received.
type RawFields = BTreeMap<String, Box<RawValue>>;

/// Parses an object and keeps each value as text.
fn texts(object: &str) -> RawFields {
    serde_json::from_str(object).unwrap_or_else(|error| panic!("{error}: {object}"))
}

/// Parses a list and keeps each element as text.
fn list(text: &RawValue) -> Vec<Box<RawValue>> {
    serde_json::from_str(text.get()).unwrap()
}

/// Checks that `response` is a problem document as §8 specifies. `what` describes the request.
#[track_caller]
pub(crate) fn assert_problem(
    response: &ApiResponse,
    status: u16,
    code: &str,
    path: Option<&str>,
    what: &str,
) {
    let body = response.json();
    let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();

    assert_eq!(
        (response.status, text("code").as_str()),
        (status, code),
        "{what}: {}",
        response.text
    );
    assert_eq!(
        response.headers["content-type"], "application/problem+json",
        "{what}"
    );
    assert_eq!(
        (&body["status"], text("type")),
        (&status.into(), format!("urn:tidemark:problem:{code}")),
        "{what}"
    );
    assert!(
        !text("title").is_empty() && !text("detail").is_empty(),
        "{what}: {}",
        response.text
    );
    assert!(
        text("request_id").starts_with("request-"),
        "{what}: {}",
        response.text
    );

    assert_eq!(body["path"].as_str(), path, "{what}: {}", response.text);
}

/// Pushes items given as text, so that they may contain JSON that no library writes.
async fn push_text(stack: &Stack, token: &str, items: &[&str]) -> ApiResponse {
    let body = format!(r#"{{"device_id":"phone","items":[{}]}}"#, items.join(","));
    stack
        .post_bytes("sync/push", Some(token), body.as_bytes())
        .await
}

/// Pushes `bad` between two valid items, which must be applied, and returns the result of `bad`.
async fn push_among_good(stack: &Stack, token: &str, bad: &str) -> Value {
    let good = |temp_id: &str| {
        format!(
            r#"{{"client_temp_id":"{temp_id}","resource_type":"meter","action":"create","client_version":1,"payload":{{"reading":1}}}}"#
        )
    };

    let before = stack.rows("resources").len();
    let unique = format!("{}-{before}", stack.rows("sync_items").len());
    let (first, last) = (
        good(&format!("first-{unique}")),
        good(&format!("last-{unique}")),
    );
    let shown: String = bad.chars().take(200).collect();

    let mut results = push_text(stack, token, &[&first, bad, &last]).await.ok()["results"]
        .as_array()
        .unwrap()
        .clone();
    let indices: Vec<_> = results
        .iter()
        .map(|result| result["index"].as_u64())
        .collect();
    assert_eq!(indices, [Some(0), Some(1), Some(2)], "{shown}");
    assert_eq!(
        (&results[0]["status"], &results[2]["status"]),
        (&"ok".into(), &"ok".into()),
        "{shown}: {results:?}"
    );

    let stored: Vec<Value> = stack
        .rows("resources")
        .into_iter()
        .map(|row| row["created_as"]["S"].clone())
        .collect();
    assert!(
        stored.contains(&format!("first-{unique}").into())
            && stored.contains(&format!("last-{unique}").into()),
        "{shown}"
    );

    results.remove(1)
}

/// Checks that `result` is an error that is not retryable.
#[track_caller]
fn assert_rejected(result: &Value, code: &str, what: &str) {
    let shown: String = what.chars().take(200).collect();
    assert_eq!(
        (&result["status"], &result["code"]),
        (&"error".into(), &code.into()),
        "{shown}: {result}"
    );
    assert_eq!(result["retryable"], false, "{shown}");
    assert!(
        result["error"]
            .as_str()
            .is_some_and(|error| !error.is_empty()),
        "{shown}"
    );
}

/// Returns the items of each batch in `sync_items` as the text that was received.
fn raw_items(stack: &Stack) -> Vec<Vec<String>> {
    let mut batches: BTreeMap<String, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    for row in stack.rows("sync_items") {
        let text = |field: &str, kind: &str| row[field][kind].as_str().unwrap().to_owned();
        let chunk = BASE64_STANDARD.decode(text("packed", "B")).unwrap();
        batches
            .entry(text("pk", "S"))
            .or_default()
            .insert(text("sk", "S"), chunk);
    }

    let items = batches.into_values().map(|chunks| {
        let packed: Vec<u8> = chunks.into_values().flatten().collect();
        let batch = String::from_utf8(unpack(&packed, 8 << 20).unwrap()).unwrap();
        list(&texts(&batch)["items"])
            .iter()
            .map(|item| item.get().to_owned())
            .collect()
    });
    items.collect()
}
