//! The indexes of batches: sparse, in shards of a tenant by device, ordered by the place of a batch
//! in lists. Both tables of batches have one.

use std::ops::RangeInclusive;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use tidemark_core::{
    model::{
        batch::BatchFilter, conflict::ListOrder, ids::BatchId, json, key, limits::BATCH_SHARDS,
    },
    rules::batch_list::{self, ShardPage},
};

use crate::{
    error::Error,
    tables::{Row, Table},
};

/// An index of batches.
pub(in crate::tables) struct BatchIndex {
    pub(in crate::tables) name: &'static str,
    /// The attribute with the shard, the partition key of the index.
    pub(in crate::tables) shard: &'static str,
    /// The attribute with the place in lists, the sort key of the index.
    pub(in crate::tables) place: &'static str,
}

/// A query of an index.
pub(in crate::tables) struct BatchIndexQuery<'a> {
    pub(in crate::tables) tenant: &'a str,
    pub(in crate::tables) filter: &'a BatchFilter,
    /// The places to read; not empty.
    pub(in crate::tables) places: RangeInclusive<i64>,
    /// The condition about the users and devices of the batches, and the value of `:owner` in it.
    pub(in crate::tables) owner: Option<(&'static str, String)>,
    /// A further condition on the entries.
    pub(in crate::tables) condition: Option<&'static str>,
    /// The maximum number of entries of all shards that are examined.
    pub(in crate::tables) examined_max: usize,
}

/// Returns the shard and the place in the index of a batch that was processed or received at `at`.
pub(in crate::tables) fn keys(tenant: &str, id: &BatchId, at: DateTime<Utc>) -> (String, i64) {
    let BatchId {
        user,
        device_id,
        unique,
    } = id;
    // A device may send equal items in several batches of the same millisecond.
    let digest = json::digest([key::join([tenant, user, device_id, unique])]);
    (
        shard_of(tenant, user, device_id),
        batch_list::place(at, &digest),
    )
}

/// Returns the shard of the index to which the batches of a device belong.
fn shard_of(tenant: &str, user: &str, device_id: &str) -> String {
    let device = json::digest([key::join([tenant, user, device_id])]);
    shard_key(tenant, batch_list::shard(&device))
}

fn shard_key(tenant: &str, shard: u8) -> String {
    key::join([tenant, &shard.to_string()])
}

impl BatchIndex {
    /// Reads the entries of the places in all shards that can contain batches of the filter, in one
    /// round trip. `decode` returns the entry of a row, or `None` if the row cannot be decoded,
    /// which is counted.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable.
    pub(in crate::tables) async fn read<T>(
        &self,
        table: &Table,
        query: &BatchIndexQuery<'_>,
        decode: impl Fn(&Row) -> Option<T>,
    ) -> Result<Vec<ShardPage<T>>, Error> {
        let shards = shards(query);
        let share = (query.examined_max / shards.len()).max(1);
        let rows = shards
            .iter()
            .map(|shard| self.read_shard(table, query, shard, share));

        let pages = try_join_all(rows).await?.into_iter().map(|(rows, last)| {
            let entry = |row: &Row| Some((place(row, self.place)?, decode(row)?));
            let entries = rows.iter().filter_map(|row| {
                let entry = entry(row);
                if entry.is_none() {
                    table.count_corrupt();
                }
                entry
            });
            ShardPage {
                entries: entries.collect(),
                end: last.and_then(|last| place(&last, self.place)),
            }
        });
        Ok(pages.collect())
    }

    /// Returns rows of one shard, and the key of the last row that was examined if there may be
    /// more.
    async fn read_shard(
        &self,
        table: &Table,
        query: &BatchIndexQuery<'_>,
        shard: &str,
        examined_max: usize,
    ) -> Result<(Vec<Row>, Option<Row>), Error> {
        let number = |place: &i64| AttributeValue::N(place.to_string());
        let mut request = table
            .query_index(self.name, self.shard, shard)
            .key_condition_expression("#partition = :partition AND #place BETWEEN :first AND :last")
            .expression_attribute_names("#place", self.place)
            .expression_attribute_values(":first", number(query.places.start()))
            .expression_attribute_values(":last", number(query.places.end()))
            .scan_index_forward(query.filter.order == ListOrder::Oldest)
            .limit(i32::try_from(examined_max).unwrap_or(i32::MAX));

        let owner = query.owner.as_ref().map(|(condition, _)| *condition);
        let conditions: Vec<&str> = owner.into_iter().chain(query.condition).collect();
        if !conditions.is_empty() {
            request = request.filter_expression(conditions.join(" AND "));
        }
        if let Some((_, value)) = &query.owner {
            request =
                request.expression_attribute_values(":owner", AttributeValue::S(value.to_owned()));
        }
        if query.condition.is_some() {
            request = request.expression_attribute_values(":zero", number(&0));
        }

        let response = request.send().await;
        let response =
            response.map_err(|error| Error::failed_call("query on an index of batches", error))?;
        Ok((
            response.items.unwrap_or_default(),
            response.last_evaluated_key,
        ))
    }
}

/// Returns the keys of the shards that can contain batches of the filter.
fn shards(query: &BatchIndexQuery<'_>) -> Vec<String> {
    match (&query.filter.user, &query.filter.device_id) {
        (Some(user), Some(device_id)) => vec![shard_of(query.tenant, user, device_id)],
        _ => (0..BATCH_SHARDS)
            .map(|shard| shard_key(query.tenant, shard))
            .collect(),
    }
}

/// Returns the place in an index entry or in a key of the index.
fn place(row: &Row, attribute: &str) -> Option<i64> {
    row.get(attribute)?.as_n().ok()?.parse().ok()
}
