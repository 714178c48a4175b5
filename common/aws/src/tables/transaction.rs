//! Transactions, used only for writes that span several rows, because they cost twice the write
//! units.

use aws_sdk_dynamodb::{
    Client,
    error::BuildError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        CancellationReason, ReturnConsumedCapacity, TransactWriteItem,
        builders::{ConditionCheckBuilder, DeleteBuilder, PutBuilder, UpdateBuilder},
    },
};

use super::Row;
use crate::error::Error;

/// One conditional write, or one condition, of a transaction. The methods of the tables build it,
/// and [`Tables::transact`](super::Tables::transact) executes it, so that use cases need no type of
/// the SDK.
#[derive(Debug, Clone)]
pub struct TransactionItem(TransactWriteItem);

impl TransactionItem {
    /// Creates an item that puts a row.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if the put has no table or row, which does not happen.
    pub(super) fn put(put: PutBuilder) -> Result<Self, Error> {
        let put = put.build().map_err(incomplete)?;
        Ok(Self(TransactWriteItem::builder().put(put).build()))
    }

    /// Creates an item that updates a row.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if the update has no table, key or expression, which does not
    /// happen.
    pub(super) fn update(update: UpdateBuilder) -> Result<Self, Error> {
        let update = update.build().map_err(incomplete)?;
        Ok(Self(TransactWriteItem::builder().update(update).build()))
    }

    /// Creates an item that deletes a row.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if the delete has no table or key, which does not happen.
    pub(super) fn delete(delete: DeleteBuilder) -> Result<Self, Error> {
        let delete = delete.build().map_err(incomplete)?;
        Ok(Self(TransactWriteItem::builder().delete(delete).build()))
    }

    /// Creates an item that writes nothing and fails the transaction if its condition is not met.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if the check has no table, key or condition, which does not
    /// happen.
    pub(super) fn check(check: ConditionCheckBuilder) -> Result<Self, Error> {
        let check = check.build().map_err(incomplete)?;
        Ok(Self(
            TransactWriteItem::builder().condition_check(check).build(),
        ))
    }
}

/// The outcome of a transaction.
#[derive(Debug)]
pub enum TransactionOutcome {
    /// All writes were applied, by this attempt or by an earlier one whose response was lost.
    Done,
    /// No write was applied. Contains one reason per item, in the order of the items.
    Cancelled(Vec<Reason>),
}

/// The cancellation reason of a transaction item.
#[derive(Debug)]
pub enum Reason {
    /// The item did not cause the cancellation.
    None,
    /// The item's condition failed. Contains the existing row if the item requested it.
    ConditionFailed(Option<Row>),
    /// A concurrent transaction or write accessed the item's row.
    Conflict,
    /// The table throttled the item.
    Throttled,
}

impl TransactionOutcome {
    /// Returns whether the transaction was cancelled because of a failed condition or a concurrent
    /// write. The caller must read the current state before it retries.
    pub fn is_concurrent_update(&self) -> bool {
        match self {
            Self::Done => false,
            Self::Cancelled(reasons) => reasons
                .iter()
                .any(|reason| matches!(reason, Reason::ConditionFailed(_) | Reason::Conflict)),
        }
    }

    /// Returns whether throttling is the only reason why the transaction was cancelled.
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

/// Writes all of `items` or none of them.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable.
pub(super) async fn transact(
    client: &Client,
    attempt: &str,
    items: &[TransactionItem],
) -> Result<TransactionOutcome, Error> {
    let items = items.iter().map(|item| item.0.clone()).collect();
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
            _ => Err(Error::failed_call(attempt, error)),
        },
    }
}

fn reason(reason: &CancellationReason) -> Result<Reason, Error> {
    match reason.code() {
        None | Some("None") => Ok(Reason::None),
        Some("ConditionalCheckFailed") => Ok(Reason::ConditionFailed(reason.item.clone())),
        Some("TransactionConflict") => Ok(Reason::Conflict),
        Some(code @ ("ThrottlingError" | "ProvisionedThroughputExceeded")) => {
            tracing::warn!(
                code,
                reason = reason.message(),
                "DynamoDB transaction throttled"
            );
            Ok(Reason::Throttled)
        }
        Some(code) => Err(Error::unavailable(format!("transaction cancelled: {code}"))),
    }
}

fn incomplete(error: BuildError) -> Error {
    Error::unencoded("transaction", error)
}
