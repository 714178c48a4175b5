//! Tests of conflicts (§5 of the protocol) and of the audit log (§7).

mod audit;
mod deletes;
mod delivery;
mod detail;
mod direct;
pub(crate) mod legacy;
mod lifecycle;
mod list;
mod notify;
mod open_count;
mod races;
mod rejected;
mod resolve;
mod retries;
mod several;
mod unmade;

use serde_json::{Value, json};
use tidemark_tests::{ApiResponse, Stack};

/// Returns the token of an admin of the tenant `acme`.
fn admin(stack: &Stack) -> String {
    stack.token("acme", "root", &["admin"], &[])
}

/// Builds a push item about the meter `id`.
fn item(action: &str, id: &str, version: u64, fields: Value) -> Value {
    let mut payload = fields;
    payload["id"] = id.into();
    json!({"resource_type": "meter", "action": action, "client_version": version, "base_version": version, "payload": payload})
}

/// Creates the meter `id`, which is `{"code": id, "reading": 50}` at version 2, and pushes an
/// update from Ana's phone that is based on version 1 and conflicts. Returns the conflict's id.
async fn conflicted(stack: &Stack, id: &str) -> String {
    conflicted_by(stack, id, json!({"reading": 42})).await
}

/// Like `conflicted`, with these fields in the update by Ana's phone.
async fn conflicted_by(stack: &Stack, id: &str, fields: Value) -> String {
    let office = stack.device("office", "pc");
    office
        .push_one(item("create", id, 0, json!({"code": id, "reading": 44})))
        .await;
    office
        .push_one(item("update", id, 1, json!({"reading": 50})))
        .await;
    rejected(stack, item("update", id, 1, fields)).await
}

/// Pushes a conflicting item from Ana's phone and returns the conflict's id.
async fn rejected(stack: &Stack, item: Value) -> String {
    let result = stack.device("ana", "phone").push_one(item).await;
    assert_eq!(result["status"], "conflict", "{result}");
    result["conflict_id"].as_str().expect("an id").to_owned()
}

/// Resolves a conflict as an admin.
async fn resolve(stack: &Stack, id: &str, decision: &Value) -> ApiResponse {
    stack
        .post(&format!("conflicts/{id}/resolve"), &admin(stack), decision)
        .await
}

/// Returns a conflict as an admin reads it.
async fn shown(stack: &Stack, id: &str) -> Value {
    stack
        .get(&format!("conflicts/{id}"), &admin(stack))
        .await
        .ok()
}

/// Returns the stored meter `id`: its version, whether it is deleted, and its payload as text.
fn stored(stack: &Stack, id: &str) -> (u64, bool, String) {
    let row = stack
        .rows("resources")
        .into_iter()
        .find(|row| row["sk"]["S"] == format!("meter#{id}"))
        .expect("the row");

    let version = row["server_version"]["N"]
        .as_str()
        .expect("a number")
        .parse()
        .expect("a number");
    (
        version,
        row["deleted"]["BOOL"] == true,
        stack.payload_of(&row),
    )
}

/// Returns the audit log, oldest entry first.
async fn audited(stack: &Stack) -> Vec<Value> {
    stack.get("audit?order=oldest", &admin(stack)).await.ok()["entries"]
        .as_array()
        .expect("entries")
        .clone()
}

/// Returns pseudo-random text that hardly compresses.
fn noise(bytes: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = bytes as u64;
    let mut letter = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(LETTERS[(state >> 58) as usize])
    };
    (0..bytes).map(|_| letter()).collect()
}
