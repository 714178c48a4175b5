//! `bench cold`: measures the release binaries of the functions between an emulated Lambda runtime
//! API and a TLS endpoint: the cost of a cold start, the cost of work in a warm process, memory and
//! binary size.

mod events;
mod rows;
mod shipped;
mod start;
mod tls;
mod work;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    budgets,
    table::{Row, Table},
};

use rows::{sizes, starts};

/// Measures and returns all tables. Builds the binaries unless `folder` contains them.
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

/// Returns the binaries in `folder` by function, which were built for deployment and which CI
/// checks against budgets.
pub fn shipped(folder: &Path) -> BTreeMap<String, PathBuf> {
    shipped::found(folder)
}

/// Builds the binaries of some functions with the release options, for this machine.
pub fn native(root: &Path, functions: &[&str]) -> BTreeMap<String, PathBuf> {
    shipped::build(root, functions)
}

/// Returns the sizes of the binaries with their budget.
pub fn held_sizes(binaries: &BTreeMap<String, PathBuf>) -> Table {
    let mut table = Table::new(
        "held-sizes",
        "Release binaries of the functions: size",
        "The stripped binary of each function.",
    );
    for (name, path) in binaries {
        let bytes = std::fs::metadata(path).unwrap().len();
        table.rows.push(
            Row::new(format!("{name}: binary"), "MB", bytes as f64 / 1e6)
                .budget(budgets::binary_mb(name)),
        );
    }
    table
}

/// Returns the CPU time of a cold start of these binaries, which must run natively, with its
/// budget.
pub fn held_starts(binaries: &BTreeMap<String, PathBuf>) -> Table {
    let note = "CPU time of a function's process from exec to the first poll for an event, which \
        follows the first DynamoDB response over TLS if the function calls DynamoDB: the minimum \
        of several starts, because other processes use the machine too.";

    let mut table = Table::new(
        "held-starts",
        "Release binaries of the functions: cold start",
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
