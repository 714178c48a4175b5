//! How many changes one channel's log takes: the changelog function is called as Lambda calls it,
//! with the stream's records of one channel.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tidemark::engine::{
    Engine,
    http::{Hook, NoHook},
};
use tidemark_tests::{
    Meter, Stack,
    hooks::{CallCounts, ROUND_TRIP},
    stack::stream_event,
};
use tokio::runtime::Runtime;

use crate::{
    baseline,
    cost::in_virtual_time,
    cpu::StoreCpu,
    load::work::{BYTES, ITEMS},
    table::{Row, Table},
    workload,
};

/// The most that the stream is read for.
pub const CHANGES_MAX: usize = 1_000;
/// Records in an event. 500 is what the template asks for.
const BATCHES: [usize; 4] = [10, 100, 500, 1_000];
/// What DynamoDB takes for the items of one partition, each second.
const PARTITION_WRITE_UNITS_PER_S: f64 = 1_000.0;

/// What sequencing cost.
struct Counts {
    /// Write units of the log, for each change.
    log_units: f64,
    /// Of the resources, when the changes were pushed.
    resource_units: f64,
    /// Round trips for each batch.
    round_trips: f64,
}

/// The table.
pub fn table(changes: usize) -> Table {
    let changes = changes.clamp(ITEMS, CHANGES_MAX);
    let mut table = Table::new(
        "lag-channel",
        "One hot channel",
        "Changes of 300 bytes, all of one channel, sequenced in batches. The most for each second is what the write units of one partition \
         allow. The floor inserts the same changes into SQLite, a transaction for each batch.",
    );
    let sizes: Vec<usize> = BATCHES
        .into_iter()
        .filter(|size| *size <= changes)
        .collect();
    let counts: Vec<Counts> = sizes.iter().map(|size| counts(changes, *size)).collect();
    let all = || sizes.iter().zip(&counts);
    let units = |units: f64| (units * 100.0, PARTITION_WRITE_UNITS_PER_S / units);
    let resources = units(counts[0].resource_units);
    table.rows.push(Row::new(
        "resources, pushed in 50s",
        "write units/100 changes",
        resources.0,
    ));
    for (size, counts) in all() {
        table.rows.push(Row::new(
            format!("log, batches of {size}"),
            "write units/100 changes",
            units(counts.log_units).0,
        ));
    }
    for (size, counts) in all() {
        table.rows.push(Row::new(
            format!("log, batches of {size}"),
            "round trips/batch",
            counts.round_trips,
        ));
    }
    table.rows.push(Row::new(
        "resources in one partition, at most",
        "changes/s",
        resources.1,
    ));
    for (size, counts) in all() {
        let at_most = units(counts.log_units).1;
        table.rows.push(Row::new(
            format!("log in one partition, batches of {size}, at most"),
            "changes/s",
            at_most,
        ));
    }
    for size in sizes {
        let per_s = |took: Duration| changes as f64 / took.as_secs_f64();
        let row = Row::new(
            format!("log on this machine, batches of {size}"),
            "changes/s",
            per_s(timed(changes, size)),
        );
        table
            .rows
            .push(row.floor(per_s(baseline_timed(changes, size))));
    }
    table
}

/// Counts, in virtual time.
fn counts(changes: usize, size: usize) -> Counts {
    in_virtual_time(async {
        let meter = Arc::new(Meter::default());
        let stack = Stack::hooked(meter.clone());
        let records = pushed(&stack, changes).await;
        let units = |counted: &CallCounts, table: &str| {
            counted.write_units.get(table).copied().unwrap_or_default() / changes as f64
        };
        let resource_units = units(&meter.take(), "resources");
        let began = tokio::time::Instant::now();
        let batches = sequence(&stack, meter.clone(), &records, size).await;
        let round_trips = began.elapsed().as_secs_f64() / ROUND_TRIP.as_secs_f64() / batches as f64;
        Counts {
            log_units: units(&meter.take(), "changes"),
            resource_units,
            round_trips,
        }
    })
}

/// Measures, with the tables in a file, as the local runner has them.
fn timed(changes: usize, size: usize) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(&folder.path().join("engine.sqlite")).unwrap();
    Runtime::new().unwrap().block_on(async {
        let stack = Stack::over(engine, Arc::new(NoHook));
        let records = pushed(&stack, changes).await;
        let began = Instant::now();
        sequence(&stack, Arc::new(NoHook), &records, size).await;
        began.elapsed()
    })
}

fn baseline_timed(changes: usize, size: usize) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let store = baseline::Store::open(Path::new(folder.path()), Arc::new(StoreCpu::default()));
    let items: Vec<Value> = (0..changes).map(item).collect();
    let batches: Vec<Vec<baseline::Edit>> = items
        .chunks(size)
        .map(|batch| {
            batch
                .iter()
                .map(|item| serde_json::from_str(&item.to_string()).unwrap())
                .collect()
        })
        .collect();
    let began = Instant::now();
    for batch in &batches {
        assert_eq!(store.push("ana", "phone", batch).len(), batch.len());
    }
    began.elapsed()
}

/// The stream's records of so many changes of one channel.
async fn pushed(stack: &Stack, changes: usize) -> Vec<Value> {
    let phone = stack.device("ana", "phone");
    for number in 0..changes.div_ceil(ITEMS) {
        let items: Vec<Value> = (number * ITEMS..((number + 1) * ITEMS).min(changes))
            .map(item)
            .collect();
        phone.push(items.into()).await;
    }
    let records = stack.stream_records();
    assert_eq!(records.len(), changes);
    records
}

fn item(number: usize) -> Value {
    workload::create(number, workload::form(number, 0, BYTES))
}

/// Hands the records to the changelog function in batches; gives how many these were.
async fn sequence(stack: &Stack, hook: Arc<dyn Hook>, records: &[Value], size: usize) -> usize {
    let changelog = stack.context("changelog", hook);
    for batch in records.chunks(size) {
        let response = tidemark_changelog::handle(&changelog, stream_event(batch))
            .await
            .unwrap();
        assert!(response.batch_item_failures.is_empty(), "{response:?}");
    }
    records.len().div_ceil(size)
}
