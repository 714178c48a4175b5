//! Transactions, used only for writes that span several rows, because they cost twice the write
//! units.

mod outcome;

use aws_sdk_dynamodb::{
    Client,
    error::BuildError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        ReturnConsumedCapacity, TransactWriteItem,
        builders::{ConditionCheckBuilder, DeleteBuilder, PutBuilder, UpdateBuilder},
    },
};

use crate::error::Error;

use outcome::reason;
pub use outcome::{Reason, TransactionOutcome};

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

fn incomplete(error: BuildError) -> Error {
    Error::unencoded("transaction", error)
}
