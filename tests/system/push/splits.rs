//! §3.5, §3.9: a queue that one device sends alone ends in the same state, with the same statuses,
//! for every choice of batch boundaries.

use serde_json::{Value, json};
use tidemark_tests::{Device, Stack};

/// A stack with three meters of codes X, Y and W, as an office made them, and Ana's phone, a member
/// of the group north.
async fn office(stack: &Stack) -> Device<'_> {
    let meter = |id: &str, code: &str| json!({"resource_type": "meter", "action": "create", "client_version": 0, "payload": {"id": id, "code": code}});
    let results = stack
        .device("office", "pc")
        .push(json!([
            meter("m-1", "X"),
            meter("m-2", "Y"),
            meter("m-3", "W")
        ]))
        .await;
    assert!(results.iter().all(|result| result["status"] == "ok"));
    Device::new(stack, stack.token("acme", "ana", &[], &["north"]), "phone")
}

/// What the queue came to: the outcome of each item, and everything that is stored of it.
#[derive(Debug, PartialEq)]
struct End {
    /// Status, code and whether it is retryable.
    outcomes: Vec<String>,
    resources: Vec<Value>,
    unique_keys: Vec<Value>,
    conflicts: Vec<Value>,
}

/// Sends the queue in batches that end behind the items whose bit is set in `cuts`.
async fn send(queue: &[Value], cuts: u32) -> End {
    let stack = Stack::new();
    let ana = office(&stack).await;
    let mut outcomes = Vec::new();
    let mut batch = Vec::new();
    for (at, item) in queue.iter().enumerate() {
        batch.push(item.clone());
        if cuts & (1 << at) != 0 || at + 1 == queue.len() {
            let results = ana.push(Value::Array(std::mem::take(&mut batch))).await;
            outcomes.extend(results.iter().map(outcome));
        }
    }
    let parts = |table: &str, names: &[&str]| {
        let mut rows: Vec<Value> = stack
            .rows(table)
            .iter()
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
        conflicts: parts("conflicts", &["id", "status", "edit_count"]),
    }
}

/// What became of an item.
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

/// Sends the queue item by item, and in every other way.
async fn assert_independent_of_boundaries(queue: &[Value], context: &str) -> End {
    let one_by_one = send(queue, u32::MAX).await;
    for cuts in 0..1 << (queue.len() - 1) {
        let end = send(queue, cuts).await;
        assert_eq!(end, one_by_one, "{context}, cuts {cuts:b}, of {queue:#?}");
    }
    one_by_one
}

/// Numbers edits as *Numbering versions* says, for a device that receives no answer in between.
#[derive(Default)]
struct Queue {
    items: Vec<Value>,
    edits: std::collections::HashMap<String, u64>,
}

impl Queue {
    /// An edit of a resource that was at `base` when the device last received it.
    fn add(
        &mut self,
        resource_type: &str,
        action: &str,
        name: &str,
        base: u64,
        mut payload: Value,
    ) {
        let waiting = self.edits.entry(name.to_owned()).or_default();
        let version = base + *waiting;
        *waiting += 1;
        let mut item = json!({"resource_type": resource_type, "action": action, "client_version": version, "base_version": base});
        match name.strip_prefix("temp:") {
            Some(temp_id) => item["client_temp_id"] = temp_id.into(),
            None => payload["id"] = name.into(),
        }
        if resource_type == "task" {
            item["channel"] = "group/north".into();
        }
        item["payload"] = payload;
        self.items.push(item);
    }

    /// A create that fails with an error.
    fn broken(mut self, name: &str) -> Self {
        self.add("meter", "create", name, 0, json!({}));
        if let Some(item) = self.items.last_mut() {
            item["payload"] = json!([]);
        }
        self
    }

    fn has_created(&self, temp_id: &str) -> bool {
        self.items
            .iter()
            .any(|item| item["action"] == "create" && item["client_temp_id"] == temp_id)
    }

