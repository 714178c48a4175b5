//! Tests of conflicts (§5 of the protocol) and of the audit log (§7).

mod audit;
mod bulk;
mod deletes;
mod delivery;
mod detail;
mod direct;
mod dry_run;
pub(crate) mod legacy;
mod lifecycle;
mod list;
mod notify;
mod open_count;
mod pick;
mod races;
mod rejected;
mod resolve;
mod retries;
mod several;
mod summary;
mod unmade;
mod was;

use serde_json::{Value, json};
use tidemark_tests::{
    ApiResponse, Item, Stack,
    scenario::{self, admin, meter},
};

/// Creates the meter `id`, which is `{"code": id, "reading": 50}` at version 2, and pushes an
/// update from Ana's phone that is based on version 1 and conflicts. Returns the conflict's id.
async fn conflicted(stack: &Stack, id: &str) -> String {
    conflicted_by(stack, id, json!({"reading": 42})).await
}

/// Like `conflicted`, with these fields in the update by Ana's phone.
async fn conflicted_by(stack: &Stack, id: &str, fields: Value) -> String {
    let created = json!({"code": id, "reading": 44});
    scenario::open_conflict(stack, id, [created, json!({"reading": 50}), fields]).await
}

/// Pushes a conflicting item from Ana's phone and returns the conflict's id.
async fn rejected(stack: &Stack, item: Item) -> String {
    let result = stack.device("ana", "phone").push_one(item).await;
    assert_eq!(result["status"], "conflict", "{result}");
    result["conflict_id"].as_str().expect("an id").to_owned()
}

/// Resolves a conflict as an admin.
async fn resolve(stack: &Stack, id: &str, decision: &Value) -> ApiResponse {
    scenario::resolve(stack, &id.into(), decision).await
}

/// Returns a conflict as an admin reads it.
async fn shown(stack: &Stack, id: &str) -> Value {
    scenario::conflict(stack, &id.into()).await
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
    scenario::audit_entries(stack, "?order=oldest").await
}
