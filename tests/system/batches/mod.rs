//! Batches and their replay, §7 of the protocol.

mod replay;
mod show;

use serde_json::{Value, json};
use tidemark_core::ids::BatchId;
use tidemark_tests::{ApiResponse, Device, Stack};

pub(crate) fn create(id: &str, text: &str) -> Value {
    json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": id, "text": text}})
}

pub(crate) fn edit(id: &str, base: u64, text: &str) -> Value {
    json!({"resource_type": "meter", "action": "update", "client_version": base, "base_version": base,
        "payload": {"id": id, "text": text}})
}

/// An admin of the tenant.
pub(crate) fn boss(stack: &Stack) -> String {
    stack.token("acme", "boss", &["admin"], &[])
}

/// The server's id of a batch that a device calls so.
pub(crate) fn id_of(user: &str, batch_id: &str) -> String {
    BatchId::derived("acme", user, "phone", batch_id).to_string()
}

/// Pushes a batch; gives the server's id of it.
pub(crate) async fn push(device: &Device<'_>, batch_id: &str, items: &Value) -> String {
    let response = device.push_batch(batch_id, items).await.ok();
    response["batch_id"].as_str().expect("an id").to_owned()
}

pub(crate) async fn get(stack: &Stack, token: &str, id: &str) -> ApiResponse {
    stack.get(&format!("batches/{id}"), token).await
}

pub(crate) async fn replay(stack: &Stack, token: &str, id: &str, body: &Value) -> ApiResponse {
    stack
        .post(&format!("batches/{id}/replay"), token, body)
        .await
}

/// Every row of every table that a function may write, in one order.
pub(crate) fn everything(stack: &Stack) -> Vec<(&'static str, Vec<String>)> {
    let tables = [
        "resources",
        "changes",
        "sync_batches",
        "sync_items",
        "conflicts",
        "submission_media",
        "devices",
        "unique_keys",
        "audit_log",
    ];
    let sorted = |table: &str| {
        let mut rows: Vec<String> = stack.rows(table).iter().map(ToString::to_string).collect();
        rows.sort();
        rows
    };
    tables
        .into_iter()
        .map(|table| (table, sorted(table)))
        .collect()
}
