//! A queue that one device sends alone leads to the same state and the same statuses for every
//! choice of batch boundaries (§3.5, §3.9).

mod merging;
mod queue;

use serde_json::{Value, json};
use tidemark_tests::{Device, Item, Stack, scenario::member_of_north};

use queue::Queue;

/// Creates three meters with the codes X, Y and W as the office. Returns Ana's phone, a member of
/// the group `north`.
async fn office(stack: &Stack) -> Device<'_> {
    let meter = |id: &str, code: &str| Item::create("meter", id, json!({"code": code}));
    let results = stack
        .device("office", "pc")
        .push(json!([
            meter("m-1", "X"),
            meter("m-2", "Y"),
            meter("m-3", "W")
        ]))
        .await;
    assert!(results.iter().all(|result| result["status"] == "ok"));
    member_of_north(stack, "ana")
}

/// The effect of a queue: the outcome of each item, and everything that is stored.
#[derive(Debug, PartialEq)]
struct Effect {
    /// Status, code and retryability of each item.
    outcomes: Vec<String>,
    resources: Vec<Value>,
    unique_keys: Vec<Value>,
    conflicts: Vec<Value>,
}

/// Pushes the queue in batches that end after the items whose bit is set in `cuts`. Returns the
/// outcome of each item.
async fn push_in_batches(device: &Device<'_>, queue: &[Value], cuts: u32) -> Vec<String> {
    let mut outcomes = Vec::new();
    let mut batch = Vec::new();
    for (at, item) in queue.iter().enumerate() {
        batch.push(item.clone());
        if cuts & (1 << at) != 0 || at + 1 == queue.len() {
            let results = device.push(Value::Array(std::mem::take(&mut batch))).await;
            outcomes.extend(results.iter().map(outcome));
        }
    }
    outcomes
}

/// Sends the queue in batches that end after the items whose bit is set in `cuts`.
async fn send(queue: &[Value], cuts: u32) -> Effect {
    let stack = Stack::new();
    let ana = office(&stack).await;
    let outcomes = push_in_batches(&ana, queue, cuts).await;

    let parts = |table: &str, names: &[&str]| {
        let mut rows: Vec<Value> = stack
            .rows(table)
            .iter()
            .map(|row| names.iter().map(|name| row[*name].clone()).collect())
            .collect();
        rows.sort_by_key(Value::to_string);
        rows
    };

    Effect {
        outcomes,
        resources: parts(
            "resources",
            &["pk", "sk", "payload", "server_version", "deleted"],
        ),
        unique_keys: parts("unique_keys", &["pk", "sk", "holder_channel", "holder_id"]),
        conflicts: parts("conflicts", &["id", "status", "edit_count"]),
    }
}

/// Returns the outcome of an item as text.
fn outcome(result: &Value) -> String {
    let code = match result["code"].as_str().unwrap_or_default() {
        // If an earlier item of the same batch failed on the resource, this code replaces
        // `not_found` (§3.5).
        "depends_on_failed_item" if result["retryable"] == false => "not_found",
        code => code,
    };
    format!(
        "{} {code} {}",
        result["status"].as_str().unwrap_or_default(),
        result["retryable"]
    )
}

/// Sends the queue item by item and with all other boundaries, and asserts the same effect.
async fn assert_independent_of_boundaries(queue: &[Value], context: &str) -> Effect {
    let one_by_one = send(queue, u32::MAX).await;
    for cuts in 0..1 << (queue.len() - 1) {
        let end = send(queue, cuts).await;
        assert_eq!(end, one_by_one, "{context}, cuts {cuts:b}, of {queue:#?}");
    }
    one_by_one
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

/// Returns queues with rejected updates and creates of meters.
fn queues_with_rejected_meters() -> [Queue; 4] {
    let code = |code: &str| json!({ "code": code });

    [
        // The value is held until a later item frees it.
        Queue::default()
            .meter("update", "m-1", code("Y"))
            .meter("update", "m-2", code("Z"))
            .meter("update", "m-1", json!({"n": 1})),
        // A rejected create, edits after it, and its correction.
        Queue::default()
            .meter("create", "temp:a", code("X"))
            .meter("update", "temp:a", json!({"n": 1}))
            .meter("create", "temp:a", code("free"))
            .meter("update", "temp:a", json!({"n": 2})),
        // An existing resource is deleted and created again.
        Queue::default()
            .meter("update", "m-1", json!({"n": 1}))
            .meter("delete", "m-1", json!({}))
            .meter("create", "m-1", code("X"))
            .meter("update", "m-1", json!({"n": 2}))
            .meter("delete", "m-1", json!({})),
        // Deletes of missing resources, and creates after them.
        Queue::default()
            .meter("delete", "x", json!({}))
            .meter("create", "x", code("X"))
            .meter("create", "x", code("N"))
            .meter("delete", "x", json!({}))
            .meter("create", "y", code("N")),
    ]
}

/// Returns queues with references to meters whose create is rejected or fails.
fn queues_with_rejected_references() -> [Queue; 2] {
    let code = |code: &str| json!({ "code": code });
    let refers_to = |meter: &str| json!({ "meter_id": meter });

    [
        // References to a rejected create, and to an applied one.
        Queue::default()
            .meter("create", "temp:a", code("X"))
            .task("create", "temp:t", refers_to("a"))
            .meter("create", "temp:b", code("B"))
            .task("create", "temp:u", refers_to("b"))
            .task("update", "temp:u", refers_to("a")),
        // References to a create that fails with an error, and to its correction.
        Queue::default()
            .broken("temp:a")
            .task("create", "temp:t", refers_to("a"))
            .meter("create", "temp:a", code("A"))
            .task("create", "temp:u", refers_to("a"))
            .broken("temp:a")
            .task("update", "temp:u", json!({"meter_id": "a", "n": 1})),
    ]
}

#[tokio::test]
async fn rejected_items_do_not_depend_on_boundaries() {
    let queues = queues_with_rejected_meters()
        .into_iter()
        .chain(queues_with_rejected_references());
    for (at, queue) in queues.enumerate() {
        assert_independent_of_boundaries(&queue.items, &format!("queue {at}")).await;
    }
}

/// Adds a random item to a queue.
fn with_random_item(queue: Queue, rng: &mut fastrand::Rng) -> Queue {
    let code: Value = match rng.u32(0..6) {
        0 => Value::Null,
        at => ["X", "Y", "W", "A", "B"][at as usize - 1].into(),
    };
    let payload = match rng.u32(0..3) {
        0 => json!({"n": rng.u32(0..9)}),
        _ => json!({"code": code, "n": rng.u32(0..9)}),
    };
    let name = ["m-1", "m-2", "m-3", "temp:a", "temp:b", "x"][rng.usize(0..6)];

    match rng.u32(0..11) {
        10 => queue.broken(["temp:a", "temp:b"][rng.usize(0..2)]),
        0..3 => queue.meter(
            "create",
            ["temp:a", "temp:b", "x", "m-1"][rng.usize(0..4)],
            payload,
        ),
        3 => queue.meter("delete", name, json!({})),
        4 => with_random_task(queue, rng),
        _ => queue.meter("update", name, payload),
    }
}

/// Adds a create of a task that refers to a random meter. A device refers only to resources that it
/// has created.
fn with_random_task(queue: Queue, rng: &mut fastrand::Rng) -> Queue {
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

#[tokio::test]
async fn random_queues_do_not_depend_on_boundaries() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut queue = Queue::default();
        for _ in 0..5 {
            queue = with_random_item(queue, &mut rng);
        }
        assert_independent_of_boundaries(&queue.items, &format!("seed {seed}")).await;
    }
}
