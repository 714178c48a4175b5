//! Reads that a conditional write validates may be eventually consistent: stale reads do not change
//! the results.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::http::{Hook, NoHook};
use tidemark_tests::{Device, Item, Script, Stack};

use super::{create, delete, edit, stable_fields};

fn task(temp_id: &str, meter: &str) -> Item {
    Item::create_as(
        "task",
        temp_id,
        json!({"title": "read it", "meter_id": meter}),
    )
    .channel("tenant")
}

/// Builds an edit of a meter that sets this code.
fn coded(id: &str, base: u64, code: &str) -> Item {
    Item::update("meter", id, base, json!({"by": "code", "code": code})).base(base)
}

/// Returns batches of Ana's with all kinds of edits, including retries.
fn batches_of_ana() -> [Value; 6] {
    let named = create("m-9").temp_id("tmp");

    [
        json!([create("m-1"), create("m-2"), create("m-3"), named]),
        json!([
            edit("m-1", 1, 1, "ana"),
            edit("m-1", 2, 1, "ana again"),
            delete("m-2", 1),
            edit("m-4", 1, 1, "not there")
        ]),
        // Retries, followed by a reference that causes an additional read.
        json!([
            edit("m-1", 2, 1, "ana again"),
            delete("m-2", 1),
            create("m-3")
        ]),
        json!([edit("m-9", 1, 1, "ana"), task("t-1", "tmp")]),
        // A unique value is freed that a stale read does not show.
        json!([coded("m-3", 1, "A")]),
        json!([
            coded("m-3", 2, "B"),
            Item::create("meter", "m-5", json!({"code": "A"}))
        ]),
    ]
}

/// Returns batches of Ben's that conflict with Ana's.
fn batches_of_ben() -> [Value; 2] {
    [
        json!([
            edit("m-1", 1, 1, "ben"),
            edit("m-2", 1, 1, "ben"),
            edit("m-3", 3, 3, "ben"),
            create("m-1")
        ]),
        json!([edit("m-1", 1, 1, "ben"), edit("m-3", 4, 4, "ben again")]),
    ]
}

/// Returns the stored resources, in the order of their keys.
fn stored_resources(stack: &Stack) -> Vec<[Value; 4]> {
    let mut rows = stack.rows("resources");
    rows.sort_by_key(|row| row["sk"].to_string());
    rows.iter()
        .map(|row| {
            [
                row["sk"].clone(),
                json!(stack.payload_of(row)),
                row["server_version"].clone(),
                row["deleted"].clone(),
            ]
        })
        .collect()
}

/// Returns the edits that are stored as conflicts.
fn conflicting_payloads(stack: &Stack) -> Vec<String> {
    let mut payloads: Vec<_> = stack
        .conflicts()
        .iter()
        .map(|row| row["client_payload"].to_string())
        .collect();
    payloads.sort();
    payloads
}

/// Runs all kinds of pushes by devices whose functions' calls pass `hook`. Returns the results and
/// the stored state.
async fn pushes(hook: Arc<dyn Hook>) -> Value {
    let stack = Stack::hooked(hook);
    let admin =
        |user: &str| Device::new(&stack, stack.token("acme", user, &["admin"], &[]), "phone");
    let (ana, ben) = (admin("ana"), admin("ben"));

    let mut results = Vec::new();
    for items in batches_of_ana() {
        results.extend(stable_fields(&ana.push(items).await));
    }
    for items in batches_of_ben() {
        results.extend(stable_fields(&ben.push(items).await));
    }

    json!({
        "results": results,
        "rows": stored_resources(&stack),
        "conflicts": conflicting_payloads(&stack),
    })
}

#[tokio::test]
async fn stale_reads_lead_to_the_same_results() {
    let (plain, stale) = (
        pushes(Arc::new(NoHook)).await,
        pushes(Arc::new(Script::stale())).await,
    );
    let statuses: Vec<_> = plain["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it[0].as_str().unwrap())
        .collect();

    assert!(
        ["ok", "conflict", "error"]
            .iter()
            .all(|status| statuses.contains(status)),
        "{statuses:?}"
    );
    assert_eq!(plain, stale);
}
