//! Tables of the measured operations: capacity units for one payload size, and round trips.

use super::{
    amount::{Cost, ITEMS, PushCost},
    operations::{BUSY, BUSY_ROUNDS, CROWD, Operations, PAGE},
};
use crate::{
    budgets,
    table::{Row, Table},
};

impl Operations {
    /// Returns the table of capacity units by operation.
    pub fn units(&self) -> Table {
        let bytes = self.bytes;
        let note = format!(
            "Payloads of {bytes} bytes. Write units are those of all tables and indexes: the push \
             with its raw items and results, and the change log. The baseline of a write is one \
             row with only the payload; the baseline of a read is the page packed into one row. \
             Both are measured in the same run."
        );

        let mut table = Table::new(
            format!("cost-{bytes}"),
            format!("Units, payloads of {bytes} bytes"),
            note,
        );
        table.rows.extend(self.push_units());
        table.rows.extend(self.pull_units());
        table.rows.extend(self.ack_and_resolution_units());
        table
    }

    /// Returns the rows of the pushes, in units per item.
    fn push_units(&self) -> impl Iterator<Item = Row> {
        self.pushed().into_iter().flat_map(|(what, pushed)| {
            // The minimal row of a type with a unique value costs one unit, because its payload is
            // small.
            let baseline = if what == "create, unique" {
                1.0
            } else {
                self.baseline_write
            };
            let budget = matches!(what, "create" | "update")
                .then(|| self.small_budget(budgets::WRITE_UNITS_PER_ITEM))
                .flatten();

            let written = Row::new(
                format!("{what}: write units per item"),
                "WRU",
                pushed.write_units(),
            );
            let read = Row::new(
                format!("{what}: read units per item"),
                "RRU",
                pushed.read_units(),
            );
            [with_budget(written.baseline(baseline), budget), read]
        })
    }

    /// Returns the rows of the pulls: pages in units per change, and smaller responses in units.
    fn pull_units(&self) -> [Row; 5] {
        let baseline = self.baseline_page / PAGE as f64;
        let budget = self.small_budget(budgets::READ_UNITS_PER_CHANGE);
        let per_change = |what: String, cost: &Cost| {
            Row::new(what, "RRU", cost.read_units / PAGE as f64).baseline(baseline)
        };

        let packed = "pull of 100 from the log: read units per change".to_owned();
        let crowded = format!(
            "pull of 100 from {} sequenced together: read units per change",
            CROWD * ITEMS
        );
        let fresh = "pull of 100 from a snapshot: read units per resource".to_owned();
        let busy = format!(
            "pull after {} changes of {BUSY} resources: read units",
            BUSY * BUSY_ROUNDS
        );

        [
            with_budget(per_change(packed, &self.pull_packed), budget),
            with_budget(per_change(crowded, &self.pull_crowded), budget),
            per_change(fresh, &self.pull_fresh),
            Row::new(busy, "RRU", self.pull_busy.read_units),
            Row::new(
                "pull without changes: read units",
                "RRU",
                self.pull_nothing.read_units,
            ),
        ]
    }

    /// Returns the rows of the acknowledgements and of a resolution, in units.
    fn ack_and_resolution_units(&self) -> [Row; 3] {
        let written = |what: &str, cost: &Cost| Row::new(what, "WRU", cost.write_units);
        [
            written(
                "acknowledgement, a device's first: write units",
                &self.ack_first,
            )
            .baseline(1.0),
            written("acknowledgement, the next: write units", &self.ack).baseline(1.0),
            written("resolution by an admin: write units", &self.resolve),
        ]
    }

    /// Returns the budget if the payloads have the size to which budgets apply, 300 bytes.
    fn small_budget(&self, budget: f64) -> Option<f64> {
        (self.bytes == 300).then_some(budget)
    }

    /// Returns the table of round trips and calls, which do not depend on the payload size.
    pub fn round_trips(&self) -> Table {
        let note = "Sequential round trips to DynamoDB, and the total number of calls. The \
            baseline is one.";
        let mut table = Table::new("cost-round-trips", "Round trips and calls", note);

        for (what, pushed) in self.pushed() {
            let budget = matches!(
                what,
                "create" | "create, incompressible" | "update" | "delete" | "create, unique"
            )
            .then_some(budgets::ROUND_TRIPS_PUSH);
            table.rows.extend(round_trips_and_calls(
                &format!("push of 50 ({what})"),
                &pushed.push,
                budget,
            ));
        }

        for (what, cost, budget) in self.other_operations() {
            table.rows.extend(round_trips_and_calls(what, cost, budget));
        }
        table
    }

    /// Returns the pushes with their names.
    fn pushed(&self) -> [(&'static str, &PushCost); 6] {
        [
            ("create", &self.creates),
            ("create, incompressible", &self.noisy),
            ("update", &self.updates),
            ("delete", &self.deletes),
            ("create, unique", &self.unique),
            ("update, a tenth conflicts", &self.mixed),
        ]
    }

    /// Returns the operations other than pushes with their names and their budgets of round trips.
    fn other_operations(&self) -> [(&'static str, &Cost, Option<f64>); 8] {
        use budgets::{
            ROUND_TRIPS_ACK as ACK, ROUND_TRIPS_PULL as PULL,
            ROUND_TRIPS_PULL_NOTHING as PULL_NOTHING,
        };

        [
            (
                "sequencing 50 changes of a channel",
                &self.creates.sequence,
                None,
            ),
            ("pull of 100 from the log", &self.pull_packed, Some(PULL)),
            ("pull of 100 from a snapshot", &self.pull_fresh, Some(PULL)),
            (
                "pull without changes",
                &self.pull_nothing,
                Some(PULL_NOTHING),
            ),
            ("acknowledgement", &self.ack, Some(ACK)),
            ("list of a tenant's devices", &self.devices, None),
            ("status", &self.status, None),
            ("resolution by an admin", &self.resolve, None),
        ]
    }
}

/// Returns the row of the round trips of an operation and the row of its calls.
fn round_trips_and_calls(what: &str, cost: &Cost, budget: Option<f64>) -> [Row; 2] {
    let round_trips = Row::new(
        format!("{what}: round trips"),
        "round trips",
        cost.round_trips,
    );
    let calls = Row::new(
        format!("{what}: {}", cost.operations),
        "calls",
        cost.calls as f64,
    );
    [with_budget(round_trips.baseline(1.0), budget), calls]
}

/// Returns the row with this budget, if there is one.
fn with_budget(row: Row, budget: Option<f64>) -> Row {
    Row { budget, ..row }
}
