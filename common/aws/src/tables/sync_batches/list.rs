//! Lists the batches with a result that is not `ok`, by the index `by_outcome`, and finds the
//! batches without results.

use std::{collections::HashSet, ops::RangeInclusive};

use futures_util::future::try_join_all;
use tidemark_core::{
    model::{
        batch::{BatchFilter, Failures, ListedBatch, ListedOutcome},
        ids::BatchId,
        key,
        limits::{BATCH_SHARDS, FAILED_BATCHES_EXAMINED_MAX},
    },
    rules::batch_list::ShardPage,
};

use super::{
    SyncBatches,
    index::{BatchIndex, BatchIndexQuery},
    partition,
};
use crate::{
    error::Error,
    tables::{BATCH_GET_KEYS_MAX, Row, key as row_key, moment, text},
};

/// The index of the batches with a result that is not `ok`.
const BY_OUTCOME: BatchIndex = BatchIndex {
    name: "by_outcome",
    shard: "fk",
    place: "f_at",
};

impl SyncBatches {
    /// Reads the batches of the filter's outcome, `error` or `conflict`, in these places. The index
    /// is eventually consistent. Results that have expired and are not yet deleted are included.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable.
    pub async fn list(
        &self,
        tenant: &str,
        filter: &BatchFilter,
        places: RangeInclusive<i64>,
    ) -> Result<Vec<ShardPage<ListedBatch>>, Error> {
        let owner = filter.user.as_ref().map(|user| match &filter.device_id {
            Some(device_id) => ("pk = :owner", partition(tenant, user, device_id)),
            None => (
                "begins_with(pk, :owner)",
                format!("{}#", key::join([tenant, user])),
            ),
        });
        let condition = match filter.outcome {
            ListedOutcome::Conflict => "fc > :zero",
            ListedOutcome::Error | ListedOutcome::Unanswered => "fe > :zero",
        };

        let query = BatchIndexQuery {
            tenant,
            filter,
            places,
            owner,
            condition: Some(condition),
            examined_max: FAILED_BATCHES_EXAMINED_MAX * usize::from(BATCH_SHARDS),
        };
        BY_OUTCOME.read(&self.table, &query, listed).await
    }

    /// Returns those of the batches that have results, with strongly consistent reads.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable.
    pub async fn with_results(
        &self,
        tenant: &str,
        batches: &[BatchId],
    ) -> Result<HashSet<BatchId>, Error> {
        let keys = batches.iter().map(|id| {
            row_key(
                partition(tenant, &id.user, &id.device_id),
                id.unique.clone(),
            )
        });
        let keys: Vec<Row> = keys.collect();
        let calls = keys.chunks(BATCH_GET_KEYS_MAX).map(|keys| {
            self.table
                .batch_get_call(keys.to_vec(), true, Some("pk, sk"))
        });

        let rows = try_join_all(calls).await?;
        Ok(rows.iter().flatten().filter_map(id_of).collect())
    }
}

/// Returns the batch of an index entry.
fn listed(row: &Row) -> Option<ListedBatch> {
    let number = |name: &str| -> Option<i64> { row.get(name)?.as_n().ok()?.parse().ok() };
    let count = |name| usize::try_from(number(name)?).ok();
    Some(ListedBatch {
        id: id_of(row)?,
        received_at: None,
        processed_at: Some(moment(number("processed_at")?).ok()?),
        failures: Failures {
            errors: count("fe")?,
            conflicts: count("fc")?,
        },
    })
}

/// Returns the id of the batch with this key.
fn id_of(row: &Row) -> Option<BatchId> {
    let [_, user, device_id] = key::split(text(row, "pk")?)?;
    Some(BatchId {
        user,
        device_id,
        unique: text(row, "sk")?.to_owned(),
    })
}
