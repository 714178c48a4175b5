//! Conditional statements in batches (PartiQL): each succeeds or fails alone, for the write units
//! of single puts and a tenth of their CPU.

use aws_sdk_dynamodb::types::{
    AttributeValue, BatchStatementErrorCodeEnum, BatchStatementRequest, BatchStatementResponse,
    ReturnConsumedCapacity,
};
use futures_util::future::try_join_all;

use super::{THROTTLED_ATTEMPTS_MAX, Table};
use crate::failure::Failure;

/// Statements one BatchExecuteStatement may hold.
const STATEMENTS_MAX: usize = 25;
/// Bytes of payload in one call: it stands in memory as statements, as JSON and enciphered.
const CALL_BYTES_MAX: usize = 512 * 1024;
/// Calls that are sent at once.
const CALLS_AT_ONCE: usize = 2;

/// What became of a row that was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It is written.
    Written,
    /// Its condition did not hold: someone else was faster, or an earlier try of this very write
    /// took effect unheard.
    Lost,
    /// The table would not take it now.
    Unavailable,
}

impl Table {
    /// Executes a statement for each of `bytes`, which says how many bytes of payload it carries;
    /// the answers stand in that order. A statement is built when its call is made, so that few
    /// payloads are held twice.
    ///
    /// Two calls of 25 statements are sent at once. What is larger follows.
    pub(super) async fn execute_all(
        &self,
        bytes: &[usize],
        build: impl Fn(usize) -> Result<BatchStatementRequest, Failure>,
    ) -> Result<Vec<WriteOutcome>, Failure> {
        let mut committed = Vec::with_capacity(bytes.len());
        for calls in calls(bytes).chunks(CALLS_AT_ONCE) {
            let calls = calls
                .iter()
                .map(|range| self.execute(range.clone(), &build));
            committed.extend(try_join_all(calls).await?.into_iter().flatten());
        }
        Ok(committed)
    }

    /// One call; statements that were throttled or met a transaction are sent again. DynamoDB
    /// reports those inside a 200, where the SDK does not repeat them.
    async fn execute(
        &self,
        range: std::ops::Range<usize>,
        build: &impl Fn(usize) -> Result<BatchStatementRequest, Failure>,
    ) -> Result<Vec<WriteOutcome>, Failure> {
        let first = range.start;
        let mut committed = vec![WriteOutcome::Unavailable; range.len()];
        let mut waiting: Vec<usize> = range.collect();
        for attempt in 0..THROTTLED_ATTEMPTS_MAX {
            if attempt > 0 {
                tokio::time::sleep(self.random.throttled(attempt)).await;
            }
            let call = waiting
                .iter()
                .map(|index| build(*index))
                .collect::<Result<_, _>>()?;
            let response = self
                .client
                .batch_execute_statement()
                .set_statements(Some(call))
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(|error| {
                    Failure::outage(&format!("batch_execute_statement on {}", self.name), error)
                })?;
            for (index, response) in waiting.iter().zip(response.responses.unwrap_or_default()) {
                committed[*index - first] = outcome(&response);
            }
            waiting.retain(|index| committed[*index - first] == WriteOutcome::Unavailable);
            if waiting.is_empty() {
                break;
            }
        }
        Ok(committed)
    }
}

/// A statement with the values of its question marks.
pub(super) fn statement(
    text: &str,
    parameters: Vec<AttributeValue>,
) -> Result<BatchStatementRequest, Failure> {
    let statement = BatchStatementRequest::builder()
        .statement(text)
        .set_parameters(Some(parameters));
    statement
        .build()
        .map_err(|error| Failure::unreadable("statement", error))
}

fn outcome(response: &BatchStatementResponse) -> WriteOutcome {
    let Some(error) = &response.error else {
        return WriteOutcome::Written;
    };
    match &error.code {
        Some(
            BatchStatementErrorCodeEnum::ConditionalCheckFailed
            | BatchStatementErrorCodeEnum::DuplicateItem,
        ) => WriteOutcome::Lost,
        code => {
            // Of a throttled statement the message says what the limit is; that of another error
            // may quote what was sent.
            let is_throttled = matches!(
                code,
                Some(
                    BatchStatementErrorCodeEnum::ThrottlingError
                        | BatchStatementErrorCodeEnum::ProvisionedThroughputExceeded
                        | BatchStatementErrorCodeEnum::RequestLimitExceeded
                )
            );
            let reason = error.message().filter(|_| is_throttled);
            tracing::warn!(?code, reason, "a row was not written");
            WriteOutcome::Unavailable
        }
    }
}

/// Cuts statements into calls within both bounds.
fn calls(bytes: &[usize]) -> Vec<std::ops::Range<usize>> {
    let mut calls = Vec::new();
    let mut first = 0;
    while first < bytes.len() {
        let mut sum = 0;
        let fits = bytes[first..]
            .iter()
            .take(STATEMENTS_MAX)
            .take_while(|bytes| {
                sum += **bytes;
                sum <= CALL_BYTES_MAX
            });
        let end = first + fits.count().max(1);
        calls.push(first..end);
        first = end;
    }
    calls
}
