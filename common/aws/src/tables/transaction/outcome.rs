//! The outcome of a transaction, with the reason of each item.

use aws_sdk_dynamodb::types::CancellationReason;

use super::super::Row;
use crate::error::Error;

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
    pub(crate) fn was_throttled(&self) -> bool {
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

pub(super) fn reason(reason: &CancellationReason) -> Result<Reason, Error> {
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
