//! Dead-letters the stream records that can never be processed, so that the records after them are
//! processed.

use serde_json::value::RawValue;
use tidemark_aws::{Context, dead_letters::DeadLetters, metrics::Metric, stream::sequence_of};
use tidemark_core::model::position::Sequence;

/// Stores a record that can never be processed in the dead-letter bucket.
///
/// # Errors
/// Returns the sequence number of the record if it could not be stored, so that the stream
/// redelivers it.
pub(crate) async fn dead_letter(
    context: &Context,
    dead_letters: &DeadLetters,
    record: &RawValue,
    reason: &str,
) -> Result<(), Sequence> {
    let now = context.clock.now();
    match dead_letters.dead_letter(record, reason, now).await {
        Ok(key) => {
            // The reason may quote the record, so it is stored in the object and not logged.
            tracing::error!(%key, "stream record dead-lettered");
            context.meter.count(Metric::DeadLetteredRecords, 1);
            Ok(())
        }
        Err(failure) => {
            tracing::error!(%failure, "stream record could not be dead-lettered");
            context.meter.count_failure(&failure);
            Err(sequence_of(record))
        }
    }
}
