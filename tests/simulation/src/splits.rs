//! The queue of a device that sends alone, cut into batches in several ways: what becomes of it
//! does not depend on the boundaries (docs/protocol.md §3.5).

use std::fmt;

use serde_json::{Value, json};

use crate::{
    client::{Client, LocalCopy, Name},
    cloud::{Cloud, Request},
    faults::{FAULTS, FaultProfile, Invocation, rng},
};

/// Ways to cut a queue that are compared with sending it item by item: whole, and this many at
/// random.
const RANDOM_CUTS: u64 = 2;
/// Edits in a queue at most.
const EDITS_MAX: usize = 9;
/// The channel of tasks.
const NORTH: &str = "group/north";

/// What the office makes before the device pushes; the device has received version 1 of each.
const OFFICE: [(&str, &str, &str); 5] = [
    ("meter", "m-0", r#"{"code": "code-0"}"#),
    ("meter", "m-1", r#"{"code": "code-1"}"#),
    ("task", "t-0", r#"{"a": "office"}"#),
    ("note", "n-0", r#"{"a": "office"}"#),
    ("reading", "r-0", r#"{"a": "office"}"#),
];

/// What became of a queue.
#[derive(Debug, PartialEq)]
struct End {
    /// Of each item: status, code and whether it may be sent again.
    outcomes: Vec<String>,
    resources: Vec<Value>,
    unique_keys: Vec<Value>,
    open_conflicts: Vec<Value>,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("resources", &self.resources),
            ("unique keys", &self.unique_keys),
            ("open conflicts", &self.open_conflicts),
        ];
        write!(f, "  {}", self.outcomes.join(", "))?;
        for (name, rows) in parts {
            write!(f, "\n  {name}:")?;
            rows.iter().try_for_each(|row| write!(f, "\n    {row}"))?;
        }
        Ok(())
    }
}

/// How the outcome of this seed's queue depends on batch boundaries, if it does.
pub async fn differing(seed: u64) -> Option<String> {
    let mut queue = queue(seed);
    let office = office(seed);
    let mut one_by_one = send(seed, &office, &queue, |_| true).await;
    // A device that sends item by item does not go on behind one that it has to send again.
    if let Some(at) = one_by_one
        .outcomes
        .iter()
        .position(|outcome| outcome.ends_with(" true"))
    {
        queue.truncate(at);
        one_by_one = send(seed, &office, &queue, |_| true).await;
    }
    for way in 0..=RANDOM_CUTS {
        let mut rng = rng(&[seed, 12, way]);
        let cuts: Vec<bool> = queue.iter().map(|_| way > 0 && rng.bool()).collect();
        let end = send(seed, &office, &queue, |at| cuts[at]).await;
        if end != one_by_one {
            let items: Vec<String> = queue.iter().map(Value::to_string).collect();
            let items = items.join("\n  ");
            return Some(format!(
                "cut behind {cuts:?}, the queue\n  {items}\nbecame\n{end}\nand item by item\n{one_by_one}"
            ));
        }
    }
    None
}

fn channel(resource_type: &str) -> &'static str {
    match resource_type {
        "task" => NORTH,
        "submission" => "user/ana",
        _ => "tenant",
    }
}

/// What the office pushes: its resources, and second versions of some, which the device has not
/// received.
fn office(seed: u64) -> Vec<Value> {
    let mut rng = rng(&[seed, 13]);
    let item = |action: &str, version: u64, (resource_type, id, payload): (&str, &str, &str)| {
        let mut payload: Value = serde_json::from_str(payload).unwrap();
        payload["id"] = id.into();
        json!({"resource_type": resource_type, "action": action, "client_version": version, "base_version": version,
            "channel": channel(resource_type), "payload": payload})
    };
    let mut items: Vec<Value> = OFFICE.iter().map(|made| item("create", 0, *made)).collect();
    for (resource_type, id, _) in OFFICE {
        if rng.u32(0..4) == 0 {
            items.push(item("update", 1, (resource_type, id, r#"{"b": "office"}"#)));
        }
    }
    items
}

/// What the device has queued, numbered as documented.
fn queue(seed: u64) -> Vec<Value> {
    let mut rng = rng(&[seed, 14]);
    let mut device = Client {
        tells_base: true,
        is_documented: true,
        ..Client::default()
    };
    for (resource_type, id, payload) in OFFICE {
        let name = Name {
            channel: channel(resource_type).into(),
            resource_type: resource_type.into(),
            id: id.into(),
        };
        device.copies.insert(
            name,
            LocalCopy {
                base: 1,
                known: 1,
                payload: Some(payload.into()),
                ..LocalCopy::default()
            },
        );
    }
    let mut made: Vec<String> = Vec::new();
    for number in 0..rng.usize(3..=EDITS_MAX) as u64 {
        let resource_type = [
            "meter",
            "meter",
            "meter",
            "task",
            "task",
            "submission",
            "note",
            "reading",
        ][rng.usize(0..8)];
        let initial = &resource_type[..1];
        let id = match rng.u32(0..5) {
            0..2 => format!("tmp-{initial}{}", rng.u32(0..2)),
            _ => format!("{initial}-{}", rng.u32(0..3)),
        };
        let action = [
            "create", "create", "create", "delete", "update", "update", "update",
        ][rng.usize(0..7)];
        let mut payload = json!({});
        if action != "delete" {
            // Each edit changes something.
            payload[["a", "b"][rng.usize(0..2)]] = number.into();
            match resource_type {
                "meter" if rng.bool() => {
                    payload["code"] = [
                        json!(null),
                        json!("code-0"),
                        json!("code-1"),
                        json!("code-2"),
                    ][rng.usize(0..4)]
                    .clone()
                }
                "task" if !made.is_empty() && rng.bool() => {
                    payload["meter_id"] = made[rng.usize(0..made.len())].as_str().into()
                }
                "submission" if rng.u32(0..4) > 0 => {
                    (payload["form_id"], payload["data"]) = (json!("form"), json!({}))
                }
                _ => {}
            }
        }
        if action == "create" && resource_type == "meter" && id.starts_with("tmp-") {
            made.push(id.clone());
        }
        let name = Name {
            channel: channel(resource_type).into(),
            resource_type: resource_type.into(),
            id,
        };
        device.type_edit(number, name, action, payload);
        let item = &mut device.queue.last_mut().unwrap().item;
        if item.get("client_temp_id").is_some() && rng.u32(0..6) == 0 {
            item["payload"] = json!([]);
        }
    }
    device.queue.into_iter().map(|edit| edit.item).collect()
}

/// Sends the queue in batches that end behind the items at which `is_cut`.
async fn send(seed: u64, office: &[Value], queue: &[Value], is_cut: impl Fn(usize) -> bool) -> End {
    let faults = std::sync::Arc::new(FaultProfile::of(seed, FAULTS));
    let cloud = Cloud::new(faults.clone());
    let groups = ["north".to_owned()];
    let push = async |user: &str, items: &[Value]| {
        let token = cloud.token("acme", user, &[], &groups);
        let body =
            json!({"device_id": user, "client_sync_token": null, "items": items}).to_string();
        let request = Request {
            method: "POST",
            path: "sync/push".into(),
            token,
            body,
        };
        let response = cloud
            .serve(Invocation::new(&faults, rng(&[seed, 15])), &request)
            .await
            .unwrap();
        assert_eq!(response.status, 200, "{}", response.text);
        response.read::<Value>()["results"]
            .as_array()
            .unwrap()
            .clone()
    };
    push("office", office).await;
    let mut outcomes = Vec::new();
    let mut begin = 0;
    for at in 0..queue.len() {
        if is_cut(at) || at + 1 == queue.len() {
            outcomes.extend(push("ana", &queue[begin..=at]).await.iter().map(outcome));
            begin = at + 1;
        }
    }
    let parts = |table: &str, names: &[&str]| {
        let is_wanted = |row: &Value| table != "conflicts" || row["status"]["S"] == "open";
        let rows = cloud.rows(table).into_iter().filter(is_wanted);
        let mut rows: Vec<Value> = rows
            .map(|row| names.iter().map(|name| row[*name].clone()).collect())
            .collect();
        rows.sort_by_key(Value::to_string);
        rows
    };
    End {
        outcomes,
        resources: parts(
            "resources",
            &["pk", "sk", "payload", "server_version", "deleted"],
        ),
        unique_keys: parts("unique_keys", &["pk", "sk", "holder_channel", "holder_id"]),
        open_conflicts: parts("conflicts", &["id", "edit_count"]),
    }
}

fn outcome(result: &Value) -> String {
    let code = match result["code"].as_str().unwrap_or_default() {
        // Behind an item of the same batch that failed on the resource, the one is told as the
        // other (§3.5).
        "depends_on_failed_item" if result["retryable"] == false => "not_found",
        code => code,
    };
    format!(
        "{} {code} {}",
        result["status"].as_str().unwrap_or_default(),
        result["retryable"]
    )
}
