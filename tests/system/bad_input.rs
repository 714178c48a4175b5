//! Bad input of every kind (§2, §3.7, §8): a broken envelope is refused whole and says where; a bad
//! item is an error at its index while the others apply; nothing a client can send is a 500 or a
//! panic.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

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
use tidemark_core::pack::unpack;
use tidemark_tests::{ApiResponse, Stack};

/// An object's fields, each still the text it came as.
type RawFields = BTreeMap<String, Box<RawValue>>;

/// Reads an object without reading its numbers.
fn texts(object: &str) -> RawFields {
    serde_json::from_str(object).unwrap_or_else(|error| panic!("{error}: {object}"))
}

/// Reads a list without reading its numbers.
fn list(text: &RawValue) -> Vec<Box<RawValue>> {
    serde_json::from_str(text.get()).unwrap()
}

/// Checks that `response` is a problem as §8 has it; `what` was sent.
#[track_caller]
pub(crate) fn assert_problem(
    response: &ApiResponse,
    status: u16,
    code: &str,
    path: Option<&str>,
    what: &str,
) {
    let body = response.json();
    let told = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (response.status, told("code").as_str()),
        (status, code),
        "{what}: {}",
        response.text
    );
    assert_eq!(
        response.headers["content-type"], "application/problem+json",
        "{what}"
    );
    assert_eq!(
        (&body["status"], told("type")),
        (&status.into(), format!("urn:tidemark:problem:{code}")),
        "{what}"
    );
    assert!(
        !told("title").is_empty() && !told("detail").is_empty(),
        "{what}: {}",
        response.text
    );
    assert!(
        told("request_id").starts_with("request-"),
        "{what}: {}",
        response.text
    );
    assert_eq!(body["path"].as_str(), path, "{what}: {}", response.text);
}

/// A push of items that are given as text, so that they may say what no JSON library would write.
async fn push_text(stack: &Stack, token: &str, items: &[&str]) -> ApiResponse {
    let body = format!(r#"{{"device_id":"phone","items":[{}]}}"#, items.join(","));
    stack
        .post_bytes("sync/push", Some(token), body.as_bytes())
        .await
}

/// Pushes `bad` between two good items, which must apply whatever it is; gives its result.
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
    let told: Vec<_> = results
        .iter()
        .map(|result| result["index"].as_u64())
        .collect();
    assert_eq!(told, [Some(0), Some(1), Some(2)], "{shown}");
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

/// Checks that `result` is an error that sending the item again would not cure.
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

/// The items of each batch in `sync_items`, as the text they came as.
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

/// Random numbers that a seed repeats (SplitMix64).
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }

    /// True `percent` times of a hundred.
    fn happens(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`.
    fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// Text of `bytes` bytes that hardly compresses and needs no escapes.
    fn noise(&mut self, bytes: usize) -> String {
        (0..bytes)
            .map(|_| char::from(b'#' + (self.below(57) as u8)))
            .collect()
    }
}
