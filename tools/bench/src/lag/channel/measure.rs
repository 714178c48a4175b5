//! Measures the calls, the units and the time of the changelog function.

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
    workload,
};

/// The counted cost of sequencing.
pub(super) struct Counts {
    /// Write units of the log per change.
    pub(super) log_units: f64,
    /// Write units of the resources per change, when they were pushed.
    pub(super) resource_units: f64,
    /// Round trips per batch.
    pub(super) round_trips: f64,
}

/// Counts units and round trips in virtual time.
pub(super) fn counts(changes: usize, size: usize) -> Counts {
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
pub(super) fn timed(changes: usize, size: usize) -> Duration {
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

pub(super) fn baseline_timed(changes: usize, size: usize) -> Duration {
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
