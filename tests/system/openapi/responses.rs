//! Records the example responses of `openapi.json`: `tests/support/openapi/responses.json` contains the
//! responses of the system to the requests of this module. Ids and tokens differ between runs, so
//! the test compares fields and types.

#![expect(clippy::unwrap_used, reason = "a failed precondition fails the test")]

mod admin;
mod conflicts;
mod problems;
mod sync;

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use serde_json::{Map, Value};
use tidemark_tests::{ApiResponse, Stack};

use super::UPDATE;

/// The client's id of the recorded batch.
const BATCH: &str = "0197f3c2-5a51-7c41-a3d5-9d2f6f1f7a10";

/// Recorded bodies by operation, status and name.
#[derive(Default)]
struct Recorder(BTreeMap<String, BTreeMap<u16, BTreeMap<String, Value>>>);

impl Recorder {
    /// Asserts the status of a response and records its body under a name. Returns the body.
    #[track_caller]
    fn record(
        &mut self,
        operation: &str,
        name: &str,
        response: &ApiResponse,
        status: u16,
    ) -> Value {
        assert_eq!(
            response.status, status,
            "{operation} {name}: {}",
            response.text
        );
        self.add(operation, status, name, response.json());
        response.json()
    }

    fn add(&mut self, operation: &str, status: u16, name: &str, value: Value) {
        self.0
            .entry(operation.to_owned())
            .or_default()
            .entry(status)
            .or_default()
            .insert(name.to_owned(), value);
    }

    /// Records a problem under its code.
    #[track_caller]
    fn problem(&mut self, operation: &str, response: &ApiResponse) {
        let body = response.json();
        let code = body["code"]
            .as_str()
            .unwrap_or_else(|| panic!("{operation}: no problem: {}", response.text))
            .to_owned();
        self.add(operation, response.status, &code, body);
    }
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("support/openapi/responses.json")
}

/// Returns the type of a value and, recursively, of its fields and elements.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| (name.clone(), shape(field)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(list) => list.iter().map(shape).collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        Value::Bool(_) => "boolean".into(),
        Value::Null => Value::Null,
    }
}

#[tokio::test]
async fn recorded_responses_match_the_system() {
    let (stack, mut recorder) = (Stack::new(), Recorder::default());
    let conflict = sync::sync(&stack, &mut recorder).await;
    conflicts::conflicts(&stack, &mut recorder, &conflict).await;
    admin::batches(&stack, &mut recorder).await;
    admin::views(&stack, &mut recorder).await;
    sync::media(&stack, &mut recorder).await;
    problems::rejections(&stack, &mut recorder).await;
    problems::common(&stack, &mut recorder).await;

    let recorded = serde_json::to_value(&recorder.0).unwrap();
    let committed =
        || -> Value { serde_json::from_str(&fs::read_to_string(file()).unwrap()).unwrap() };
    // Ids and tokens differ each time, so a recording of the same shape is not rewritten.
    if env::var_os(UPDATE).is_some() && shape(&committed()) != shape(&recorded) {
        fs::write(
            file(),
            serde_json::to_string_pretty(&recorded).unwrap() + "\n",
        )
        .unwrap();
    }
    let (committed, recorded) = (shape(&committed()), shape(&recorded));
    for (operation, statuses) in recorded.as_object().unwrap() {
        assert_eq!(
            &committed[operation], statuses,
            "{operation}: run the openapi tests twice with {UPDATE}=1"
        );
    }
    assert_eq!(committed, recorded);
}
