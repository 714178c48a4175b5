//! What was measured, as tables.

use super::RequestCost;
use crate::{
    budgets,
    table::{Row, Table},
};

/// CPU time of each request. Of one with much work also for each byte, beside that of the ordinary
/// request.
pub(super) fn times(measured: &[RequestCost]) -> Table {
    let note = format!(
        "CPU of the function for one request, without DynamoDB and S3. A request with much work may take {} s, and for each byte {} times the \
         CPU of the ordinary request, which is its floor here. The bytes are those of the request, of its response, and of the calls to \
         DynamoDB and S3.",
        budgets::WORST_CPU_S,
        budgets::WORST_RATIO
    );
    let mut table = Table::new("work-cpu", "CPU of requests with much work", note);
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
        let floor = ordinary.spent.ns_per_byte();
        let per_byte = Row::new(
            format!("{name}: for each byte"),
            "ns of CPU",
            it.spent.ns_per_byte(),
        );
        table
            .rows
            .push(per_byte.floor(floor).budget(floor * budgets::WORST_RATIO));
    }
    table
}

/// The work of each request, as the function counted it.
pub(super) fn counters(measured: &[RequestCost]) -> Table {
    let note = "Bytes of JSON text that were parsed (once for each time), written, hashed, packed and unpacked; rows that DynamoDB returned \
                and objects that were looked up in S3; calls to both; bytes that the request, its response and these calls carried.";
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
