//! What a push, a pull and an acknowledgement cost, counted through the SDK: calls, sequential round trips, and the units DynamoDB charges. Printed as a
//! table against the budgets; docs/architecture.md says where the numbers come from.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark_tests::{
    Meter, Stack,
    hooks::{Counted, ROUND_TRIP},
};

const ITEMS: usize = 50;

struct Cost(Counted);

impl Cost {
    fn write_units(&self) -> f64 {
        self.0.write_units.values().sum()
    }

    fn read_units(&self) -> f64 {
        self.0.read_units.values().sum()
    }
}

/// Measures `work` and prints a row of the table; `budget` is for its sequential round trips.
async fn measured<T>(what: &str, budget: Option<u128>, meter: &Meter, work: impl Future<Output = T>) -> (Cost, T) {
    meter.take();
    let began = tokio::time::Instant::now();
    let done = work.await;
    let round_trips = began.elapsed().as_millis() / ROUND_TRIP.as_millis();
    let cost = Cost(meter.take());
    let budget_shown = budget.map_or("-".to_owned(), |budget| budget.to_string());
    let calls: Vec<String> = cost.0.calls.iter().map(|(operation, count)| format!("{operation} {count}")).collect();
    let (write_units, read_units) = (cost.write_units().abs(), cost.read_units().abs());
    println!("| {what} | {round_trips} | {budget_shown} | {write_units} | {read_units} | {} |", calls.join(", "));
    assert!(budget.is_none_or(|budget| round_trips <= budget), "{what}: {round_trips} round trips");
    (cost, done)
}

fn print_per_item(what: &str, units: f64, budget: Option<f64>) {
    let budget_shown = budget.map_or("-".to_owned(), |budget| budget.to_string());
    println!("| {what} | {units:.3} | {budget_shown} |");
    assert!(budget.is_none_or(|budget| units <= budget), "{what}: {units}");
}

/// A payload of 300 bytes of base64 without any pattern, which packing hardly helps.
fn noise(number: usize) -> Value {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = number as u64 + 1;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(LETTERS[(state >> 58) as usize])
    };
    let text: String = (0..269).map(|_| letter()).collect();
    let payload = json!({"form_id": "f", "data": {"t": text}});
    assert_eq!(payload.to_string().len(), 300);
    payload
}

fn create(number: usize, payload: Value) -> Value {
    json!({"client_temp_id": format!("tmp-{number}"), "resource_type": "submission", "action": "create", "client_version": 1,
        "payload": payload})
}

/// A form as field workers fill in, of 300 bytes; no two are alike.
fn form(number: usize, edit: usize) -> Value {
    let mixed = (number * 7919 + edit * 104_729) % 1_000_003;
    let mut form = json!({
        "form_id": format!("f-{}", number % 7),
        "data": {
            "site": format!("site-{mixed:06}"), "reading": mixed as f64 / 10.0, "unit": "kWh", "ok": mixed.is_multiple_of(3),
            "inspector": format!("user-{}", mixed % 97), "taken_at": format!("2026-03-{:02}T{:02}:{:02}:00Z", 1 + mixed % 28, mixed % 24, mixed % 60),
        },
        "note": "",
    });
    let missing = 300 - form.to_string().len();
    let words = ["gate", "locked", "meter", "behind", "shed", "dog", "ring", "twice", "rust", "on", "cover", "valve"];
    let note: Vec<&str> = (0..60).map(|at| words[(mixed / (at + 1) + at * at) % words.len()]).collect();
    form["note"] = note.join(" ")[..missing].into();
    assert_eq!(form.to_string().len(), 300);
    form
}

/// A create of a meter, whose code is unique.
fn with_code(number: usize) -> Value {
    json!({"resource_type": "meter", "action": "create", "client_temp_id": format!("tmp-{number}"), "client_version": 0,
        "payload": {"code": format!("code-{number}"), "reading": 0}})
}

