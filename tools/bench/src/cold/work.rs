//! Measures the CPU time of work in a warm function, without DynamoDB, and its memory.

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use indicatif::ProgressBar;
use serde_json::{Value, json};
use tidemark_core::model::limits::{BATCH_ITEMS_MAX, BODY_BYTES_MAX, PAGE_CHANGES_MAX};
use tidemark_tests::lambda::{Lambda, response};

use super::{events, start::Rig};
use crate::{
    budgets, process,
    table::{Row, Table},
    workload,
};

const BYTES: usize = 300;
const PUSH: usize = 50;
const PULL: usize = 100;
/// Stream records per event.
const RECORDS: usize = 500;
const PUSHES: usize = 60;
/// Number of first events of each kind that are not counted.
const WARM: usize = 5;
/// Payload bytes per item in the largest push, which leaves room for the other fields.
const LARGEST: usize = BODY_BYTES_MAX / BATCH_ITEMS_MAX - 300;
/// Rows of the large snapshot.
const ROWS: usize = 100_000;

/// Resources that a function used for a series of events.
#[derive(Default)]
struct Footprint {
    cpu_s: f64,
    wall_s: f64,
    peak_mb: f64,
    items: usize,
}

/// Pushes items in batches of 50, sequences them, and pulls them in pages of 100 from the log and
/// as a snapshot; then does the same with the largest requests.
pub async fn table(binaries: &BTreeMap<String, PathBuf>) -> Table {
    let note = format!(
        "{} items of {BYTES} bytes are pushed in {PUSH}s, sequenced in {RECORDS}s, and pulled in \
         {PULL}s, each by a separate process of the function. CPU time of that process only, \
         including TLS, and its rate for sequential events, including DynamoDB's responses. Memory \
         is the peak. The largest push has {BATCH_ITEMS_MAX} items and 3 MB, like the largest \
         pages.",
        PUSHES * PUSH
    );

    let mut table = Table::new("cold-work", "CPU and memory of the functions at work", note);
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(std::time::Duration::from_millis(200));

    bar.set_message("items of 300 bytes");
    add_ordinary(&mut table, binaries).await;
    bar.set_message("the largest");
    add_largest(&mut table, binaries).await;
    bar.set_message("100,000 rows");
    add_large_snapshot(&mut table, binaries).await;

    bar.finish_and_clear();
    table
}

/// Measures batches of 50 items, and pages of 100.
async fn add_ordinary(table: &mut Table, binaries: &BTreeMap<String, PathBuf>) {
    let work = ColdDeployment::new(binaries);
    let start = work.pull(&Value::Null, PULL).await.1;

    let needed = work.push(PUSHES + WARM, PUSH, BYTES).await;
    add_rows(table, "push", &needed, Some(budgets::PUSH_CPU_S));
    let needed = work.sequence(RECORDS).await;
    add_rows(table, "changelog", &needed, None);

    for (what, since) in [
        ("pull, from the log", &start),
        ("pull, a snapshot", &Value::Null),
    ] {
        let needed = work.pull(since, PULL).await.0;
        add_rows(table, what, &needed, Some(budgets::PULL_CPU_S));
    }
}

/// Measures the largest batches and pages that the protocol allows.
async fn add_largest(table: &mut Table, binaries: &BTreeMap<String, PathBuf>) {
    let work = ColdDeployment::new(binaries);
    let start = work.pull(&Value::Null, PULL).await.1;

    let needed = work.push(1 + WARM, BATCH_ITEMS_MAX, LARGEST).await;
    add_rows(table, "largest pushes", &needed, None);
    let needed = work.sequence(50).await;
    add_rows(table, "changelog of them", &needed, None);

    for (what, since) in [
        ("largest pages, from the log", &start),
        ("largest pages, a snapshot", &Value::Null),
    ] {
        let needed = work.pull(since, PAGE_CHANGES_MAX).await.0;
        add_rows(table, what, &needed, None);
    }
}

/// Measures a snapshot of many resources in the largest pages.
async fn add_large_snapshot(table: &mut Table, binaries: &BTreeMap<String, PathBuf>) {
    let work = ColdDeployment::new(binaries);
    work.fill(ROWS).await;
    let needed = work.pull(&Value::Null, PAGE_CHANGES_MAX).await.0;
    add_rows(table, "snapshot of 100,000, by 500", &needed, None);
}

/// Adds the rows of a series of events. The budget applies to the CPU time.
fn add_rows(table: &mut Table, what: &str, needed: &Footprint, cpu_budget_s: Option<f64>) {
    let items = needed.items as f64;
    let cpu = Row::new(
        format!("{what}: CPU for 10,000 items"),
        "s",
        needed.cpu_s * 10_000.0 / items,
    );
    let rate = Row::new(
        format!("{what}: rate of one process"),
        "/s",
        items / needed.wall_s,
    );
    let memory = Row::new(format!("{what}: peak memory"), "MB", needed.peak_mb);

    table.rows.extend([
        Row {
            budget: cpu_budget_s,
            ..cpu
        },
        rate,
        memory.budget(budgets::MEMORY_MB),
    ]);
}

