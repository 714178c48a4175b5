//! Measures whether the cost of a pull is independent of the length of the history.

use super::counted::Counting;
use crate::{
    table::{Row, Table},
    workload,
};

const PAGE: usize = 100;
const BYTES: usize = 300;
/// Lengths of the history in changes.
pub const BEFORE: [usize; 3] = [100, 1_000, 10_000];

/// Returns the table of pulls of the same hundred changes after histories of these lengths, the
/// shortest first.
pub async fn table(lengths: &[usize]) -> Table {
    let note = "An up-to-date device pulls 100 changes, and a new device pulls its first page, \
        after histories of different lengths. The baseline is the shortest history.";
    let mut table = Table::new("cost-history", "Growing history", note);

    let mut shortest = None;
    for &before in lengths {
        let measured = pulls(before).await;
        let baseline = *shortest.get_or_insert(measured);
        for (what, measured, baseline) in [
            ("the last 100", measured.0, baseline.0),
            ("the first page", measured.1, baseline.1),
        ] {
            // The cost must not grow, except by one unit for longer keys.
            table.rows.push(
                Row::new(format!("{what}, after {before} changes"), "RRU", measured)
                    .baseline(baseline)
                    .budget(baseline + 1.0),
            );
        }
    }
    table
}

/// Returns the read units of a pull of the last 100 changes, and of a first page.
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
