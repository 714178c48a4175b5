//! Sends the queue of a device in batches of different sizes, while no other device writes: the
//! outcome must not depend on the batch boundaries (docs/protocol.md §3.5).

use std::{fmt, sync::Arc};

use serde_json::{Value, json};
use tidemark_client::{Client, EditContent, ResourceId, ResourceName};

use crate::{
    cloud::{Cloud, Request},
    edits::item as item_of,
    faults::{FAULTS, FaultProfile, Invocation, rng},
};

/// Number of random ways to split a queue that are compared with sending it item by item. Sending
/// it whole is compared as well.
const RANDOM_CUTS: u64 = 2;
/// Maximum number of edits in a queue.
const EDITS_MAX: usize = 9;
/// The channel of the tasks.
const NORTH: &str = "group/north";

/// The resources that the office creates before the device pushes. The device has received version
/// 1 of each.
const OFFICE: [(&str, &str, &str); 5] = [
    ("meter", "m-0", r#"{"code": "code-0"}"#),
    ("meter", "m-1", r#"{"code": "code-1"}"#),
    ("task", "t-0", r#"{"a": "office"}"#),
    ("note", "n-0", r#"{"a": "office"}"#),
    ("reading", "r-0", r#"{"a": "office"}"#),
];

/// The outcome of sending a queue.
#[derive(Debug, PartialEq)]
struct End {
    /// Status, code and retryability of each item.
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

/// Describes how the outcome of this seed's queue depends on batch boundaries, if it does.
pub async fn differing(seed: u64) -> Option<String> {
    let mut queue = queue(seed);
    let office = office(seed);
    let mut one_by_one = send(seed, &office, &queue, |_| true).await;

    // A device that sends item by item does not continue after an item that it has to retry.
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
                "split after {cuts:?}, the queue\n  {items}\nends as\n{end}\nand item by item as\n{one_by_one}"
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

/// Returns the items that the office pushes: its resources, and second versions of some, which the
/// device has not received.
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

/// Returns the queue of the device, numbered as docs/protocol.md specifies.
fn queue(seed: u64) -> Vec<Value> {
    let mut rng = rng(&[seed, 14]);
    let mut device = device_with_office();
    let (mut made, mut items): (Vec<String>, Vec<Value>) = (Vec::new(), Vec::new());

    for number in 0..rng.usize(3..=EDITS_MAX) as u64 {
        let name = random_name(&mut rng);
        let action = [
            "create", "create", "create", "delete", "update", "update", "update",
        ][rng.usize(0..7)];
        let payload = match action {
            "delete" => json!({}),
            _ => random_payload(&name.resource_type, number, &made, &mut rng),
        };
        let payload = payload.to_string();
        if action == "create" && name.resource_type == "meter" && name.id.is_temp() {
            made.push(name.id.as_str().to_owned());
        }

        let content = match action {
            "create" => EditContent::Create(&payload),
            "update" => EditContent::Update(&payload),
            _ => EditContent::Delete,
        };
        let mut item = item_of(&device.enqueue_edit(number, name, content).unwrap());
        if item.get("client_temp_id").is_some() && rng.u32(0..6) == 0 {
            item["payload"] = json!([]); // a malformed item
        }
        items.push(item);
    }
    items
}

/// Returns a device that has received version 1 of each resource of the office.
fn device_with_office() -> Client {
    let time = "2025-12-22T12:34:56.000Z";
    let changes = OFFICE.map(|(resource_type, id, payload)| {
        let payload: Value = serde_json::from_str(payload).unwrap();
        json!({"id": id, "resource_type": resource_type, "channel": channel(resource_type), "action": "create",
            "payload": payload, "server_version": 1, "changed_at": time})
    });
    let page =
        json!({"next_token": "", "changes": changes, "has_more": false, "server_time": time});

    let mut device = Client::new("ana");
    device.apply_page(serde_json::from_str(&page.to_string()).unwrap());
    device
}

/// Returns the resource of an edit: one of a few, so that edits of a queue depend on each other.
fn random_name(rng: &mut fastrand::Rng) -> ResourceName {
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
        0..2 => ResourceId::Temp(format!("tmp-{initial}{}", rng.u32(0..2))),
        _ => ResourceId::Server(format!("{initial}-{}", rng.u32(0..3))),
    };

    ResourceName {
        channel: channel(resource_type).into(),
        resource_type: resource_type.into(),
        id,
    }
}

/// Returns the payload of a create or an update. It changes at least one field, and may claim a
/// unique value or refer to a meter that the queue creates.
fn random_payload(
    resource_type: &str,
    number: u64,
    made: &[String],
    rng: &mut fastrand::Rng,
) -> Value {
    let mut payload = json!({});
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
    payload
}

/// Sends the queue in batches that end after the items for which `is_cut` holds.
async fn send(seed: u64, office: &[Value], queue: &[Value], is_cut: impl Fn(usize) -> bool) -> End {
    let cloud = Cloud::new(Arc::new(FaultProfile::of(seed, FAULTS)));
    push(&cloud, seed, "office", office).await;

    let mut outcomes = Vec::new();
    let mut begin = 0;
    for at in 0..queue.len() {
        if is_cut(at) || at + 1 == queue.len() {
            let results = push(&cloud, seed, "ana", &queue[begin..=at]).await;
            outcomes.extend(results.iter().map(outcome));
            begin = at + 1;
        }
    }

    End {
        outcomes,
        resources: stored(
            &cloud,
            "resources",
            &["pk", "sk", "payload", "server_version", "deleted"],
        ),
        unique_keys: stored(
            &cloud,
            "unique_keys",
            &["pk", "sk", "holder_channel", "holder_id"],
        ),
        open_conflicts: stored(&cloud, "conflicts", &["id", "edit_count"]),
    }
}

/// Pushes items as this user. Returns their results.
async fn push(cloud: &Cloud, seed: u64, user: &str, items: &[Value]) -> Vec<Value> {
    let groups = ["north".to_owned()];
    let body = json!({"device_id": user, "client_sync_token": null, "items": items});
    let request = Request {
        method: "POST",
        path: "sync/push".into(),
        token: cloud.token("acme", user, &[], &groups),
        body: body.to_string(),
    };

    let invocation = Invocation::new(&cloud.faults, rng(&[seed, 15]));
    let response = cloud.serve(invocation, &request).await.unwrap();
    assert_eq!(response.status, 200, "{}", response.text);
    response.read::<Value>()["results"]
        .as_array()
        .unwrap()
        .clone()
}

/// Returns these attributes of every row of a table, sorted. Resolved conflicts are left out.
fn stored(cloud: &Cloud, table: &str, names: &[&str]) -> Vec<Value> {
    let is_wanted = |row: &Value| table != "conflicts" || row["status"]["S"] == "open";
    let rows = cloud.rows(table).into_iter().filter(is_wanted);
    let mut rows: Vec<Value> = rows
        .map(|row| names.iter().map(|name| row[*name].clone()).collect())
        .collect();
    rows.sort_by_key(Value::to_string);
    rows
}

/// Returns the status, the code and the retryability of a result.
fn outcome(result: &Value) -> String {
    let code = match result["code"].as_str().unwrap_or_default() {
        // After a failed item of the same resource in the same batch, `depends_on_failed_item` is
        // equivalent to `not_found` (§3.5).
        "depends_on_failed_item" if result["retryable"] == false => "not_found",
        code => code,
    };
    format!(
        "{} {code} {}",
        result["status"].as_str().unwrap_or_default(),
        result["retryable"]
    )
}
