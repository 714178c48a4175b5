//! Tests of push (§3 of the protocol).

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
use tidemark_tests::Item;

/// Builds a create of the meter `id`.
fn create(id: &str) -> Item {
    Item::create("meter", id, json!({"by": "first"}))
}

/// Builds an edit of the meter `id` that sets `by`, is based on `base` and has this client version.
fn edit(id: &str, client_version: u64, base: u64, by: &str) -> Item {
    Item::update("meter", id, client_version, json!({"by": by})).base(base)
}

/// Builds a delete of the meter `id` that is based on `base`.
fn delete(id: &str, base: u64) -> Item {
    Item::delete("meter", id, base).base(base)
}

/// Returns the fields of the results that a retry must return unchanged.
fn stable_fields(results: &[Value]) -> Vec<Value> {
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
