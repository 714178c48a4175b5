//! Tables of the measured requests.

use super::RequestCost;
use crate::{
    budgets,
    table::{Row, Table},
};

/// Returns the table of CPU times. Expensive requests also have the CPU time per byte, with the
/// ordinary request as baseline.
pub(super) fn times(measured: &[RequestCost]) -> Table {
    let note = format!(
        "CPU of the function for one request, without DynamoDB and S3. An expensive request may \
         take at most {} s, and per byte at most {} times the CPU of the ordinary request, which \
         is its baseline here. The bytes are those of the request, of its response, and of the \
         calls to DynamoDB and S3.",
        budgets::WORST_CPU_S,
        budgets::WORST_RATIO
    );

    let mut table = Table::new("work-cpu", "CPU of expensive requests", note);
    for it in measured {
        let name = name(it);
        let time = Row::new(name.clone(), "ms of CPU", it.spent.cpu.as_secs_f64() * 1e3);

        let Some(ordinary) = measured
            .iter()
            .find(|other| Some(other.name) == it.ordinary)
        else {
            table.rows.push(time);
            continue;
        };

        table.rows.push(time.budget(budgets::WORST_CPU_S * 1e3));
        let baseline = ordinary.spent.ns_per_byte();
        let per_byte = Row::new(
            format!("{name}: for each byte"),
            "ns of CPU",
            it.spent.ns_per_byte(),
        );
        table.rows.push(
            per_byte
                .baseline(baseline)
                .budget(baseline * budgets::WORST_RATIO),
        );
    }
    table
}

/// Returns the table of work counters per request.
pub(super) fn counters(measured: &[RequestCost]) -> Table {
    let note = "Bytes of JSON text that were parsed (counted each time), written, hashed, packed \
        and unpacked; rows that DynamoDB returned and objects that were looked up in S3; calls to \
        both; bytes that the request, its response and these calls carried.";

    let mut table = Table::new("work-counters", "Counted work of the same requests", note);
    for it in measured {
        let (name, work, traffic) = (name(it), it.spent.work, it.spent.traffic);
        let counted = [
            ("parsed", "kB", work.parsed as f64 / 1e3),
            ("written", "kB", work.written as f64 / 1e3),
            ("hashed", "kB", work.hashed as f64 / 1e3),
            ("packed", "kB", work.packed as f64 / 1e3),
            ("unpacked", "kB", work.unpacked as f64 / 1e3),
            ("carried", "kB", it.spent.carried() as f64 / 1e3),
            ("rows and objects", "rows", traffic.rows as f64),
            ("calls", "calls", traffic.calls as f64),
        ];

        let rows = counted.into_iter().filter(|(_, _, value)| *value > 0.0);
        table.rows.extend(
            rows.map(|(what, unit, value)| Row::new(format!("{name}: {what}"), unit, value)),
        );
    }
    table
}

fn name(measured: &RequestCost) -> String {
    format!(
        "{} {}, {}",
        measured.route.0, measured.route.1, measured.name
    )
}
