//! Emulates a Lambda event source mapping on one machine. It reads the records of a table's stream
//! in order per shard, delivers them to a function in batches, and continues only after the records
//! that the function has processed.
//!
//! There is no checkpoint besides the stream: processed records are trimmed, and a start begins at
//! the oldest remaining record. Delivery is at least once, as with Lambda. Unlike a real mapping,
//! this one has no batching window, does not bisect a failing batch and retries it without limit.
//! It does not filter either: filters save invocations, and a function that relied on them would be
//! wrong on AWS too, so here each function receives every record.

mod records;

use std::time::Duration;

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use tidemark_aws::stream::StreamEvent;
use tokio::sync::watch;

use crate::BoxFuture;
use crate::engine::{Engine, EngineError};
use crate::template::functions::StreamMapping;
use records::Stream;

const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Longest wait of an idle mapping. A write wakes it; this bounds the delay of a missed wake-up.
const IDLE_MAX: Duration = Duration::from_secs(1);

/// Reasons why a step failed. The mapping retries; no record is lost.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The engine rejected a request.
    #[error("the embedded DynamoDB rejected {operation}: {reply}")]
    Engine {
        /// Name of the DynamoDB operation.
        operation: &'static str,
        /// Response body of the engine.
        reply: String,
    },
    /// A response of the engine is not valid DynamoDB JSON.
    #[error("a response of the embedded DynamoDB cannot be decoded: {0}")]
    ApiResponse(#[from] serde_json::Error),
    /// Trimming the stream failed.
    #[error(transparent)]
    Trim(#[from] EngineError),
    /// The function failed on the batch or on a record. The records that precede that record are
    /// processed.
    #[error("the function failed: {0}")]
    Function(String),
}

/// A function that consumes stream batches.
pub trait Consumer: Send {
    /// Processes a batch. An error fails the whole batch.
    fn invoke(&self, event: StreamEvent) -> BoxFuture<'_, Result<DynamoDbEventResponse, String>>;
}

impl<F> Consumer for F
where
    F: Fn(StreamEvent) -> BoxFuture<'static, Result<DynamoDbEventResponse, String>> + Send,
{
    fn invoke(&self, event: StreamEvent) -> BoxFuture<'_, Result<DynamoDbEventResponse, String>> {
        self(event)
    }
}

/// A mapping from one table's stream to one function.
pub struct EventSourceMapping<C> {
    stream: Stream,
    reports_item_failures: bool,
    consumer: C,
    finished_records: usize,
}

impl<C: Consumer> EventSourceMapping<C> {
    /// Returns a mapping that begins at the oldest remaining record.
    #[must_use]
    pub fn new(engine: Engine, mapping: &StreamMapping, consumer: C) -> Self {
        let stream = Stream::new(engine, &mapping.table, mapping.batch_records_max);
        Self {
            stream,
            reports_item_failures: mapping.reports_item_failures,
            consumer,
            finished_records: 0,
        }
    }

    /// Delivers one batch to the function once, and returns whether there was one.
    ///
    /// # Errors
    /// Returns an error if the engine or the function fails. The next step begins with the record
    /// on which the function failed.
    pub async fn step(&mut self) -> Result<bool, MappingError> {
        let Some(batch) = self.stream.next_batch()? else {
            return Ok(false);
        };

        let numbers = batch.sequence_numbers;
        let response = self
            .consumer
            .invoke(batch.event)
            .await
            .map_err(MappingError::Function)?;

        let done = if self.reports_item_failures {
            done_before_failures(&response, &numbers)
        } else {
            numbers.len()
        };
        if let Some(last) = done.checked_sub(1).and_then(|last| numbers.get(last)) {
            self.stream.finish(&batch.shard, last)?;
            self.finished_records += done;
        }

        match numbers.get(done) {
            None => Ok(true),
            Some(failed) => Err(MappingError::Function(format!(
                "it reported the record {failed} in batchItemFailures"
            ))),
        }
    }

    /// Skips all records that the stream holds now, like a consumer that was absent for longer than
    /// the stream keeps them.
    ///
    /// # Errors
    /// Returns an error if the engine rejects a request.
    pub fn skip(&mut self) -> Result<(), MappingError> {
        while let Some(batch) = self.stream.next_batch()? {
            if let Some(last) = batch.sequence_numbers.last() {
                self.stream.finish(&batch.shard, last)?;
            }
        }
        Ok(())
    }

    /// Processes all records that the stream holds now, retries failures, and returns the number of
    /// processed records.
    pub async fn drain(&mut self) -> usize {
        let before = self.finished_records;
        let mut backoff = BACKOFF_FIRST;
        loop {
            match self.step().await {
                Ok(true) => backoff = BACKOFF_FIRST,
                Ok(false) => return self.finished_records - before,
                Err(error) => {
                    warn(&error, backoff);
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    /// Delivers batches until `shutdown` is true or its sender is dropped. The current batch is
    /// completed first; a batch that keeps failing is left for the next start.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let mut writes = self.stream.engine().writes();
        let mut backoff = BACKOFF_FIRST;
        while !*shutdown.borrow_and_update() {
            let (wait, is_idle) = match self.step().await {
                Ok(true) => {
                    backoff = BACKOFF_FIRST;
                    continue;
                }
                Ok(false) => (IDLE_MAX, true),
                Err(error) => {
                    warn(&error, backoff);
                    let wait = backoff;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                    (wait, false)
                }
            };

            tokio::select! {
                changed = shutdown.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait) => {}
                // A failing batch waits for its whole backoff; only an idle mapping is woken by
                // writes.
                written = writes.changed(), if is_idle => if written.is_err() { return },
            }
        }
    }
}

fn warn(error: &MappingError, retry: Duration) {
    tracing::warn!(%error, retry_ms = retry.as_millis(), "stream batch failed, retrying");
}

/// Returns how many records at the start of the batch are processed: all that precede the first one
/// that the function reported in `batchItemFailures`. A missing or unknown identifier fails the
/// whole batch, as it does for Lambda.
fn done_before_failures(response: &DynamoDbEventResponse, numbers: &[String]) -> usize {
    let failures = response.batch_item_failures.iter();
    let positions = failures.map(|failure| {
        let identifier = failure.item_identifier.as_deref().unwrap_or_default();
        numbers
            .iter()
            .position(|number| number == identifier)
            .unwrap_or(0)
    });
    positions.min().unwrap_or(numbers.len())
}

#[cfg(test)]
mod tests;
