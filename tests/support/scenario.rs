//! States of a deployment that several modules of tests need, and what an admin reads of them.

use serde_json::{Value, json};

use crate::{ApiResponse, Device, Item, Stack};

/// Returns the token of an admin of the tenant `acme`.
pub fn admin(stack: &Stack) -> String {
    stack.token("acme", "root", &["admin"], &[])
}

/// Returns the phone of a user who belongs to the group `north`.
pub fn member_of_north<'a>(stack: &'a Stack, user: &str) -> Device<'a> {
    Device::new(stack, stack.token("acme", user, &[], &["north"]), "phone")
}

/// Resolves a conflict as an admin.
pub async fn resolve(stack: &Stack, conflict_id: &Value, decision: &Value) -> ApiResponse {
    let path = format!("conflicts/{}/resolve", conflict_id.as_str().unwrap());
    stack.post(&path, &admin(stack), decision).await
}

/// Returns a conflict as an admin reads it.
pub async fn conflict(stack: &Stack, conflict_id: &Value) -> Value {
    let path = format!("conflicts/{}", conflict_id.as_str().unwrap());
    stack.get(&path, &admin(stack)).await.ok()
}

/// Returns the entries of the audit log for a query such as `?order=oldest`, as an admin reads
/// them.
pub async fn audit_entries(stack: &Stack, query: &str) -> Vec<Value> {
    let path = format!("audit{query}");
    stack.get(&path, &admin(stack)).await.ok()["entries"]
        .as_array()
        .unwrap()
        .clone()
}

/// Deletes all segments of the change logs, as DynamoDB does after their retention.
pub fn expire_log(stack: &Stack) {
    for row in stack.segments() {
        let key = json!({"pk": row["pk"], "sk": row["sk"]});
        stack.dynamodb("DeleteItem", &json!({"TableName": "changes", "Key": key}));
    }
}

/// Returns an edit of the meter `id` that a device makes on this version of it.
pub fn meter(action: &str, id: &str, version: u64, fields: Value) -> Item {
    Item::new("meter", action, version)
        .base(version)
        .payload(fields)
        .id(id)
}

/// Opens a conflict about the meter `id`: the office creates it and updates it to version 2, and
/// Ana's phone updates version 1. `fields` are the fields of these three edits. Returns the id of
/// the conflict.
pub async fn open_conflict(stack: &Stack, id: &str, fields: [Value; 3]) -> String {
    let office = stack.device("office", "pc");
    let [created, updated, rejected] = fields;
    office.push_one(meter("create", id, 0, created)).await;
    office.push_one(meter("update", id, 1, updated)).await;

    let stale = meter("update", id, 1, rejected);
    let result = stack.device("ana", "phone").push_one(stale).await;
    assert_eq!(result["status"], "conflict", "{result}");
    result["conflict_id"].as_str().unwrap().to_owned()
}

/// Reads a list such as `audit?limit=2` to its end, as an admin reads it. Returns its pages.
pub async fn pages(stack: &Stack, path: &str) -> Vec<ApiResponse> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let mut pages = vec![stack.get(path, &admin(stack)).await];
    while let Some(cursor) = pages.last().unwrap().ok()["next_cursor"].as_str() {
        let next = format!("{path}{separator}cursor={cursor}");
        pages.push(stack.get(&next, &admin(stack)).await);
    }
    pages
}
