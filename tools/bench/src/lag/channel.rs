//! Measures the throughput of one channel's log. The changelog function is invoked like by Lambda,
//! with stream records of one channel.

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

/// Maximum number of changes for which the stream is read.
pub const CHANGES_MAX: usize = 1_000;
/// Records per event. 500 is the batch size in the template.
const BATCHES: [usize; 4] = [10, 100, 500, 1_000];
/// Write units per second that DynamoDB accepts for one partition.
const PARTITION_WRITE_UNITS_PER_S: f64 = 1_000.0;

/// The counted cost of sequencing.
struct Counts {
    /// Write units of the log per change.
    log_units: f64,
    /// Write units of the resources per change, when they were pushed.
    resource_units: f64,
    /// Round trips per batch.
    round_trips: f64,
}

/// Measures and returns the table for this number of changes.
pub fn table(changes: usize) -> Table {
    let changes = changes.clamp(ITEMS, CHANGES_MAX);
    let mut table = Table::new(
        "lag-channel",
        "One hot channel",
        "Changes of 300 bytes of one channel, sequenced in batches. The maximum rate follows from \
         the write units of one partition. The baseline inserts the same changes into SQLite, \
         with one transaction per batch.",
    );

    let sizes: Vec<usize> = BATCHES
        .into_iter()
        .filter(|size| *size <= changes)
        .collect();
    let counts: Vec<Counts> = sizes.iter().map(|size| counts(changes, *size)).collect();

    table.rows.extend(unit_rows(&sizes, &counts));
    table.rows.extend(rate_rows(&sizes, &counts));
    table
        .rows
        .extend(sizes.iter().map(|size| timed_row(changes, *size)));
    table
}

/// Returns the write units and round trips by batch size.
fn unit_rows(sizes: &[usize], counts: &[Counts]) -> Vec<Row> {
    let units = |what: String, units: f64| Row::new(what, "write units/100 changes", units * 100.0);
    let log = |size| format!("log, batches of {size}");
    let by_size = || sizes.iter().zip(counts);

    let mut rows = vec![units(
        "resources, pushed in 50s".to_owned(),
        counts[0].resource_units,
    )];
    rows.extend(by_size().map(|(size, counts)| units(log(size), counts.log_units)));
    rows.extend(
        by_size()
            .map(|(size, counts)| Row::new(log(size), "round trips/batch", counts.round_trips)),
    );
    rows
}

/// Returns the maximum rates that follow from the write units of one partition.
fn rate_rows(sizes: &[usize], counts: &[Counts]) -> Vec<Row> {
    let rate =
        |what: String, units: f64| Row::new(what, "changes/s", PARTITION_WRITE_UNITS_PER_S / units);

    let mut rows = vec![rate(
        "resources in one partition, at most".to_owned(),
        counts[0].resource_units,
    )];
    rows.extend(sizes.iter().zip(counts).map(|(size, counts)| {
        rate(
            format!("log in one partition, batches of {size}, at most"),
            counts.log_units,
        )
    }));
    rows
}

/// Measures the rate on this machine with batches of one size.
fn timed_row(changes: usize, size: usize) -> Row {
    let per_s = |took: Duration| changes as f64 / took.as_secs_f64();
    Row::new(
        format!("log on this machine, batches of {size}"),
        "changes/s",
        per_s(timed(changes, size)),
    )
    .baseline(per_s(baseline_timed(changes, size)))
}

/// Counts units and round trips in virtual time.
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

/// Measures the elapsed time with the tables in a file, as in the local runner.
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

/// Pushes this number of changes to one channel and returns their stream records.
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

/// Passes the records to the changelog function in batches and returns the number of batches.
async fn sequence(stack: &Stack, hook: Arc<dyn Hook>, records: &[Value], size: usize) -> usize {
    let changelog = stack.consumer("changelog", hook);
    for batch in records.chunks(size) {
        let response = changelog.sequence(stream_event(batch)).await;
        assert!(response.batch_item_failures.is_empty(), "{response:?}");
    }
    records.len().div_ceil(size)
}
