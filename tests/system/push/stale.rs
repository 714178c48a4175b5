//! Rows that are written on the condition that they are as they were read may be read stale: nobody
//! can tell.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark::engine::http::{Hook, NoHook};
use tidemark_tests::{Device, Script, Stack};

use super::{create, delete, edit, told};

fn task(temp_id: &str, meter: &str) -> Value {
    json!({"resource_type": "task", "action": "create", "client_temp_id": temp_id, "client_version": 0, "channel": "tenant",
        "payload": {"title": "read it", "meter_id": meter}})
}

/// A meter, edited so that it has this code.
fn coded(id: &str, base: u64, code: &str) -> Value {
    let mut item = edit(id, base, base, "code");
    item["payload"]["code"] = code.into();
    item
}

/// All kinds of pushes, by devices whose functions' calls pass `hook`: what they are answered, and
/// what is stored.
async fn pushes(hook: Arc<dyn Hook>) -> Value {
    let stack = Stack::hooked(hook);
    let admin =
        |user: &str| Device::new(&stack, stack.token("acme", user, &["admin"], &[]), "phone");
    let (ana, ben) = (admin("ana"), admin("ben"));
    let mut named = create("m-9");
    named["client_temp_id"] = "tmp".into();
    let made_by_ana = [
        json!([create("m-1"), create("m-2"), create("m-3"), named]),
        json!([
            edit("m-1", 1, 1, "ana"),
            edit("m-1", 2, 1, "ana again"),
            delete("m-2", 1),
            edit("m-4", 1, 1, "not there")
        ]),
        // Sent again; and what is read besides, because something refers to it.
        json!([
            edit("m-1", 2, 1, "ana again"),
            delete("m-2", 1),
            create("m-3")
        ]),
        json!([edit("m-9", 1, 1, "ana"), task("t-1", "tmp")]),
        // A value that is freed where nothing shows at first.
        json!([coded("m-3", 1, "A")]),
        json!([coded("m-3", 2, "B"), { "resource_type": "meter", "action": "create", "client_version": 0,
            "payload": {"id": "m-5", "code": "A"} }]),
    ];
    let made_by_ben = [
        json!([
            edit("m-1", 1, 1, "ben"),
            edit("m-2", 1, 1, "ben"),
            edit("m-3", 3, 3, "ben"),
            create("m-1")
        ]),
        json!([edit("m-1", 1, 1, "ben"), edit("m-3", 4, 4, "ben again")]),
    ];
    let mut responses = Vec::new();
    for items in made_by_ana {
        responses.extend(told(&ana.push(items).await));
    }
    for items in made_by_ben {
        responses.extend(told(&ben.push(items).await));
    }
    let mut rows = stack.rows("resources");
    rows.sort_by_key(|row| row["sk"].to_string());
    let payload = |row: &Value| json!(stack.payload_of(row));
    let payloads: Vec<_> = rows
        .iter()
        .map(|row| {
            [
                row["sk"].clone(),
                payload(row),
                row["server_version"].clone(),
                row["deleted"].clone(),
            ]
        })
        .collect();
    let mut conflicts: Vec<_> = stack
        .conflicts()
        .iter()
        .map(|row| row["client_payload"].to_string())
        .collect();
    conflicts.sort();
    json!({"answers": responses, "rows": payloads, "conflicts": conflicts})
}

#[tokio::test]
async fn what_is_read_stale_is_decided_as_what_is_read_consistently() {
    let (plain, stale) = (
        pushes(Arc::new(NoHook)).await,
        pushes(Arc::new(Script::stale())).await,
    );
    let statuses: Vec<_> = plain["answers"]
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
