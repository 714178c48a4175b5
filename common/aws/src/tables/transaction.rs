//! Transactions: for what spans rows, and for nothing else, because they cost twice the write
//! units.

use aws_sdk_dynamodb::{
    Client,
    error::BuildError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{CancellationReason, ReturnConsumedCapacity, TransactWriteItem, builders::PutBuilder},
};

use super::Row;
use crate::failure::Failure;

/// What became of a transaction.
#[derive(Debug)]
pub enum TransactionOutcome {
    /// All of it took effect, now or in an earlier try whose answer was lost.
    Done,
    /// None of it did: one reason per item, in their order.
    Cancelled(Vec<Reason>),
}

/// What an item of a cancelled transaction has to do with that.
#[derive(Debug)]
pub enum Reason {
    /// Nothing.
    None,
    /// Its condition did not hold; the row that stood there, where the item asked for it.
    ConditionFailed(Option<Row>),
    /// Another transaction or write touched its row at the same moment.
    Conflict,
    /// The table would not take it now.
    Throttled,
}

impl TransactionOutcome {
    /// Whether the transaction was cancelled, and only because others were faster: their writes are
    /// to be read first.
    pub fn is_concurrent_update(&self) -> bool {
        match self {
            Self::Done => false,
            Self::Cancelled(reasons) => reasons
                .iter()
                .any(|reason| matches!(reason, Reason::ConditionFailed(_) | Reason::Conflict)),
        }
    }

    /// Whether the transaction was cancelled, and only because tables would not take it now.
    pub(super) fn was_throttled(&self) -> bool {
        let Self::Cancelled(reasons) = self else {
            return false;
        };
        reasons
            .iter()
            .any(|reason| matches!(reason, Reason::Throttled))
            && reasons
                .iter()
                .all(|reason| matches!(reason, Reason::Throttled | Reason::None))
    }
}

/// Writes all of `items` or none.
///
/// # Errors
/// An outage.
pub async fn transact(
    client: &Client,
    attempt: &str,
    items: Vec<TransactWriteItem>,
) -> Result<TransactionOutcome, Failure> {
    let call = client
        .transact_write_items()
        .set_transact_items(Some(items));
    let response = call
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .send()
        .await;
    match response {
        Ok(_) => Ok(TransactionOutcome::Done),
        Err(error) => match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled
                .cancellation_reasons()
                .iter()
                .map(reason)
                .collect::<Result<_, _>>()
                .map(TransactionOutcome::Cancelled),
            _ => Err(Failure::outage(attempt, error)),
        },
    }
}

fn reason(reason: &CancellationReason) -> Result<Reason, Failure> {
    match reason.code() {
        None | Some("None") => Ok(Reason::None),
        Some("ConditionalCheckFailed") => Ok(Reason::ConditionFailed(reason.item.clone())),
        Some("TransactionConflict") => Ok(Reason::Conflict),
        Some(code @ ("ThrottlingError" | "ProvisionedThroughputExceeded")) => {
            tracing::warn!(
                code,
                reason = reason.message(),
                "a transaction was throttled"
            );
            Ok(Reason::Throttled)
        }
        Some(code) => Err(Failure::Outage(format!("transaction cancelled: {code}"))),
    }
}

/// A put as part of a transaction.
///
/// # Errors
/// It lacks its table or its row, which none does.
pub(crate) fn transact_put(put: PutBuilder) -> Result<TransactWriteItem, Failure> {
    Ok(TransactWriteItem::builder()
        .put(put.build().map_err(incomplete)?)
        .build())
}

pub(crate) fn incomplete(error: BuildError) -> Failure {
    Failure::unreadable("transaction", error)
}
