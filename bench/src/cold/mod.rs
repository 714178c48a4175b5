//! `bench cold`: the functions' binaries as they are shipped, between a stand-in for Lambda's
//! runtime API and a TLS endpoint: what a start costs, what work costs once they are warm, how much
//! memory they take, and how large they are.

mod events;
mod shipped;
mod start;
mod tls;
mod work;

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
};

use crate::{
    budgets,
    table::{Row, Table},
};
use shipped::BARE;
use start::StartCost;

/// All tables. The binaries are built, if no folder has them.
pub fn tables(root: &Path, folder: Option<&Path>) -> Vec<Table> {
    let binaries = shipped::binaries(root, folder);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        vec![
            sizes(&binaries),
            starts(&binaries).await,
            work::table(&binaries).await,
        ]
    })
}

/// The binaries that CI holds to budgets, by function: those that were built to be shipped into a
/// folder.
pub fn shipped(folder: &Path) -> BTreeMap<String, PathBuf> {
    shipped::found(folder)
}

/// Some functions built as those that are shipped, but for this machine.
pub fn native(root: &Path, functions: &[&str]) -> BTreeMap<String, PathBuf> {
    shipped::build(root, functions)
}

/// The size of binaries, against the budget.
pub fn held_sizes(binaries: &BTreeMap<String, PathBuf>) -> Table {
    let mut table = Table::new(
        "held-sizes",
        "The functions as they are shipped: size",
        "The stripped binary of each function.",
    );
    for (name, path) in binaries {
        let bytes = std::fs::metadata(path).unwrap().len();
        table.rows.push(
            Row::new(format!("{name}: binary"), "MB", bytes as f64 / 1e6)
                .budget(budgets::BINARY_MB),
        );
    }
    table
}

/// The CPU of a start of these binaries, which are this machine's own, against the budget.
pub fn held_starts(binaries: &BTreeMap<String, PathBuf>) -> Table {
    let note = "The CPU of a function's process from exec to the first poll for an event, which comes behind DynamoDB's first answer over TLS where the function \
                calls it: the least of several starts, because others use the machine, too.";
    let mut table = Table::new(
        "held-starts",
        "The functions as they are shipped: start",
        note,
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    for (name, path) in binaries {
        let cpu_ms = runtime.block_on(start::least_cpu_ms(name, path, budgets::COLD_CPU_MS));
        table.rows.push(
            Row::new(format!("{name}: CPU to the first poll"), "ms", cpu_ms)
                .budget(budgets::COLD_CPU_MS),
        );
    }
    table
}

/// How large the binaries are.
fn sizes(binaries: &BTreeMap<String, PathBuf>) -> Table {
    let note = "The stripped binary of each function, and what it packs to. The floor is a function that answers every request with nothing, built in the same way.";
    let mut table = Table::new("cold-sizes", "Size of the functions", note);
    let measured: BTreeMap<&str, (f64, f64)> = binaries
        .iter()
        .map(|(name, path)| (name.as_str(), megabytes(path)))
        .collect();
    let (floor, floor_packed) = measured[BARE];
    for (name, (binary, packed)) in measured.into_iter().filter(|(name, _)| *name != BARE) {
        table.rows.push(
            Row::new(format!("{name}: binary"), "MB", binary)
                .floor(floor)
                .budget(budgets::BINARY_MB),
        );
        table
            .rows
            .push(Row::new(format!("{name}: packed"), "MB", packed).floor(floor_packed));
    }
    table
}

/// What a start costs.
async fn starts(binaries: &BTreeMap<String, PathBuf>) -> Table {
    let note = "From exec to the first poll for an event, which comes behind DynamoDB's first answer over TLS where the function calls it; then to the first \
                response; medians of several starts. CPU of the function's process alone. The floor is the function that does nothing.";
    let mut table = Table::new("cold-starts", "Cold start", note);
    let floor = start::measure(BARE, &binaries[BARE]).await;
    for (name, path) in binaries.iter().filter(|(name, _)| *name != BARE) {
        let StartCost {
            ready_cpu_ms,
            ready_ms,
            response_cpu_ms,
            peak_mb,
        } = start::measure(name, path).await;
        let row = |what: &str, unit, measured, floor| {
            Row::new(format!("{name}: {what}"), unit, measured).floor(floor)
        };
        table.rows.push(
            row(
                "CPU to the first poll",
                "ms",
                ready_cpu_ms,
                floor.ready_cpu_ms,
            )
            .budget(budgets::COLD_CPU_MS),
        );
        table.rows.push(row(
            "wall to the first poll",
            "ms",
            ready_ms,
            floor.ready_ms,
        ));
        table.rows.push(row(
            "CPU to the first response",
            "ms",
            response_cpu_ms,
            floor.response_cpu_ms,
        ));
        table
            .rows
            .push(row("peak memory", "MB", peak_mb, floor.peak_mb).budget(budgets::MEMORY_MB));
    }
    table
}

/// The size of a file, and packed as it goes into a zip.
fn megabytes(path: &Path) -> (f64, f64) {
    let binary = std::fs::read(path).unwrap();
    let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&binary).unwrap();
    (
        binary.len() as f64 / 1e6,
        packed.finish().unwrap().len() as f64 / 1e6,
    )
}
