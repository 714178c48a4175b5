//! Builds the transaction items that mark the row of a conflict as resolved, exactly once.

use aws_sdk_dynamodb::types::{AttributeValue, Update};
use tidemark_core::model::conflict::{
    Conflict, ConflictOutcome, ConflictSlot, ConflictStatus, SupersededConflict,
};

use super::{Conflicts, OutcomeRow, keys};
use crate::{error::Error, tables::TransactionItem};

impl Conflicts {
    /// Returns the transaction item that sets the outcome of a conflict.
    ///
    /// The condition is that the conflict is open and has as many edits as were read, so that it is
    /// resolved once and no edit that joins concurrently is lost.
    ///
    /// # Errors
    /// Returns `Error::Corrupt` if the id of the conflict cannot be parsed.
    pub fn resolve_item(
        &self,
        tenant: &str,
        conflict: &Conflict,
        outcome: &ConflictOutcome,
    ) -> Result<TransactionItem, Error> {
        self.resolve_row_item(
            tenant,
            (&conflict.id, conflict.slot),
            conflict.edits.len(),
            outcome,
        )
    }

    /// Returns the transaction item that resolves a conflict superseded by a create of the same
    /// device, on the same condition.
    ///
    /// # Errors
    /// Returns `Error::Corrupt` if the id of the conflict cannot be parsed.
    pub fn supersede_item(
        &self,
        tenant: &str,
        superseded: &SupersededConflict,
    ) -> Result<TransactionItem, Error> {
        let SupersededConflict {
            id,
            slot,
            expected_edits,
            outcome,
        } = superseded;
        self.resolve_row_item(tenant, (id, *slot), *expected_edits, outcome)
    }

    fn resolve_row_item(
        &self,
        tenant: &str,
        (id, slot): (&str, ConflictSlot),
        edits: usize,
        outcome: &ConflictOutcome,
    ) -> Result<TransactionItem, Error> {
        let (open, resolved) = (ConflictStatus::Open, ConflictStatus::Resolved);
        let outcome = serde_dynamo::to_attribute_value(OutcomeRow::new(outcome));

        let update = Update::builder()
            .table_name(&self.0.name)
            .set_key(Some(keys::of(tenant, id, slot)?))
            .update_expression(
                "SET #status = :resolved, status_key = :status_key, outcome = :outcome",
            )
            .condition_expression("id = :id AND #status = :open AND edit_count = :edits")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":id", AttributeValue::S(id.to_owned()))
            .expression_attribute_values(
                ":resolved",
                AttributeValue::S(resolved.as_str().to_owned()),
            )
            .expression_attribute_values(
                ":status_key",
                AttributeValue::S(keys::status_key(tenant, id, slot, resolved)?),
            )
            .expression_attribute_values(
                ":outcome",
                outcome.map_err(|error| Error::unencoded("outcome", error))?,
            )
            .expression_attribute_values(":open", AttributeValue::S(open.as_str().to_owned()))
            .expression_attribute_values(":edits", AttributeValue::N(edits.to_string()));

        TransactionItem::update(update)
    }
}