    fn meter(mut self, action: &str, name: &str, payload: Value) -> Self {
        self.add(
            "meter",
            action,
            name,
            u64::from(name.starts_with("m-")),
            payload,
        );
        self
    }

    fn task(mut self, action: &str, name: &str, payload: Value) -> Self {
        self.add("task", action, name, 0, payload);
        self
    }
}

#[tokio::test]
async fn values_move_between_resources_in_queue_order() {
    let code = |code: Value| json!({ "code": code });
    let moved = Queue::default()
        .meter("update", "m-1", json!({"reading": 5}))
        .meter("update", "m-2", code("Z".into()))
        .meter("update", "m-1", code("Y".into()));
    let parked = Queue::default()
        .meter("update", "m-1", code(Value::Null))
        .meter("update", "m-2", code("X".into()))
        .meter("update", "m-1", code("Y".into()));
    let rotated = Queue::default()
        .meter("update", "m-1", code("P".into()))
        .meter("update", "m-2", code("X".into()))
        .meter("update", "m-3", code("Y".into()))
        .meter("update", "m-1", code("W".into()));
    let inherited = Queue::default()
        .meter("update", "m-1", json!({"reading": 5}))
        .meter("delete", "m-2", json!({}))
        .meter("create", "temp:a", code("Y".into()))
        .meter("update", "m-1", code("Q".into()))
        .meter("create", "temp:b", code("X".into()));
    for (name, queue) in [
        ("moved", moved),
        ("parked", parked),
        ("rotated", rotated),
        ("inherited", inherited),
    ] {
        let end = assert_independent_of_boundaries(&queue.items, name).await;
        assert!(
            end.outcomes.iter().all(|outcome| outcome == "ok  null"),
            "{name}: {:?}",
            end.outcomes
        );
    }
}

#[tokio::test]
async fn rejected_items_do_not_depend_on_boundaries() {
    let code = |code: &str| json!({ "code": code });
    let queues = [
        // The value is held until a later item frees it.
        Queue::default()
            .meter("update", "m-1", code("Y"))
            .meter("update", "m-2", code("Z"))
            .meter("update", "m-1", json!({"n": 1})),
        // A rejected create, what follows it, and its correction.
        Queue::default()
            .meter("create", "temp:a", code("X"))
            .meter("update", "temp:a", json!({"n": 1}))
            .meter("create", "temp:a", code("free"))
            .meter("update", "temp:a", json!({"n": 2})),
        // References to what is rejected, and to what exists.
        Queue::default()
            .meter("create", "temp:a", code("X"))
            .task("create", "temp:t", json!({"meter_id": "a"}))
            .meter("create", "temp:b", code("B"))
            .task("create", "temp:u", json!({"meter_id": "b"}))
            .task("update", "temp:u", json!({"meter_id": "a"})),
        // References to what fails with an error, and to its correction.
        Queue::default()
            .broken("temp:a")
            .task("create", "temp:t", json!({"meter_id": "a"}))
            .meter("create", "temp:a", code("A"))
            .task("create", "temp:u", json!({"meter_id": "a"}))
            .broken("temp:a")
            .task("update", "temp:u", json!({"meter_id": "a", "n": 1})),
        // What exists is deleted and created again.
        Queue::default()
            .meter("update", "m-1", json!({"n": 1}))
            .meter("delete", "m-1", json!({}))
            .meter("create", "m-1", code("X"))
            .meter("update", "m-1", json!({"n": 2}))
            .meter("delete", "m-1", json!({})),
        // Deletes of what does not exist, and creates behind them.
        Queue::default()
            .meter("delete", "x", json!({}))
            .meter("create", "x", code("X"))
            .meter("create", "x", code("N"))
            .meter("delete", "x", json!({}))
            .meter("create", "y", code("N")),
    ];
    for (at, queue) in queues.into_iter().enumerate() {
        assert_independent_of_boundaries(&queue.items, &format!("queue {at}")).await;
    }
}

