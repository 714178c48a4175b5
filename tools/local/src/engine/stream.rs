//! What dynoxide lacks for its stream records: an index over them, and trimming. The module writes
//! only to dynoxide's `_stream_records` table, whose schema is pinned with the crate's version.

use rusqlite::{Connection, params};

use super::EngineError;

/// dynoxide stores plain numbers and adds this offset when it returns them, so that they have 21
/// digits like those of DynamoDB.
const PUBLIC_OFFSET: u128 = 100_000_000_000_000_000_000;

/// Creates the index over the sequence numbers. Without it, each write to a table with a stream
/// scans all stream records for the highest number: 25 times slower after 30,000 records.
pub(super) fn create_index(side: &Connection) -> Result<(), EngineError> {
    side.execute_batch(
        "CREATE INDEX IF NOT EXISTS tidemark_stream_order
         ON _stream_records(table_name, CAST(sequence_number AS INTEGER))",
    )?;
    Ok(())
}

/// Deletes the records of `table` up to and including the public sequence number, except the newest
/// one. The next number is derived from the newest record, and a lower number would precede
/// positions that readers already hold.
pub(super) fn trim(
    side: &Connection,
    table: &str,
    up_to_sequence: &str,
) -> Result<usize, EngineError> {
    let removed = side.execute(
        "DELETE FROM _stream_records
         WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) <= ?2
           AND CAST(sequence_number AS INTEGER) <
               (SELECT MAX(CAST(sequence_number AS INTEGER)) FROM _stream_records WHERE table_name = ?1)",
        params![table, stored(up_to_sequence)],
    )?;
    Ok(removed)
}

/// Returns the stored form of a public sequence number. A number that this engine did not issue
/// becomes 0, which trims nothing: it is better to keep a record than to lose one.
fn stored(public: &str) -> i64 {
    let number = public
        .parse::<u128>()
        .ok()
        .and_then(|number| number.checked_sub(PUBLIC_OFFSET));
    number
        .and_then(|number| i64::try_from(number).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
