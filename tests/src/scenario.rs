//! States of a deployment that several modules of tests need, and what an admin reads of them.

use serde_json::{Value, json};

use crate::{ApiResponse, Device, Stack};

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
