//! Measures the throughput of one channel's log. The changelog function is invoked like by Lambda,
//! with stream records of one channel.

mod measure;

use std::time::Duration;

use crate::{
    load::work::ITEMS,
    table::{Row, Table},
};

use measure::{Counts, baseline_timed, counts, timed};

/// Maximum number of changes for which the stream is read.
pub const CHANGES_MAX: usize = 1_000;
/// Records per event. 500 is the batch size in the template.
const BATCHES: [usize; 4] = [10, 100, 500, 1_000];
/// Write units per second that DynamoDB accepts for one partition.
const PARTITION_WRITE_UNITS_PER_S: f64 = 1_000.0;

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
