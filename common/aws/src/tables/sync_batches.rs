//! `sync_batches`: tenant#user#device / batch. The results of each batch without payloads, packed:
//! the response to a repeated batch (§3.6), one of the three levels of deduplication that
//! `tidemark_app::push` lists. The same partition contains create#type#temp id: the failed creates
//! of the device, to which later batches may refer (§3.10).

pub(super) mod index;
mod list;
mod results;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use aws_sdk_dynamodb::{
    primitives::Blob,
    types::{AttributeValue, Put, ReturnConsumedCapacity},
};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use tidemark_core::{
    model::{batch::Failures, ids::BatchId, key, result::ItemResult},
    rules::{
        batch::without_payload,
        batch_list,
        push::edit::{Sender, TempId},
    },
};

use results::StoredResult;

use super::{
    Table, TransactionItem, expiry, format::pack, from_packed, from_row, is_condition_failure,
    moment, to_row,
};
use crate::error::Error;

/// Maximum size of unpacked results in bytes: 50 items with their names and messages.
const RESULTS_BYTES_MAX: usize = 1024 * 1024;

/// Client for the table `sync_batches`.
#[derive(Debug, Clone)]
pub struct SyncBatches {
    pub(super) table: Table,
    pub(super) retention: Duration,
}

/// A batch whose results have been determined.
#[derive(Debug, Clone)]
pub struct CompletedBatch<'a> {
    /// The time at which the batch was processed first.
    pub processed_at: DateTime<Utc>,
    /// The results of the items, which are stored without payloads.
    pub results: Cow<'a, [ItemResult]>,
}

/// A batch as it was read. A replay writes new results on the condition that the stored results are
/// unchanged.
#[derive(Debug, Clone)]
pub struct ReadBatch {
    /// The stored results, if they belong to the same items.
    pub answered: Option<CompletedBatch<'static>>,
    /// The stored results in packed form, regardless of the items that they belong to.
    stored_results: Option<Vec<u8>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct BatchRow {
    pk: String,
    sk: String,
    /// Digest of the items that the results belong to.
    #[serde(with = "serde_bytes")]
    digest: Vec<u8>,
    #[serde(with = "serde_bytes")]
    results: Vec<u8>,
    processed_at: i64,
    expires_at: i64,
    /// Shard in the index `by_outcome`. The four attributes are absent if every result is `ok`, and
    /// in rows of earlier builds; their names are short, because rows are charged by the kilobyte.
    #[serde(rename = "fk", default, skip_serializing_if = "Option::is_none")]
    failed_shard: Option<String>,
    /// Place in the index.
    #[serde(rename = "f_at", default, skip_serializing_if = "Option::is_none")]
    failed_place: Option<i64>,
    /// Number of results with an error.
    #[serde(rename = "fe", default, skip_serializing_if = "Option::is_none")]
    errors: Option<usize>,
    /// Number of results with a conflict.
    #[serde(rename = "fc", default, skip_serializing_if = "Option::is_none")]
    conflicts: Option<usize>,
}

/// The record of a create that failed with an error.
#[derive(Debug, Serialize, Deserialize)]
struct FailedRow {
    pk: String,
    sk: String,
    is_retryable: bool,
    expires_at: i64,
}

impl SyncBatches {
    /// Records that the creates of these temp ids failed with an error, and whether the error is
    /// retryable. Writes one row per create.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable. The batch must then fail too, so
    /// that its retry records the failures.
    pub async fn note_failed_creates(
        &self,
        sender: Sender<'_>,
        failed: &BTreeMap<TempId, bool>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let pk = partition(
            &sender.principal.tenant,
            &sender.principal.user,
            sender.device_id,
        );

        let puts = failed.iter().map(|(temp_id, is_retryable)| {
            let row = FailedRow {
                pk: pk.clone(),
                sk: failed_key(temp_id),
                is_retryable: *is_retryable,
                expires_at: expiry(now, self.retention),
            };
            let put = self.table.put(&row);
            async move {
                put?.send()
                    .await
                    .map_err(|error| Error::failed_call("put_item on sync_batches", error))
            }
        });

        futures_util::future::try_join_all(puts).await?;
        Ok(())
    }

    /// Returns which of these temp ids belong to creates whose latest attempt failed with an error,
    /// and whether the error was retryable.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a row
    /// cannot be decoded.
    pub async fn failed_creates(
        &self,
        sender: Sender<'_>,
        temp_ids: &BTreeSet<&TempId>,
    ) -> Result<HashMap<TempId, bool>, Error> {
        let pk = partition(
            &sender.principal.tenant,
            &sender.principal.user,
            sender.device_id,
        );

        let mut wanted: HashMap<String, &TempId> = temp_ids
            .iter()
            .map(|temp_id| (failed_key(temp_id), *temp_id))
            .collect();
        let keys = wanted.keys().map(|sk| super::key(pk.clone(), sk)).collect();

        let mut failed = HashMap::new();
        for row in self.table.batch_get(keys).await? {
            let row: FailedRow = from_row("failed create", row)?;
            if let Some(temp_id) = wanted.remove(&row.sk) {
                failed.insert(temp_id.clone(), row.is_retryable);
            }
        }
        Ok(failed)
    }