#[tokio::test]
async fn random_queues_do_not_depend_on_boundaries() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut queue = Queue::default();
        for _ in 0..5 {
            let code: Value = match rng.u32(0..6) {
                0 => Value::Null,
                at => ["X", "Y", "W", "A", "B"][at as usize - 1].into(),
            };
            let payload = match rng.u32(0..3) {
                0 => json!({"n": rng.u32(0..9)}),
                _ => json!({"code": code, "n": rng.u32(0..9)}),
            };
            let name = ["m-1", "m-2", "m-3", "temp:a", "temp:b", "x"][rng.usize(0..6)];
            queue = match rng.u32(0..11) {
                10 => queue.broken(["temp:a", "temp:b"][rng.usize(0..2)]),
                0..3 => queue.meter(
                    "create",
                    ["temp:a", "temp:b", "x", "m-1"][rng.usize(0..4)],
                    payload,
                ),
                3 => queue.meter("delete", name, json!({})),
                4 => {
                    // A device refers to what it has created before.
                    let made: Vec<&str> = ["a", "b"]
                        .into_iter()
                        .filter(|name| queue.has_created(name))
                        .collect();
                    let meter = if made.is_empty() {
                        "m-1"
                    } else {
                        made[rng.usize(0..made.len())]
                    };
                    queue.task(
                        "create",
                        ["temp:t", "temp:u"][rng.usize(0..2)],
                        json!({ "meter_id": meter }),
                    )
                }
                _ => queue.meter("update", name, payload),
            };
        }
        assert_independent_of_boundaries(&queue.items, &format!("seed {seed}")).await;
    }
}

/// Under `field_merge`, an edit of a field that nobody else changed merges behind one that
/// conflicts, in whatever batch.
#[tokio::test]
async fn merging_does_not_depend_on_boundaries() {
    let item = |action: &str, version: u64, payload: Value| {
        json!({"resource_type": "task", "action": action, "client_version": version, "base_version": version.min(1), "channel": "group/north",
            "payload": payload})
    };
    let queue = [
        item("update", 1, json!({"id": "t", "title": "ana"})),
        item("update", 2, json!({"id": "t", "note": "ana"})),
        item("update", 3, json!({"id": "t", "title": "again"})),
    ];
    let mut ends = Vec::new();
    for cuts in [0b11, 0, 0b01, 0b10] {
        let stack = Stack::new();
        let [office, ana] = ["office", "ana"]
            .map(|user| Device::new(&stack, stack.token("acme", user, &[], &["north"]), "phone"));
        let made = [
            item("create", 0, json!({"id": "t"})),
            item("update", 1, json!({"id": "t", "title": "office"})),
        ];
        office.push(Value::Array(made.to_vec())).await;
        let mut outcomes = Vec::new();
        let mut batch = Vec::new();
        for (at, edit) in queue.iter().enumerate() {
            batch.push(edit.clone());
            if cuts & (1 << at) != 0 || at + 1 == queue.len() {
                outcomes.extend(
                    ana.push(Value::Array(std::mem::take(&mut batch)))
                        .await
                        .iter()
                        .map(outcome),
                );
            }
        }
        let conflicts: Vec<Value> = stack
            .conflicts()
            .iter()
            .map(|row| row["edit_count"].clone())
            .collect();
        ends.push((
            cuts,
            outcomes,
            stack.rows("resources")[0]["payload"].clone(),
            conflicts,
        ));
    }
    let (_, outcomes, payload, conflicts) = ends[0].clone();
    assert_eq!(
        outcomes,
        [
            "conflict version_mismatch null",
            "ok  null",
            "conflict version_mismatch null"
        ]
    );
    assert_eq!(
        (&payload["S"], conflicts.len()),
        (&json!(r#"{"title":"office","note":"ana"}"#), 1)
    );
    for (cuts, others, stored, kept) in ends {
        assert_eq!(
            (&others, &stored, &kept),
            (&outcomes, &payload, &conflicts),
            "cuts {cuts:b}"
        );
    }
}
