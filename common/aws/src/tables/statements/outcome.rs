//! The outcome of a conditional statement.

use aws_sdk_dynamodb::types::{BatchStatementErrorCodeEnum, BatchStatementResponse};

/// The outcome of a conditional row write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// The row was written by this statement.
    Written,
    /// The condition failed because of a concurrent update, or because an earlier attempt of this
    /// write was applied and its response was lost.
    ConditionFailed,
    /// The table throttled the write or is unavailable.
    Unavailable,
}

pub(super) fn outcome(response: &BatchStatementResponse) -> WriteOutcome {
    let Some(error) = &response.error else {
        return WriteOutcome::Written;
    };
    match &error.code {
        Some(
            BatchStatementErrorCodeEnum::ConditionalCheckFailed
            | BatchStatementErrorCodeEnum::DuplicateItem,
        ) => WriteOutcome::ConditionFailed,
        code => {
            // The message of a throttled statement names the exceeded limit. The message of another
            // error may quote the statement and is not logged.
            let is_throttled = matches!(
                code,
                Some(
                    BatchStatementErrorCodeEnum::ThrottlingError
                        | BatchStatementErrorCodeEnum::ProvisionedThroughputExceeded
                        | BatchStatementErrorCodeEnum::RequestLimitExceeded
                )
            );

            let reason = error.message().filter(|_| is_throttled);
            tracing::warn!(?code, reason, "DynamoDB did not write a row");
            WriteOutcome::Unavailable
        }
    }
}
