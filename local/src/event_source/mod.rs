//! The stream pump: what a Lambda event source mapping does, on one machine. It reads the records
//! of a table's stream per shard in order, hands them to a function in batches, and goes on only
//! past what the function has done.
//!
//! There is no checkpoint besides the stream: what is done is trimmed, and a start begins at the
//! oldest record left. So records may come twice, as they may from Lambda, and never not at all.
//! Unlike a real mapping it gathers no batching window, does not bisect a failing batch and never
//! gives up on one. It does not filter either: filters spare invocations, and a function that
//! relied on them would be wrong on AWS too, so here each function sees every record.

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
/// A write wakes the pump; this only bounds what a missed wake-up could cost.
const IDLE_MAX: Duration = Duration::from_secs(1);

/// Why a step failed. The pump tries again; nothing is lost.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The engine refused a request.
    #[error("the embedded DynamoDB refused {operation}: {reply}")]
    Engine {
        /// Which.
        operation: &'static str,
        /// Its answer.
        reply: String,
    },
    /// The engine's answer does not read as DynamoDB's.
    #[error("an answer of the embedded DynamoDB does not read as one: {0}")]
    ApiResponse(#[from] serde_json::Error),
    /// Trimming failed.
    #[error(transparent)]
    Trim(#[from] EngineError),
    /// The function failed, as a whole or on some record; what came before that record is done.
    #[error("the function failed: {0}")]
    Function(String),
}

/// A function that takes stream batches.
pub trait Consumer: Send {
    /// Handles a batch; an error is the whole batch's.
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
    /// A pump that begins at the oldest record left.
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

    /// Hands one batch to the function, once. Returns whether there was one.
    ///
    /// # Errors
    /// The function failed: the next step begins with the record it failed on.
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
                "it gave back the record {failed}"
            ))),
        }
    }

    /// Passes over everything the stream holds now, as a consumer does that was away for longer
    /// than the stream keeps it.
    ///
    /// # Errors
    /// The engine refused a request.
    pub fn skip(&mut self) -> Result<(), MappingError> {
        while let Some(batch) = self.stream.next_batch()? {
            if let Some(last) = batch.sequence_numbers.last() {
                self.stream.finish(&batch.shard, last)?;
            }
        }
        Ok(())
    }

    /// Handles everything the stream holds now, retrying what fails, and returns how many records
    /// that were.
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

    /// Pumps until `shutdown` says true, or its sender is gone. A batch that is under way is
    /// finished first; one that keeps failing is left for the next start.
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
                // A failing batch waits its time out; only an idle pump is woken by writes.
                written = writes.changed(), if is_idle => if written.is_err() { return },
            }
        }
    }
}

fn warn(error: &MappingError, retry: Duration) {
    tracing::warn!(%error, retry_ms = retry.as_millis(), "a stream batch failed and is tried again");
}
/// How many records from the batch's start are done: all before the lowest that the function gave
/// back. An identifier that names none of them, or nothing at all, gives back the whole batch, as
/// it does for Lambda.
fn done_before_failures(response: &DynamoDbEventResponse, numbers: &[String]) -> usize {
    let dead_letters = response.batch_item_failures.iter();
    let positions = dead_letters.map(|failure| {
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
