//! `unique_keys`: tenant#type#field / hash of the value. Who holds a unique value. A row is written
//! and deleted only together with the resource that holds the value, in one transaction, and only
//! by that resource: so a value has one holder, and a resource every value that stands in it.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use serde::{Deserialize, Serialize};
use tidemark_core::{
    channel::Channel,
    resource::ResourceKey,
    unique::{UniqueChange, UniqueKey},
};

use super::{
    Row, Table, from_row, key as row_key, text, to_row,
    transaction::{incomplete, transact_put},
};
use crate::failure::Failure;

/// Nobody else holds the value.
const MINE_OR_NOBODYS: &str =
    "attribute_not_exists(pk) OR (holder_channel = :channel AND holder_id = :id)";

/// The table of unique values.
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
    /// The parts of a transaction that let the resource `holder` claim and free values: the claims
    /// first, in their order.
    ///
    /// # Errors
    /// A row does not serialise, which none does.
    pub fn transact(
        &self,
        change: &UniqueChange,
        holder: &ResourceKey,
    ) -> Result<Vec<TransactWriteItem>, Failure> {
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
                .condition_expression(MINE_OR_NOBODYS)
                .expression_attribute_values(":channel", channel.clone())
                .expression_attribute_values(":id", id.clone())
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                );
            transact_put(put)
        });
        let frees = change.frees.iter().map(|key| {
            let delete = Delete::builder()
                .table_name(&self.0.name)
                .set_key(Some(row_key(key.partition(), &key.value)))
                .condition_expression(MINE_OR_NOBODYS)
                .expression_attribute_values(":channel", channel.clone())
                .expression_attribute_values(":id", id.clone())
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                )
                .build();
            Ok(TransactWriteItem::builder()
                .delete(delete.map_err(incomplete)?)
                .build())
        });
        claims.chain(frees).collect()
    }

    /// Who holds these values; those nobody holds are left out.
    ///
    /// # Errors
    /// An outage.
    pub async fn holders(
        &self,
        keys: &[UniqueKey],
    ) -> Result<HashMap<UniqueKey, ResourceKey>, Failure> {
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
            let stands_at = |key: &&UniqueKey| {
                text(&row, "pk") == Some(&key.partition()) && text(&row, "sk") == Some(&key.value)
            };
            let key = keys.iter().find(stands_at);
            if let Some(key) = key {
                holders.insert(key.clone(), holder(&key.resource_type, row)?);
            }
        }
        Ok(holders)
    }
}

/// The holder that stands in a row, of a value of this type.
///
/// # Errors
/// The row does not read.
pub fn holder(resource_type: &str, row: Row) -> Result<ResourceKey, Failure> {
    let row: HolderRow = from_row("holder of a unique value", row)?;
    let channel = Channel::parse(&row.holder_channel)
        .ok_or_else(|| Failure::unreadable("channel", &row.holder_channel))?;
    Ok(ResourceKey {
        channel,
        resource_type: resource_type.to_owned(),
        id: row.holder_id,
    })
}
