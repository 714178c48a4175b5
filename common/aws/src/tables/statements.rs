//! Conditional PartiQL statements in batches. Each statement succeeds or fails on its own, at the
//! write units of a single put and a tenth of its CPU time.

mod outcome;

use aws_sdk_dynamodb::types::{AttributeValue, BatchStatementRequest, ReturnConsumedCapacity};
use futures_util::future::try_join_all;

use super::{THROTTLED_ATTEMPTS_MAX, Table};
use crate::error::Error;

pub use outcome::WriteOutcome;
use outcome::outcome;

/// Maximum number of statements in one BatchExecuteStatement request.
const STATEMENTS_MAX: usize = 25;
/// Maximum payload bytes in one request, which memory holds three times: as statements, as JSON and
/// encrypted.
const CALL_BYTES_MAX: usize = 512 * 1024;
/// Maximum number of concurrent requests.
const CALLS_AT_ONCE: usize = 2;

impl Table {
    /// Executes one statement for each element of `bytes`, the payload size of that statement. The
    /// outcomes are in the same order. A statement is built when its request is sent, so that few
    /// payloads are held in memory twice.
    ///
    /// Two requests of 25 statements are sent concurrently. Further requests are sent after them.
    pub(super) async fn execute_all(
        &self,
        bytes: &[usize],
        build: impl Fn(usize) -> Result<BatchStatementRequest, Error>,
    ) -> Result<Vec<WriteOutcome>, Error> {
        let mut committed = Vec::with_capacity(bytes.len());
        for calls in calls(bytes).chunks(CALLS_AT_ONCE) {
            let calls = calls
                .iter()
                .map(|range| self.execute(range.clone(), &build));
            committed.extend(try_join_all(calls).await?.into_iter().flatten());
        }
        Ok(committed)
    }

    /// Sends one request, and resends the statements that were throttled or met a concurrent
    /// transaction. DynamoDB reports these inside a 200 response, which the SDK does not retry.
    async fn execute(
        &self,
        range: std::ops::Range<usize>,
        build: &impl Fn(usize) -> Result<BatchStatementRequest, Error>,
    ) -> Result<Vec<WriteOutcome>, Error> {
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
                    Error::failed_call(&format!("batch_execute_statement on {}", self.name), error)
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

/// Builds a statement with the values of its parameters.
pub(super) fn statement(
    text: &str,
    parameters: Vec<AttributeValue>,
) -> Result<BatchStatementRequest, Error> {
    let statement = BatchStatementRequest::builder()
        .statement(text)
        .set_parameters(Some(parameters));
    statement
        .build()
        .map_err(|error| Error::unencoded("statement", error))
}

/// Splits statements into requests within the limits on statements and on bytes.
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
