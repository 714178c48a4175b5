//! `bench cost`: capacity units, calls and round trips of all operations of devices and admins, and
//! their price.

mod amount;
mod counted;
pub mod dollars;
pub mod history;
mod operations;
mod tables;

use crate::table::Table;
pub use amount::Cost;
pub use counted::Counting;
pub use operations::Operations;

/// Bytes of the measured payloads.
pub const PAYLOAD_BYTES: [usize; 3] = [300, 1024, 5 * 1024];

/// Measures and returns all tables.
pub fn tables() -> Vec<Table> {
    in_virtual_time(async {
        let mut tables = Vec::new();
        let mut measured = Vec::new();
        for bytes in PAYLOAD_BYTES {
            let operations = Operations::measure(bytes).await;
            tables.push(operations.units());
            measured.push(operations);
        }
        tables.push(measured[0].round_trips());
        tables.push(dollars::table(&measured));
        tables.push(history::table(&history::BEFORE).await);
        tables
    })
}

/// Runs `work` in virtual time, which advances only during calls, so that it yields the number of
/// sequential round trips.
pub fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(work)
}
