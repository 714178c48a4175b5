//! Batches and their replay, §7 of the protocol.

mod correct;
mod list;
mod replay;
mod show;

use serde_json::{Value, json};
use tidemark_core::model::ids::BatchId;
use tidemark_tests::{ApiResponse, Device, Item, Stack};

pub(crate) fn create(id: &str, text: &str) -> Item {
    Item::create("meter", id, json!({"text": text}))
}

pub(crate) fn edit(id: &str, base: u64, text: &str) -> Item {
    Item::update("meter", id, base, json!({"text": text})).base(base)
}

/// Returns the token of an admin of the tenant.
pub(crate) fn boss(stack: &Stack) -> String {
    stack.token("acme", "boss", &["admin"], &[])
}

/// Returns the server's id of a batch that the device calls `batch_id`.
pub(crate) fn id_of(user: &str, batch_id: &str) -> String {
    BatchId::derived("acme", user, "phone", batch_id).to_string()
}

/// Pushes a batch and returns the server's id of it.
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

/// Corrects the item at `index` of a batch.
pub(crate) async fn correct(
    stack: &Stack,
    token: &str,
    (id, index): (&str, usize),
    body: &Value,
) -> ApiResponse {
    stack
        .post(&format!("batches/{id}/items/{index}/correct"), token, body)
        .await
}

/// Returns the sorted rows of every table that a function may write.
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
