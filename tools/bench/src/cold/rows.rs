//! The rows of the tables of `bench cold`.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
};

use crate::{
    budgets,
    table::{Row, Table},
};

use super::{
    shipped::BARE,
    start::{self, StartCost},
};

/// Measures the sizes of the binaries and compares them with the empty function.
pub(super) fn sizes(binaries: &BTreeMap<String, PathBuf>) -> Table {
    let note = "The stripped binary of each function, and its compressed size. The baseline is a \
        function that responds to every request with an empty object, built in the same way.";
    let mut table = Table::new("cold-sizes", "Size of the functions", note);

    let measured: BTreeMap<&str, (f64, f64)> = binaries
        .iter()
        .map(|(name, path)| (name.as_str(), megabytes(path)))
        .collect();
    let (baseline, baseline_packed) = measured[BARE];

    for (name, (binary, packed)) in measured.into_iter().filter(|(name, _)| *name != BARE) {
        table.rows.push(
            Row::new(format!("{name}: binary"), "MB", binary)
                .baseline(baseline)
                .budget(budgets::binary_mb(name)),
        );
        table
            .rows
            .push(Row::new(format!("{name}: packed"), "MB", packed).baseline(baseline_packed));
    }
    table
}

/// Measures the cold starts of the binaries and compares them with the empty function.
pub(super) async fn starts(binaries: &BTreeMap<String, PathBuf>) -> Table {
    let note = "From exec to the first poll for an event, which follows the first DynamoDB \
        response over TLS if the function calls DynamoDB, and from exec to the first response; \
        medians of several starts. CPU time of the function's process only. The baseline is the \
        empty function.";
    let mut table = Table::new("cold-starts", "Cold start", note);

    let baseline = start::measure(BARE, &binaries[BARE]).await;
    for (name, path) in binaries.iter().filter(|(name, _)| *name != BARE) {
        let StartCost {
            ready_cpu_ms,
            ready_ms,
            response_cpu_ms,
            peak_mb,
        } = start::measure(name, path).await;

        let row = |what: &str, unit, measured, baseline| {
            Row::new(format!("{name}: {what}"), unit, measured).baseline(baseline)
        };

        table.rows.push(
            row(
                "CPU to the first poll",
                "ms",
                ready_cpu_ms,
                baseline.ready_cpu_ms,
            )
            .budget(budgets::COLD_CPU_MS),
        );
        table.rows.push(row(
            "wall to the first poll",
            "ms",
            ready_ms,
            baseline.ready_ms,
        ));
        table.rows.push(row(
            "CPU to the first response",
            "ms",
            response_cpu_ms,
            baseline.response_cpu_ms,
        ));
        table
            .rows
            .push(row("peak memory", "MB", peak_mb, baseline.peak_mb).budget(budgets::MEMORY_MB));
    }
    table
}

/// Returns the size of a file in MB, and its compressed size as in a zip.
fn megabytes(path: &Path) -> (f64, f64) {
    let binary = std::fs::read(path).unwrap();
    let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&binary).unwrap();
    (
        binary.len() as f64 / 1e6,
        packed.finish().unwrap().len() as f64 / 1e6,
    )
}