    /// Returns the stored results of the batch with these items; `None` if there are none. The raw
    /// items and the results expire independently, so results of other items under the same batch
    /// id are ignored.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if the row
    /// cannot be decoded.
    pub async fn load(
        &self,
        tenant: &str,
        batch_id: &BatchId,
        digest: &[u8],
    ) -> Result<Option<CompletedBatch<'static>>, Error> {
        Ok(self.read(tenant, batch_id, digest).await?.answered)
    }

    /// Reads the batch, including the state that a conditional write of new results compares.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if the row
    /// cannot be decoded.
    pub async fn read(
        &self,
        tenant: &str,
        batch_id: &BatchId,
        digest: &[u8],
    ) -> Result<ReadBatch, Error> {
        let response = self
            .table
            .client
            .get_item()
            .table_name(&self.table.name)
            .set_key(Some(super::key(
                partition(tenant, &batch_id.user, &batch_id.device_id),
                &batch_id.unique,
            )))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| Error::failed_call("get_item on sync_batches", error))?;

        let Some(row) = response.item else {
            return Ok(ReadBatch {
                answered: None,
                stored_results: None,
            });
        };

        let row: BatchRow = from_row("batch", row)?;
        let answered = if row.digest == digest {
            Some(read_completed(&row)?)
        } else {
            None
        };

        Ok(ReadBatch {
            answered,
            stored_results: Some(row.results),
        })
    }

    /// Stores the results of a batch, unless a replay has stored newer results.
    ///
    /// The condition is that no stored results with a later processing time are overwritten.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable. The applied changes remain, and a
    /// retry finds them in the deduplication window.
    pub async fn store(
        &self,
        tenant: &str,
        batch_id: &BatchId,
        digest: &[u8],
        batch: &CompletedBatch<'_>,
    ) -> Result<(), Error> {
        let row = self.row(tenant, batch_id, digest, batch)?;

        let put = self
            .table
            .put(&row)?
            .condition_expression("attribute_not_exists(pk) OR processed_at <= :processed_at");
        let put = put.expression_attribute_values(
            ":processed_at",
            AttributeValue::N(row.processed_at.to_string()),
        );

        match put.send().await {
            Err(error) if !is_condition_failure(&error) => {
                Err(Error::failed_call("put_item on sync_batches", error))
            }
            _ => Ok(()),
        }
    }

    /// Returns the transaction item that stores the results of a replayed batch.
    ///
    /// The condition is that the stored results are those in `read`, so that only one of two
    /// concurrent replays succeeds.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if the results cannot be serialized, which does not happen.
    pub fn transaction_items(
        &self,
        tenant: &str,
        batch_id: &BatchId,
        digest: &[u8],
        batch: &CompletedBatch<'_>,
        read: &ReadBatch,
    ) -> Result<TransactionItem, Error> {
        let row = to_row(&self.row(tenant, batch_id, digest, batch)?)?;
        let put = Put::builder()
            .table_name(&self.table.name)
            .set_item(Some(row));

        TransactionItem::put(match &read.stored_results {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(stored_results) => put
                .condition_expression("#results = :stored_results")
                .expression_attribute_names("#results", "results")
                .expression_attribute_values(
                    ":stored_results",
                    AttributeValue::B(Blob::new(stored_results.as_slice())),
                ),
        })
    }

    fn row(
        &self,
        tenant: &str,
        batch_id: &BatchId,
        digest: &[u8],
        batch: &CompletedBatch<'_>,
    ) -> Result<BatchRow, Error> {
        let results = batch.results.iter().map(without_payload);
        let results: Vec<_> = results.map(StoredResult::from).collect();
        let results = serde_json::to_vec(&results);

        let failures = batch_list::failures(&batch.results);
        let is_listed = failures != Failures::default();
        let index_keys = is_listed.then(|| index::keys(tenant, batch_id, batch.processed_at));
        let (failed_shard, failed_place) = index_keys.unzip();

        Ok(BatchRow {
            failed_shard,
            failed_place,
            errors: is_listed.then_some(failures.errors),
            conflicts: is_listed.then_some(failures.conflicts),
            pk: partition(tenant, &batch_id.user, &batch_id.device_id),
            sk: batch_id.unique.clone(),
            digest: digest.to_vec(),
            results: pack(&results.map_err(|error| Error::unencoded("batch results", error))?),
            processed_at: batch.processed_at.timestamp_millis(),
            expires_at: expiry(batch.processed_at, self.retention),
        })
    }
}

fn read_completed(row: &BatchRow) -> Result<CompletedBatch<'static>, Error> {
    let results: Vec<StoredResult> = from_packed("batch results", &row.results, RESULTS_BYTES_MAX)?;
    Ok(CompletedBatch {
        results: results.into_iter().map(Into::into).collect(),
        processed_at: moment(row.processed_at)?,
    })
}

fn partition(tenant: &str, user: &str, device_id: &str) -> String {
    key::join([tenant, user, device_id])
}

/// Returns the sort key of a failed create, which differs from the sort key of every batch.
fn failed_key(temp_id: &TempId) -> String {
    key::join(["create", &temp_id.resource_type, &temp_id.name])
}
