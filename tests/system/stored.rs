//! Rows that earlier builds stored remain readable. `stored/rows.json` contains every row of a
//! deployment whose rows had no format version, requests, and the responses of the build that
//! stored the rows, with the fields that later builds added. The rows include tombstones,
//! separately stored payloads, merges, open and resolved conflicts, results of every status, and a
//! replay.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidemark_tests::Stack;

/// The content of `stored/rows.json`.
#[derive(Deserialize)]
struct Recording {
    /// The time at which the requests were sent, in milliseconds since 1970.
    now_ms: i64,
    /// The rows of each table, in the form of the DynamoDB API.
    tables: Map<String, Value>,
    requests: Vec<RecordedRequest>,
}

/// A request with the response that the earlier build returned.
#[derive(Deserialize)]
struct RecordedRequest {
    user: String,
    roles: Vec<String>,
    method: String,
    path: String,
    body: Value,
    response: Value,
}

fn recording() -> Recording {
    serde_json::from_str(include_str!("stored/rows.json")).expect("a recording")
}

/// Returns a deployment that contains the recorded rows, at the time of the recorded requests.
fn restored(recording: &Recording) -> Stack {
    let stack = Stack::new();
    for (table, rows) in &recording.tables {
        for row in rows.as_array().expect("rows") {
            stack.dynamodb("PutItem", &json!({"TableName": table, "Item": row}));
        }
    }

    let elapsed = recording.now_ms - stack.now().timestamp_millis();
    stack.advance(chrono::Duration::milliseconds(elapsed));
    stack
}

#[tokio::test]
async fn rows_of_earlier_builds_are_readable() {
    let recording = recording();
    let stack = restored(&recording);

    for request in &recording.requests {
        let RecordedRequest {
            user,
            roles,
            method,
            path,
            body,
            response,
        } = request;
        let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
        let token = stack.token("acme", user, &roles, &["crew"]);

        let received = match method.as_str() {
            "GET" => stack.get(path, &token).await,
            _ => stack.post(path, &token, body).await,
        };
        assert_eq!(received.json(), *response, "{method} {path} {body}");
    }
}
