//! Whether a pull costs what it brings, however much lies behind it.

use super::counted::Counting;
use crate::{
    table::{Row, Table},
    workload,
};

const PAGE: usize = 100;
const BYTES: usize = 300;
/// How much lies behind it.
pub const BEFORE: [usize; 3] = [100, 1_000, 10_000];

/// Pulls of the same hundred changes behind histories of these lengths, the shortest first.
pub async fn table(lengths: &[usize]) -> Table {
    let note = "A device that is up to date pulls 100 changes; a device that begins pulls its first page. Before them, the channel had so many changes. \
                The floor is the shortest history.";
    let mut table = Table::new("cost-history", "A history that grows", note);
    let mut shortest = None;
    for &before in lengths {
        let measured = pulls(before).await;
        let floor = *shortest.get_or_insert(measured);
        for (what, measured, floor) in [
            ("the last 100", measured.0, floor.0),
            ("the first page", measured.1, floor.1),
        ] {
            // It must stay flat: one unit for a longer key is allowed.
            table.rows.push(
                Row::new(format!("{what}, behind {before} changes"), "RRU", measured)
                    .floor(floor)
                    .budget(floor + 1.0),
            );
        }
    }
    table
}

/// Read units of a pull of the last 100 changes, and of a first page.
async fn pulls(before: usize) -> (f64, f64) {
    let counting = Counting::default();
    let (ana, mut tablet) = (
        counting.stack.device("ana", "phone"),
        counting.stack.device("ana", "tablet"),
    );
    let push = async |from: usize| {
        let forms = (from..from + 50)
            .map(|number| workload::create(number, workload::form(number, 0, BYTES)));
        ana.push(forms.collect()).await;
        counting.stack.settle().await;
    };
    for from in (0..before).step_by(50) {
        push(from).await;
    }
    tablet.pull().await;
    for from in (before..before + PAGE).step_by(50) {
        push(from).await;
    }
    let (last, page) = counting.count(tablet.pull_page(PAGE)).await;
    assert_eq!(page["changes"].as_array().map(Vec::len), Some(PAGE));
    let (first, page) = counting
        .count(counting.stack.device("ana", "watch").pull_page(PAGE))
        .await;
    assert_eq!(page["changes"].as_array().map(Vec::len), Some(PAGE));
    (last.read_units, first.read_units)
}
