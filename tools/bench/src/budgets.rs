//! The budgets of the measurements. `tools/bench/tests` checks all counts among them in CI.

/// Write units per created or updated item of 300 bytes, in all tables, pushed in batches of 50.
pub const WRITE_UNITS_PER_ITEM: f64 = 1.40;
/// Read units per change in a pull of a page of 100 changes.
pub const READ_UNITS_PER_CHANGE: f64 = 0.15;
/// Dollars per million items, pushed in batches of 50 and pulled once in pages of 100.
pub const DOLLARS_PER_MILLION: f64 = 1.00;
/// Sequential round trips to DynamoDB in a push of 50 items.
pub const ROUND_TRIPS_PUSH: f64 = 3.0;
/// Sequential round trips to DynamoDB in a pull of 100 changes.
pub const ROUND_TRIPS_PULL: f64 = 2.0;
/// Sequential round trips to DynamoDB in a pull without changes.
pub const ROUND_TRIPS_PULL_NOTHING: f64 = 1.0;
/// Sequential round trips to DynamoDB in an acknowledgement.
pub const ROUND_TRIPS_ACK: f64 = 1.0;
/// CPU time in milliseconds from exec to the first DynamoDB response, over TLS.
pub const COLD_CPU_MS: f64 = 5.0;
/// Size of a stripped binary in MB, of a function that devices wait for.
const BINARY_MB: f64 = 7.0;
/// Size of the stripped binary of the console in MB. It contains all its pages, and no device waits
/// for it.
const CONSOLE_BINARY_MB: f64 = 9.0;
/// Resident memory of a function under load in MB.
pub const MEMORY_MB: f64 = 24.0;
/// CPU seconds of the function, without DynamoDB, per 10,000 pushed items.
pub const PUSH_CPU_S: f64 = 0.45;
/// CPU seconds of the function, without DynamoDB, per 10,000 pulled items.
pub const PULL_CPU_S: f64 = 0.10;
/// CPU seconds of the function, without DynamoDB and S3, for any single valid request.
pub const WORST_CPU_S: f64 = 1.0;
/// Maximum ratio of CPU time per byte to the equivalent ordinary request.
pub const WORST_RATIO: f64 = 20.0;

/// Returns the maximum size in MB of a function's stripped binary.
pub fn binary_mb(function: &str) -> f64 {
    match function {
        "console" => CONSOLE_BINARY_MB,
        _ => BINARY_MB,
    }
}
