//! What work costs a function that is warm, DynamoDB apart, and how much memory it takes.

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use indicatif::ProgressBar;
use serde_json::{Value, json};
use tidemark_core::limits::{BATCH_ITEMS_MAX, BODY_BYTES_MAX, PAGE_CHANGES_MAX};
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
/// Records of the stream in an event.
const RECORDS: usize = 500;
const PUSHES: usize = 60;
/// Not counted: the first of each kind.
const WARM: usize = 5;
/// Bytes of an item's payload in the largest push: what the other fields take goes off.
const LARGEST: usize = BODY_BYTES_MAX / BATCH_ITEMS_MAX - 300;
/// Rows of the large snapshot.
const ROWS: usize = 100_000;

/// What a function needed.
#[derive(Default)]
struct Footprint {
    cpu_s: f64,
    wall_s: f64,
    peak_mb: f64,
    items: usize,
}

/// Pushes in 50s, sequences what was pushed, and pulls it in 100s, from the log and as a snapshot;
/// then the largest of each.
pub async fn table(binaries: &BTreeMap<String, PathBuf>) -> Table {
    let note = format!(
        "{} items of {BYTES} bytes are pushed in {PUSH}s, sequenced in {RECORDS}s, and pulled in {PULL}s, each by a process of the function's own; CPU of that \
         process alone, TLS included, and the rate at which it takes them one event after the other, DynamoDB's answers included. Memory is the most it ever had. The largest push has {BATCH_ITEMS_MAX} items and 3 MB, and so have the largest pages.",
        PUSHES * PUSH
    );
    let mut table = Table::new("cold-work", "CPU and memory of the functions at work", note);
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    let mut row = |what: &str, needed: &Footprint, budget: Option<f64>| {
        let per_10_000 = Row::new(
            format!("{what}: CPU for 10,000 items"),
            "s",
            needed.cpu_s * 10_000.0 / needed.items as f64,
        );
        table.rows.push(match budget {
            Some(budget) => per_10_000.budget(budget),
            None => per_10_000,
        });
        table.rows.push(Row::new(
            format!("{what}: rate of one process"),
            "/s",
            needed.items as f64 / needed.wall_s,
        ));
        table.rows.push(
            Row::new(format!("{what}: peak memory"), "MB", needed.peak_mb)
                .budget(budgets::MEMORY_MB),
        );
    };

    let work = ColdDeployment::new(binaries);
    let start = work.pull(&Value::Null, PULL).await.1;
    bar.set_message("items of 300 bytes");
    row(
        "push",
        &work.push(PUSHES + WARM, PUSH, BYTES).await,
        Some(budgets::PUSH_CPU_S),
    );
    row("changelog", &work.sequence(RECORDS).await, None);
    row(
        "pull, from the log",
        &work.pull(&start, PULL).await.0,
        Some(budgets::PULL_CPU_S),
    );
    row(
        "pull, a snapshot",
        &work.pull(&Value::Null, PULL).await.0,
        Some(budgets::PULL_CPU_S),
    );

    let work = ColdDeployment::new(binaries);
    let start = work.pull(&Value::Null, PULL).await.1;
    bar.set_message("the largest");
    row(
        "largest pushes",
        &work.push(1 + WARM, BATCH_ITEMS_MAX, LARGEST).await,
        None,
    );
    row("changelog of them", &work.sequence(50).await, None);
    row(
        "largest pages, from the log",
        &work.pull(&start, PAGE_CHANGES_MAX).await.0,
        None,
    );
    row(
        "largest pages, a snapshot",
        &work.pull(&Value::Null, PAGE_CHANGES_MAX).await.0,
        None,
    );

    let work = ColdDeployment::new(binaries);
    bar.set_message("100,000 rows");
    work.fill(ROWS).await;
    row(
        "snapshot of 100,000, by 500",
        &work.pull(&Value::Null, PAGE_CHANGES_MAX).await.0,
        None,
    );
    bar.finish_and_clear();
    table
}

/// A deployment, and a user of it.
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

    /// Pushes new items.
    async fn push(&self, pushes: usize, items: usize, bytes: usize) -> Footprint {
        let mut push = self.start("push").await;
        let mut needed = Footprint::default();
        for number in 0..pushes {
            let creates = (number * items..(number + 1) * items)
                .map(|at| workload::create(at, workload::form(at, 0, bytes)));
            let event = events::push(&self.rig.stack, &self.token, &creates.collect::<Vec<_>>())
                .to_string();
            let (taken, told) = asked(&mut push, &event).await;
            let body = response(&told).ok();
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

    /// Sequences all that was pushed.
    async fn sequence(&self, records: usize) -> Footprint {
        let mut changelog = self.start("changelog").await;
        let mut needed = Footprint::default();
        for records in self.rig.stack.stream_records().chunks(records) {
            let (taken, told) =
                asked(&mut changelog, &json!({"Records": records}).to_string()).await;
            assert_eq!(
                serde_json::from_str::<Value>(&told).unwrap(),
                json!({"batchItemFailures": []})
            );
            needed.add(taken, records.len());
        }
        needed.with_peak_of(&changelog)
    }

    /// Pulls until there is nothing more; where the next pull goes on.
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
            let (taken, told) = asked(&mut pull, &event).await;
            let mut page = response(&told).ok();
            since = page["next_token"].take();
            // The first calls of a process are no work that is warm; of few pages the last counts.
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

    /// Puts so many copies of a resource beside it.
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

/// What one event took, in seconds.
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
            peak_mb: process::peak_mb(function.id().expect("it runs")).expect("it runs"),
            ..self
        }
    }
}

/// What a function needs for an event, and what it answers.
async fn asked(function: &mut Lambda, event: &str) -> (EventCost, String) {
    let id = function.id().expect("it runs");
    function.idle().await;
    let (before, began) = (process::cpu(id), Instant::now());
    let told = function.ask(event).await;
    let wall_s = began.elapsed().as_secs_f64();
    function.idle().await;
    (
        EventCost {
            cpu_s: (process::cpu(id) - before).as_secs_f64(),
            wall_s,
        },
        told,
    )
}
