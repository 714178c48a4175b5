//! What things may cost. The count-based ones are held by `bench/tests`, which CI runs.

/// Write units for each created or updated item of 300 bytes, in all tables, pushed in batches of
/// 50.
pub const WRITE_UNITS_PER_ITEM: f64 = 1.40;
/// Read units for each change that is pulled in a page of 100.
pub const READ_UNITS_PER_CHANGE: f64 = 0.15;
/// Dollars for a million items pushed in 50s and pulled once in 100s.
pub const DOLLARS_PER_MILLION: f64 = 1.00;
/// Round trips to DynamoDB that wait for each other: a push of 50.
pub const ROUND_TRIPS_PUSH: f64 = 3.0;
/// A pull of 100.
pub const ROUND_TRIPS_PULL: f64 = 2.0;
/// A pull of nothing.
pub const ROUND_TRIPS_PULL_NOTHING: f64 = 1.0;
/// An acknowledgement.
pub const ROUND_TRIPS_ACK: f64 = 1.0;
/// Milliseconds of CPU from exec to the first answer of DynamoDB, over TLS.
pub const COLD_CPU_MS: f64 = 5.0;
/// A function's stripped binary, in MB.
pub const BINARY_MB: f64 = 7.0;
/// Resident memory of a function under load, in MB.
pub const MEMORY_MB: f64 = 24.0;
/// Seconds of a function's CPU, DynamoDB apart, for 10,000 items that are pushed.
pub const PUSH_CPU_S: f64 = 0.45;
/// The same for 10,000 that are pulled.
pub const PULL_CPU_S: f64 = 0.10;
/// Seconds of a function's CPU, DynamoDB and S3 apart, for one valid request, whatever it asks for.
pub const WORST_CPU_S: f64 = 1.0;
/// Times the CPU per byte of the equivalent ordinary request.
pub const WORST_RATIO: f64 = 20.0;
