//! What a push and a pull cost, counted through the SDK: calls, sequential round trips, and the units DynamoDB charges. Printed as a
//! table against the budgets; docs/architecture.md says where the numbers come from.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark_tests::{
    Meter, Stack,
    hooks::{Counted, ROUND_TRIP},
};

const ITEMS: usize = 50;

struct Cost {
    what: &'static str,
    counted: Counted,
    round_trips: u128,
}

impl Cost {
    fn write_units(&self) -> f64 {
        self.counted.write_units.values().sum()
    }

    fn read_units(&self) -> f64 {
        self.counted.read_units.values().sum()
    }

    fn print(&self) {
        println!(
            "{:<28} {:>2} round trips  {:>6.1} write units  {:>6.1} read units  {:?} {:?} {:?}",
            self.what,
            self.round_trips,
            self.write_units(),
            self.read_units(),
            self.counted.calls,
            self.counted.write_units,
            self.counted.read_units,
        );
    }
}

async fn measured<T>(what: &'static str, meter: &Meter, work: impl Future<Output = T>) -> (Cost, T) {
    meter.take();
    let began = tokio::time::Instant::now();
    let done = work.await;
    let round_trips = began.elapsed().as_millis() / ROUND_TRIP.as_millis();
    let cost = Cost { what, counted: meter.take(), round_trips };
    cost.print();
    (cost, done)
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

#[tokio::test(start_paused = true)]
async fn a_push_and_a_pull_stay_within_their_budgets() {
    let meter = Arc::new(Meter::default());
    let stack = Stack::hooked(meter.clone());
    let ana = stack.device("ana", "phone");
    let mut tablet = stack.device("ana", "tablet");
    tablet.pull().await;

    let creates: Vec<Value> = (0..ITEMS)
        .map(|number| {
            json!({"client_temp_id": format!("tmp-{number}"), "resource_type": "submission", "action": "create",
            "client_version": 1, "payload": form(number, 0)})
        })
        .collect();
    let (push_creates, made) = measured("push of 50 creates", &meter, ana.push(creates.into())).await;
    assert!(made.iter().all(|result| result["status"] == "ok"));
    let sequenced_creates = sequence(&stack, &meter, "sequencing of 50 creates").await;

    let updates: Vec<Value> = made
        .iter()
        .enumerate()
        .map(|(number, made)| {
            let mut payload = form(number, 1);
            payload["id"] = made["server_id"].clone();
            json!({"resource_type": "submission", "action": "update", "client_version": 1, "base_version": 1, "payload": payload})
        })
        .collect();
    let (push_updates, results) = measured("push of 50 updates", &meter, ana.push(updates.into())).await;
    assert!(results.iter().all(|result| result["server_version"] == 2));
    let sequenced_updates = sequence(&stack, &meter, "sequencing of 50 updates").await;

    let more: Vec<Value> = (ITEMS..2 * ITEMS)
        .map(|number| {
            json!({"client_temp_id": format!("tmp-{number}"), "resource_type": "submission", "action": "create",
            "client_version": 1, "payload": form(number, 0)})
        })
        .collect();
    ana.push(more.into()).await;
    stack.settle().await;
    let (pull, page) = measured("pull of 100", &meter, tablet.pull_page(100)).await;
    assert_eq!(page["changes"].as_array().map(Vec::len), Some(100));
    assert_eq!(page["has_more"], false);
    let (pull_nothing, page) = measured("pull of nothing", &meter, tablet.pull_page(100)).await;
    assert_eq!(page["changes"], json!([]));

    let per_item = |push: &Cost, sequenced: &Cost| (push.write_units() + sequenced.write_units()) / ITEMS as f64;
    let created = per_item(&push_creates, &sequenced_creates);
    let updated = per_item(&push_updates, &sequenced_updates);
    let read = pull.read_units() / 100.0;
    println!("write units per created item   {created:.2} (budget 1.40)");
    println!("write units per updated item   {updated:.2} (budget 1.40)");
    println!("read units per pulled change   {read:.3} (budget 0.150)");
    assert!(created <= 1.40 && updated <= 1.40 && read <= 0.15, "{created} {updated} {read}");
    assert!(push_creates.round_trips <= 3 && push_updates.round_trips <= 3, "a push is three round trips");
    assert!(pull.round_trips <= 2 && pull_nothing.round_trips <= 1);
}

/// Sequences what the stream holds, through a metered changelog function.
async fn sequence(stack: &Stack, meter: &Arc<Meter>, what: &'static str) -> Cost {
    let records = stack.stream_records();
    let changelog = stack.platform("changelog", meter.clone());
    let event = tidemark_tests::stack::stream_event(&records);
    let (cost, response) = measured(what, meter, tidemark_changelog::handle(&changelog, event)).await;
    assert!(response.is_ok_and(|response| response.batch_item_failures.is_empty()));
    stack.settle().await;
    cost
}
