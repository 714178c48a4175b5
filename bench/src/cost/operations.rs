//! What devices and admins do, once each, with payloads of one size.

use serde_json::{Value, json};

use super::counted::{Cost, Counting};
use crate::{
    budgets,
    table::{Row, Table},
    workload,
};

const ITEMS: usize = 50;
const PAGE: usize = 100;
/// Few resources that many edits changed.
const BUSY: usize = 10;
const BUSY_ROUNDS: usize = 20;
/// Pushes that are sequenced together.
const CROWD: usize = 40;

/// Something that is pushed: in front of the device, and behind the stream.
#[derive(Debug, Clone, Default)]
pub struct PushCost {
    /// The push.
    pub push: Cost,
    /// Its changes enter the log.
    pub sequence: Cost,
}

impl PushCost {
    /// Write units for each item, in all tables.
    pub fn write_units(&self) -> f64 {
        (self.push.write_units + self.sequence.write_units) / ITEMS as f64
    }

    /// Read units for each item.
    pub fn read_units(&self) -> f64 {
        (self.push.read_units + self.sequence.read_units) / ITEMS as f64
    }
}

/// What each operation cost.
#[derive(Debug, Clone, Default)]
pub struct Operations {
    /// Bytes of a payload.
    pub bytes: usize,
    /// Write units of the least row that holds a payload.
    pub floor_write: f64,
    /// Read units of the least that holds a page of payloads.
    pub floor_page: f64,
    /// 50 creates.
    pub creates: PushCost,
    /// 50 creates whose payloads do not compress.
    pub noisy: PushCost,
    /// 50 updates.
    pub updates: PushCost,
    /// 45 updates, and 5 that conflict.
    pub mixed: PushCost,
    /// 50 creates of a type with a unique field.
    pub unique: PushCost,
    /// 50 deletes.
    pub deletes: PushCost,
    /// A page of 100 resources to a device that begins.
    pub pull_fresh: Cost,
    /// A page of 100 changes from the log.
    pub pull_packed: Cost,
    /// A page from a log in which ten resources were changed 20 times each.
    pub pull_busy: Cost,
    /// A page from a log that took in much at once.
    pub pull_crowded: Cost,
    /// A pull of nothing.
    pub pull_nothing: Cost,
    /// A device's first acknowledgement, which also writes its place in the index by tenant.
    pub ack_first: Cost,
    /// The next ones.
    pub ack: Cost,
    /// An admin's list of the tenant's devices.
    pub devices: Cost,
    /// An admin's look at the status.
    pub status: Cost,
    /// An admin's decision.
    pub resolve: Cost,
}

impl Operations {
    /// Measures all, with payloads of so many bytes.
    pub async fn measure(bytes: usize) -> Self {
        let counting = Counting::default();
        let (ana, mut tablet) = (
            counting.stack.device("ana", "phone"),
            counting.stack.device("ana", "tablet"),
        );
        tablet.pull().await;
        let forms = |edit: usize, from: usize| {
            (from..from + ITEMS).map(move |number| workload::form(number, edit, bytes))
        };
        let page: Vec<String> = (0..PAGE)
            .map(|number| workload::form(number, 0, bytes).to_string())
            .collect();
        let mut all = Self {
            bytes,
            floor_write: counting.baseline_of_write(&page[0]),
            floor_page: counting.baseline_of_read(&page),
            ..Self::default()
        };

        let creates = |from: usize| {
            forms(0, from)
                .zip(from..)
                .map(|(form, number)| workload::create(number, form))
                .collect()
        };
        let (pushed, first) = counting.push(&ana, creates(0), is_ok).await;
        all.creates = pushed;
        let (_, second) = counting.push(&ana, creates(ITEMS), is_ok).await;
        (all.pull_packed, _) = counting.count(tablet.pull_page(PAGE)).await;
        let mut newcomer = counting.stack.device("ana", "watch");
        (all.pull_fresh, _) = counting.count(newcomer.pull_page(PAGE)).await;
        (all.ack_first, _) = counting.count(tablet.ack()).await;
        (all.ack, _) = counting.count(tablet.ack()).await;
        let boss = counting.stack.token("acme", "boss", &["admin"], &[]);
        (all.devices, _) = counting
            .count(counting.stack.get("devices?scope=tenant", &boss))
            .await;
        (all.status, _) = counting.count(counting.stack.get("status", &boss)).await;

        let ids: Vec<Value> = first
            .iter()
            .map(|result| result["server_id"].clone())
            .collect();
        let updates = |edit: usize, version: u64| {
            let ids = ids.iter().zip(forms(edit, 0));
            ids.map(|(id, form)| workload::update(id, version, form))
                .collect::<Vec<_>>()
        };
        (all.updates, _) = counting.push(&ana, updates(1, 1), is_ok).await;
        let mut mixed = updates(2, 2);
        // Made on a version that another device has changed since.
        for stale in mixed.iter_mut().step_by(10) {
            (stale["client_version"], stale["base_version"]) = (json!(1), json!(1));
        }
        let (pushed, results) = counting
            .push(&counting.stack.device("ana", "other"), mixed, |_| true)
            .await;
        let conflicts: Vec<&Value> = results
            .iter()
            .filter(|result| result["status"] == "conflict")
            .collect();
        assert_eq!(conflicts.len(), ITEMS / 10);
        all.mixed = pushed;
        all.resolve = resolve(&counting, conflicts[0]).await;

        let noisy = (2 * ITEMS..3 * ITEMS)
            .map(|number| workload::create(number, workload::noise(number, bytes)))
            .collect();
        (all.noisy, _) = counting.push(&ana, noisy, is_ok).await;
        let unique = (0..ITEMS).map(workload::create_unique).collect();
        (all.unique, _) = counting.push(&ana, unique, is_ok).await;
        let deletes = second
            .iter()
            .map(|result| workload::delete(&result["server_id"], 1))
            .collect();
        (all.deletes, _) = counting.push(&ana, deletes, is_ok).await;
        tablet.pull().await;
        (all.pull_nothing, _) = counting.count(tablet.pull_page(PAGE)).await;
        all.pull_busy = busy(&counting, bytes).await;
        all.pull_crowded = crowded(&counting, bytes).await;
        all
    }