#[tokio::test(start_paused = true)]
async fn a_push_and_a_pull_stay_within_their_budgets() {
    let meter = Arc::new(Meter::default());
    let stack = Stack::hooked(meter.clone());
    let ana = stack.device("ana", "phone");
    let mut tablet = stack.device("ana", "tablet");
    tablet.pull().await;

    println!("| what | round trips | budget | write units | read units | calls |\n|---|---|---|---|---|---|");
    let creates: Vec<Value> = (0..ITEMS).map(|number| create(number, form(number, 0))).collect();
    let (push_creates, made) = measured("push of 50 creates", Some(3), &meter, ana.push(creates.into())).await;
    assert!(made.iter().all(|result| result["status"] == "ok"));
    let sequenced_creates = sequence(&stack, &meter, "sequencing them").await;

    let updates: Vec<Value> = made
        .iter()
        .enumerate()
        .map(|(number, made)| {
            let mut payload = form(number, 1);
            payload["id"] = made["server_id"].clone();
            json!({"resource_type": "submission", "action": "update", "client_version": 1, "base_version": 1, "payload": payload})
        })
        .collect();
    let (push_updates, results) = measured("push of 50 updates", Some(3), &meter, ana.push(updates.into())).await;
    assert!(results.iter().all(|result| result["server_version"] == 2));
    let sequenced_updates = sequence(&stack, &meter, "sequencing them").await;

    let more: Vec<Value> = (ITEMS..2 * ITEMS).map(|number| create(number, form(number, 0))).collect();
    ana.push(more.into()).await;
    stack.settle().await;
    let (pull, page) = measured("pull of 100", Some(2), &meter, tablet.pull_page(100)).await;
    assert_eq!(page["changes"].as_array().map(Vec::len), Some(100));
    assert_eq!(page["has_more"], false);
    let (ack, answer) = measured("ack", Some(1), &meter, tablet.ack()).await;
    // The first acknowledgement of a device writes its place in the index by tenant, too.
    assert_eq!((answer.status, ack.write_units(), ack.read_units()), (200, 2.0, 0.0));
    let (ack, _) = measured("ack, not the first", Some(1), &meter, tablet.ack()).await;
    assert_eq!((ack.write_units(), ack.read_units()), (1.0, 0.0));
    let boss = stack.token("acme", "boss", &["admin"], &[]);
    let (listed, answer) = measured("list of a tenant's devices", None, &meter, stack.get("devices?scope=tenant", &boss)).await;
    assert_eq!((answer.status, listed.write_units()), (200, 0.0));
    let (looked, answer) = measured("status", None, &meter, stack.get("status", &boss)).await;
    assert_eq!((answer.status, looked.write_units()), (200, 0.0));
    let unique: Vec<Value> = (0..ITEMS).map(with_code).collect();
    let (_, results) = measured("push of 50 creates with a unique value", Some(3), &meter, ana.push(unique.into())).await;
    assert!(results.iter().all(|result| result["status"] == "ok"));
    stack.settle().await;
    tablet.pull().await;
    meter.take();
    let (_, page) = measured("pull of nothing", Some(1), &meter, tablet.pull_page(100)).await;
    assert_eq!(page["changes"], json!([]));

    let noisy: Vec<Value> = (200..200 + ITEMS).map(|number| create(number, noise(number))).collect();
    let (push_noisy, _) = measured("push of 50 creates of noise", Some(3), &meter, ana.push(noisy.into())).await;
    let sequenced_noisy = sequence(&stack, &meter, "sequencing them").await;

    println!("\n| units per item | measured | budget |\n|---|---|---|");
    let per_item = |push: &Cost, sequenced: &Cost| (push.write_units() + sequenced.write_units()) / ITEMS as f64;
    print_per_item("write units, created", per_item(&push_creates, &sequenced_creates), Some(1.40));
    print_per_item("write units, updated", per_item(&push_updates, &sequenced_updates), Some(1.40));
    print_per_item("write units, created of noise that does not compress", per_item(&push_noisy, &sequenced_noisy), None);
    print_per_item("read units, pulled in 100s", pull.read_units() / 100.0, Some(0.15));
}

/// Sequences what the stream holds, through a metered changelog function.
async fn sequence(stack: &Stack, meter: &Arc<Meter>, what: &str) -> Cost {
    let records = stack.stream_records();
    let changelog = stack.platform("changelog", meter.clone());
    let event = tidemark_tests::stack::stream_event(&records);
    let (cost, response) = measured(what, None, meter, tidemark_changelog::handle(&changelog, event)).await;
    assert!(response.is_ok_and(|response| response.batch_item_failures.is_empty()));
    stack.settle().await;
    cost
}