/// A deployment and a user of it.
struct ColdDeployment<'a> {
    rig: Rig,
    token: String,
    binaries: &'a BTreeMap<String, PathBuf>,
}

impl<'a> ColdDeployment<'a> {
    fn new(binaries: &'a BTreeMap<String, PathBuf>) -> Self {
        let rig = Rig::default();
        let token = rig.stack.token("acme", "ana", &[], &[]);
        Self {
            rig,
            token,
            binaries,
        }
    }

    async fn start(&self, function: &str) -> Lambda {
        self.rig.start(function, &self.binaries[function]).await
    }

    /// Pushes new items and measures the events after the first ones.
    async fn push(&self, pushes: usize, items: usize, bytes: usize) -> Footprint {
        let mut push = self.start("push").await;
        let mut needed = Footprint::default();

        for number in 0..pushes {
            let creates = (number * items..(number + 1) * items)
                .map(|at| workload::create(at, workload::form(at, 0, bytes)));
            let event = events::push(&self.rig.stack, &self.token, &creates.collect::<Vec<_>>())
                .to_string();

            let (taken, text) = measure_event(&mut push, &event).await;
            let body = response(&text).ok();
            assert!(
                body["results"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|it| it["status"] == "ok"),
                "{body}"
            );

            if number >= WARM {
                needed.add(taken, items);
            }
        }

        needed.with_peak_of(&push)
    }

    /// Sequences all stream records.
    async fn sequence(&self, records: usize) -> Footprint {
        let mut changelog = self.start("changelog").await;
        let mut needed = Footprint::default();

        for records in self.rig.stack.stream_records().chunks(records) {
            let (taken, text) =
                measure_event(&mut changelog, &json!({"Records": records}).to_string()).await;
            assert_eq!(
                serde_json::from_str::<Value>(&text).unwrap(),
                json!({"batchItemFailures": []})
            );
            needed.add(taken, records.len());
        }
        needed.with_peak_of(&changelog)
    }

    /// Pulls until there are no more changes. Also returns the token of the next pull.
    async fn pull(&self, since: &Value, limit: usize) -> (Footprint, Value) {
        let mut pull = self.start("pull").await;
        let mut needed = Footprint::default();
        let mut since = since.clone();

        for number in 0.. {
            let body = json!({"since_token": since, "device_id": "tablet", "limit": limit});
            let event = self
                .rig
                .stack
                .event("POST", "sync/pull", &self.token, &body)
                .to_string();
            let (taken, text) = measure_event(&mut pull, &event).await;
            let mut page = response(&text).ok();
            since = page["next_token"].take();

            // The first events of a process are not representative. If there are few pages, only
            // the last one counts.
            let is_last = page["has_more"] == false;
            if number >= WARM || is_last {
                needed.add(taken, page["changes"].as_array().map_or(0, Vec::len));
            }
            if is_last {
                break;
            }
        }

        (needed.with_peak_of(&pull), since)
    }

    /// Stores this number of copies of a resource.
    async fn fill(&self, rows: usize) {
        self.push(1, 1, BYTES).await;
        let row = self.rig.stack.rows("resources").remove(0);

        for first in (0..rows).step_by(25) {
            let put = |number: usize| {
                let mut row = row.clone();
                row["sk"] = json!({"S": format!("submission#copy-{number:06}")});
                json!({"PutRequest": {"Item": row}})
            };
            let puts: Vec<Value> = (first..first + 25).map(put).collect();
            self.rig.stack.dynamodb(
                "BatchWriteItem",
                &json!({"RequestItems": {"resources": puts}}),
            );
        }
    }
}

/// The cost of one event in seconds.
struct EventCost {
    cpu_s: f64,
    wall_s: f64,
}

impl Footprint {
    fn add(&mut self, taken: EventCost, items: usize) {
        self.cpu_s += taken.cpu_s;
        self.wall_s += taken.wall_s;
        self.items += items;
    }

    fn with_peak_of(self, function: &Lambda) -> Self {
        Self {
            peak_mb: process::peak_mb(function.id().expect("running")).expect("running"),
            ..self
        }
    }
}

/// Sends an event to a function and returns its cost and response.
async fn measure_event(function: &mut Lambda, event: &str) -> (EventCost, String) {
    let id = function.id().expect("the function is running");
    function.idle().await;

    let (before, began) = (process::cpu(id), Instant::now());
    let text = function.ask(event).await;
    let wall_s = began.elapsed().as_secs_f64();
    function.idle().await;

    (
        EventCost {
            cpu_s: (process::cpu(id) - before).as_secs_f64(),
            wall_s,
        },
        text,
    )
}