    /// Units by operation.
    pub fn units(&self) -> Table {
        let bytes = self.bytes;
        let note = format!(
            "Payloads of {bytes} bytes. Write units are those of all tables and indexes: the push, what it keeps and remembers, and the change \
             log. The floor of a write is one row with the payload alone; of a read, the page packed into one row. Both are put and read in the same run."
        );
        let mut table = Table::new(
            format!("cost-{bytes}"),
            format!("Units, payloads of {bytes} bytes"),
            note,
        );
        let is_small = bytes == 300;
        for (what, pushed) in self.pushed() {
            // The least row of a type that has a unique value is one unit here: its payload is
            // small.
            let floor = if what == "create, unique" {
                1.0
            } else {
                self.floor_write
            };
            let row = Row::new(
                format!("{what}: write units per item"),
                "WRU",
                pushed.write_units(),
            )
            .floor(floor);
            let has_budget = is_small && matches!(what, "create" | "update");
            table.rows.push(if has_budget {
                row.budget(budgets::WRITE_UNITS_PER_ITEM)
            } else {
                row
            });
            table.rows.push(Row::new(
                format!("{what}: read units per item"),
                "RRU",
                pushed.read_units(),
            ));
        }
        let floor = self.floor_page / PAGE as f64;
        let per_change = |what: &str, cost: &Cost| {
            Row::new(what, "RRU", cost.read_units / PAGE as f64).floor(floor)
        };
        let packed = per_change(
            "pull of 100 from the log: read units per change",
            &self.pull_packed,
        );
        table.rows.push(if is_small {
            packed.budget(budgets::READ_UNITS_PER_CHANGE)
        } else {
            packed
        });
        let crowded = per_change(
            &format!(
                "pull of 100 from {} sequenced at once: read units per change",
                CROWD * ITEMS
            ),
            &self.pull_crowded,
        );
        table.rows.push(if is_small {
            crowded.budget(budgets::READ_UNITS_PER_CHANGE)
        } else {
            crowded
        });
        table.rows.push(per_change(
            "pull of 100 from a snapshot: read units per resource",
            &self.pull_fresh,
        ));
        let busy = format!(
            "pull after {} changes of {BUSY} resources: read units",
            BUSY * BUSY_ROUNDS
        );
        table
            .rows
            .push(Row::new(busy, "RRU", self.pull_busy.read_units));
        table.rows.push(Row::new(
            "pull of nothing: read units",
            "RRU",
            self.pull_nothing.read_units,
        ));
        table.rows.push(
            Row::new(
                "acknowledgement, a device's first: write units",
                "WRU",
                self.ack_first.write_units,
            )
            .floor(1.0),
        );
        table.rows.push(
            Row::new(
                "acknowledgement, the next: write units",
                "WRU",
                self.ack.write_units,
            )
            .floor(1.0),
        );
        table.rows.push(Row::new(
            "decision of an admin: write units",
            "WRU",
            self.resolve.write_units,
        ));
        table
    }

