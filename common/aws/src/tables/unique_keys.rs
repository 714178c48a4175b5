//! `unique_keys`: tenant#type#field / hash of the value. The holder of each unique value. A row is
//! written and deleted only by the resource that holds the value, in one transaction with that
//! resource. So a value has at most one holder, and every unique value of a resource has a row.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, ReturnValuesOnConditionCheckFailure};
use serde::{Deserialize, Serialize};
use tidemark_core::{
    model::{channel::Channel, resource::ResourceKey},
    rules::unique::{UniqueChange, UniqueKey},
};

use super::{Reason, Row, Table, TransactionItem, from_row, key as row_key, text, to_row};
use crate::error::Error;

/// No other resource holds the value.
const HELD_BY_NO_OTHER: &str =
    "attribute_not_exists(pk) OR (holder_channel = :channel AND holder_id = :id)";

/// Client for the table `unique_keys`.
#[derive(Debug, Clone)]
pub struct UniqueKeys(pub(super) Table);

#[derive(Debug, Serialize, Deserialize)]
struct HolderRow {
    pk: String,
    sk: String,
    holder_channel: String,
    holder_id: String,
}

impl UniqueKeys {
    /// Returns the transaction items with which the resource `holder` claims and releases unique
    /// values: the claims first, in their order.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if a row cannot be serialized, which does not happen.
    pub fn transaction_items(
        &self,
        change: &UniqueChange,
        holder: &ResourceKey,
    ) -> Result<Vec<TransactionItem>, Error> {
        let (channel, id) = (
            AttributeValue::S(holder.channel.to_string()),
            AttributeValue::S(holder.id.clone()),
        );

        let claims = change.claims.iter().map(|key| {
            let (pk, sk) = (key.partition(), key.value.clone());
            let row = HolderRow {
                pk,
                sk,
                holder_channel: holder.channel.to_string(),
                holder_id: holder.id.clone(),
            };
            let put = Put::builder()
                .table_name(&self.0.name)
                .set_item(Some(to_row(&row)?))
                .condition_expression(HELD_BY_NO_OTHER)
                .expression_attribute_values(":channel", channel.clone())
                .expression_attribute_values(":id", id.clone())
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                );
            TransactionItem::put(put)
        });

        let frees = change.frees.iter().map(|key| {
            let delete = Delete::builder()
                .table_name(&self.0.name)
                .set_key(Some(row_key(key.partition(), &key.value)))
                .condition_expression(HELD_BY_NO_OTHER)
                .expression_attribute_values(":channel", channel.clone())
                .expression_attribute_values(":id", id.clone())
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                );
            TransactionItem::delete(delete)
        });

        claims.chain(frees).collect()
    }

    /// Returns the current holders of the values whose conditions failed. `reasons` are the
    /// cancellation reasons of a transaction that begins with the [`Self::transaction_items`] of
    /// `change`.
    ///
    /// # Errors
    /// Returns `Error::Corrupt` if a row cannot be decoded.
    pub fn reported_holders(
        change: &UniqueChange,
        reasons: Vec<Reason>,
    ) -> Result<HashMap<UniqueKey, ResourceKey>, Error> {
        let reported = |(key, reason): (&UniqueKey, Reason)| match reason {
            Reason::ConditionFailed(Some(row)) => {
                Some(holder(&key.resource_type, row).map(|holder| (key.clone(), holder)))
            }
            _ => None,
        };
        change.touched().zip(reasons).filter_map(reported).collect()
    }

    /// Returns the holders of these values. Values without a holder are omitted.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a row
    /// cannot be decoded.
    pub async fn holders(
        &self,
        keys: &[UniqueKey],
    ) -> Result<HashMap<UniqueKey, ResourceKey>, Error> {
        let rows = self
            .0
            .batch_get(
                keys.iter()
                    .map(|key| row_key(key.partition(), &key.value))
                    .collect(),
            )
            .await?;

        let mut holders = HashMap::new();
        for row in rows {
            let has_key = |key: &&UniqueKey| {
                text(&row, "pk") == Some(&key.partition()) && text(&row, "sk") == Some(&key.value)
            };
            let key = keys.iter().find(has_key);
            if let Some(key) = key {
                holders.insert(key.clone(), holder(&key.resource_type, row)?);
            }
        }

        Ok(holders)
    }
}

/// Decodes the holder of a value of this type from its row.
///
/// # Errors
/// Returns `Error::Corrupt` if the row cannot be decoded.
pub fn holder(resource_type: &str, row: Row) -> Result<ResourceKey, Error> {
    let row: HolderRow = from_row("holder of a unique value", row)?;
    let channel = Channel::parse(&row.holder_channel)
        .ok_or_else(|| Error::unreadable("channel", &row.holder_channel))?;
    Ok(ResourceKey {
        channel,
        resource_type: resource_type.to_owned(),
        id: row.holder_id,
    })
}
