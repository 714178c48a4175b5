//! Amounts of what operations cost: units, calls and round trips.

use tidemark_tests::hooks::CallCounts;

/// Number of items of a push.
pub(super) const ITEMS: usize = 50;

/// The cost of a push and of sequencing its changes.
#[derive(Debug, Clone, Default)]
pub struct PushCost {
    /// Cost of the push request.
    pub push: Cost,
    /// Cost of sequencing its changes into the log.
    pub sequence: Cost,
}

impl PushCost {
    /// Returns the write units per item in all tables.
    pub fn write_units(&self) -> f64 {
        (self.push.write_units + self.sequence.write_units) / ITEMS as f64
    }

    /// Returns the read units per item in all tables.
    pub fn read_units(&self) -> f64 {
        (self.push.read_units + self.sequence.read_units) / ITEMS as f64
    }
}

/// The counted cost of an operation.
#[derive(Debug, Clone, Default)]
pub struct Cost {
    /// DynamoDB write units in all tables.
    pub write_units: f64,
    /// DynamoDB read units in all tables.
    pub read_units: f64,
    /// Sequential round trips to DynamoDB.
    pub round_trips: f64,
    /// Number of calls, including concurrent ones.
    pub calls: usize,
    /// Calls per operation, such as "BatchGetItem 1, Query 1".
    pub operations: String,
}

impl Cost {
    pub(super) fn of(counted: &CallCounts, round_trips: f64) -> Self {
        let operations: Vec<String> = counted
            .calls
            .iter()
            .map(|(operation, count)| format!("{operation} {count}"))
            .collect();
        Self {
            // The sum of an empty iterator is -0.
            write_units: counted.write_units.values().sum::<f64>().abs(),
            read_units: counted.read_units.values().sum::<f64>().abs(),
            round_trips,
            calls: counted.calls.values().sum(),
            operations: operations.join(", "),
        }
    }
}