    /// Round trips and calls, which the size of payloads does not change.
    pub fn round_trips(&self) -> Table {
        let note =
            "Round trips to DynamoDB that wait for each other, and calls in all. The floor is one.";
        let mut table = Table::new("cost-round-trips", "Round trips and calls", note);
        let mut add = |what: &str, cost: &Cost, budget: Option<f64>| {
            let row = Row {
                budget,
                ..Row::new(
                    format!("{what}: round trips"),
                    "round trips",
                    cost.round_trips,
                )
                .floor(1.0)
            };
            table.rows.push(row);
            table.rows.push(Row::new(
                format!("{what}: {}", cost.operations),
                "calls",
                cost.calls as f64,
            ));
        };
        for (what, pushed) in self.pushed() {
            let budget = matches!(
                what,
                "create" | "create, of noise" | "update" | "delete" | "create, unique"
            )
            .then_some(budgets::ROUND_TRIPS_PUSH);
            add(&format!("push of 50 ({what})"), &pushed.push, budget);
        }
        add(
            "sequencing 50 changes of a channel",
            &self.creates.sequence,
            None,
        );
        add(
            "pull of 100 from the log",
            &self.pull_packed,
            Some(budgets::ROUND_TRIPS_PULL),
        );
        add(
            "pull of 100 from a snapshot",
            &self.pull_fresh,
            Some(budgets::ROUND_TRIPS_PULL),
        );
        add(
            "pull of nothing",
            &self.pull_nothing,
            Some(budgets::ROUND_TRIPS_PULL_NOTHING),
        );
        add("acknowledgement", &self.ack, Some(budgets::ROUND_TRIPS_ACK));
        add("list of a tenant's devices", &self.devices, None);
        add("status", &self.status, None);
        add("decision of an admin", &self.resolve, None);
        table
    }

    fn pushed(&self) -> [(&'static str, &PushCost); 6] {
        [
            ("create", &self.creates),
            ("create, of noise", &self.noisy),
            ("update", &self.updates),
            ("delete", &self.deletes),
            ("create, unique", &self.unique),
            ("update, a tenth conflicts", &self.mixed),
        ]
    }
}

fn is_ok(result: &Value) -> bool {
    result["status"] == "ok"
}

async fn resolve(counting: &Counting, conflict: &Value) -> Cost {
    let boss = counting.stack.token("acme", "boss", &["admin"], &[]);
    let path = format!(
        "conflicts/{}/resolve",
        conflict["conflict_id"].as_str().unwrap()
    );
    let (cost, response) = counting
        .count(
            counting
                .stack
                .post(&path, &boss, &json!({"resolution": "accept_client"})),
        )
        .await;
    assert_eq!(response.status, 200, "{}", response.text);
    counting.stack.settle().await;
    cost
}

/// A pull of what changed while a device was away: few resources, often.
async fn busy(counting: &Counting, bytes: usize) -> Cost {
    let (ben, mut away) = (
        counting.stack.device("ben", "phone"),
        counting.stack.device("ben", "tablet"),
    );
    let creates: Vec<Value> = (0..BUSY)
        .map(|number| workload::create(number, workload::form(number, 0, bytes)))
        .collect();
    let (_, made) = counting.push(&ben, creates, is_ok).await;
    away.pull().await;
    for round in 1..=BUSY_ROUNDS {
        let edits = made.iter().enumerate().map(|(number, made)| {
            workload::update(
                &made["server_id"],
                round as u64,
                workload::form(number, round, bytes),
            )
        });
        counting.push(&ben, edits.collect(), is_ok).await;
    }
    let (cost, page) = counting.count(away.pull_page(PAGE)).await;
    assert_eq!(
        (page["changes"].as_array().map(Vec::len), &page["has_more"]),
        (Some(BUSY), &json!(false))
    );
    cost
}

/// A pull of what many pushed while the log was behind.
async fn crowded(counting: &Counting, bytes: usize) -> Cost {
    let (dan, mut away) = (
        counting.stack.device("dan", "phone"),
        counting.stack.device("dan", "tablet"),
    );
    away.pull().await;
    for push in 0..CROWD {
        let creates = (push * ITEMS..(push + 1) * ITEMS)
            .map(|number| workload::create(number, workload::form(number, 0, bytes)));
        dan.push(Value::Array(creates.collect())).await;
    }
    counting.stack.settle().await;
    let (cost, page) = counting.count(away.pull_page(PAGE)).await;
    assert_eq!(page["changes"].as_array().map(Vec::len), Some(PAGE));
    cost
}
