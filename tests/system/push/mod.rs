//! Push, §3 of the protocol.

mod audited;
mod chains;
mod corrections;
mod deletes;
mod exactly_once;
mod ids;
mod lifecycle;
mod merging;
mod policies;
mod races;
mod references;
mod repeated;
mod splits;
mod stale;
mod tokens;
mod unique;

use serde_json::{Value, json};

/// A create of the meter `id`.
fn create(id: &str) -> Value {
    json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": id, "by": "first"}})
}

/// An edit of the meter `id`: sets `by`, made on `base`, as the client's version `client_version`.
fn edit(id: &str, client_version: u64, base: u64, by: &str) -> Value {
    json!({"resource_type": "meter", "action": "update", "client_version": client_version, "base_version": base,
        "payload": {"id": id, "by": by}})
}

/// A delete of the meter `id`, made on `base`.
fn delete(id: &str, base: u64) -> Value {
    json!({"resource_type": "meter", "action": "delete", "client_version": base, "base_version": base, "payload": {"id": id}})
}

/// What a retry must answer alike.
fn told(results: &[Value]) -> Vec<Value> {
    let one = |it: &Value| {
        json!([
            it["status"],
            it["server_id"],
            it["server_version"],
            it["conflict_id"],
            it["code"],
            it["error"]
        ])
    };
    results.iter().map(one).collect()
}
