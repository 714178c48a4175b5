//! `sync_batches`: tenant#user#device / batch. The results of each batch without their payloads,
//! packed: what a batch that is sent again is answered with (§3.6). Beside them, tenant#user#device
//! / create#type#temp id: the creates of the device that failed, which later batches may refer to
//! (§3.10).

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use aws_sdk_dynamodb::{
    primitives::Blob,
    types::{AttributeValue, Put, ReturnConsumedCapacity, TransactWriteItem},
};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use tidemark_core::{
    batch,
    ids::BatchId,
    key,
    pack::{pack, unpack},
    protocol::push::ItemResult,
    push::{intake::Sender, references::TempId},
};

use super::{
    Table, expiry, from_row, is_condition_failure, moment, to_row, transaction::transact_put,
};
use crate::failure::Failure;

/// Bytes of unpacked results at most: 50 items with their names and sentences.
const RESULTS_BYTES_MAX: usize = 1024 * 1024;

/// The table of batches.
#[derive(Debug, Clone)]
pub struct SyncBatches {
    pub(super) table: Table,
    pub(super) retention: Duration,
}

/// A batch that was answered.
#[derive(Debug, Clone)]
pub struct CompletedBatch<'a> {
    /// When it was decided first.
    pub processed_at: DateTime<Utc>,
    /// The answers. They are stored without payloads.
    pub results: Cow<'a, [ItemResult]>,
}

/// A batch as it was read, to be answered anew on the condition that it still is so.
#[derive(Debug, Clone)]
pub struct ReadBatch {
    /// How it was answered.
    pub answered: Option<CompletedBatch<'static>>,
    /// The results that stood there, whatever items they are of.
    stood: Option<Vec<u8>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct BatchRow {
    pk: String,
    sk: String,
    /// Digest of the items these are the results of.
    #[serde(with = "serde_bytes")]
    digest: Vec<u8>,
    #[serde(with = "serde_bytes")]
    results: Vec<u8>,
    processed_at: i64,
    expires_at: i64,
}

/// That a create failed with an error.
#[derive(Debug, Serialize, Deserialize)]
struct FailedRow {
    pk: String,
    sk: String,
    is_retryable: bool,
    expires_at: i64,
}

impl SyncBatches {
    /// Notes that the creates of these temp ids failed with an error, and whether it is retryable.
    /// One write for each.
    ///
    /// # Errors
    /// An outage. The batch is not answered then, and its repetition notes them.
    pub async fn note_failed_creates(
        &self,
        sender: Sender<'_>,
        failed: &BTreeMap<TempId, bool>,
        now: DateTime<Utc>,
    ) -> Result<(), Failure> {
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
                    .map_err(|error| Failure::outage("put_item on sync_batches", error))
            }
        });
        futures_util::future::try_join_all(puts).await?;
        Ok(())
    }

    /// Which of these temp ids belong to creates that failed with an error when they were sent
    /// last, and whether it was retryable.
    ///
    /// # Errors
    /// An outage.
    pub async fn failed_creates(
        &self,
        sender: Sender<'_>,
        temp_ids: &BTreeSet<&TempId>,
    ) -> Result<HashMap<TempId, bool>, Failure> {
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

    /// The batch with these items as it was answered; `None` when it was not. The raw items and the
    /// results expire each in their own time, so results of other items under the same id count as
    /// none.
    ///
    /// # Errors
    /// An outage.
    pub async fn load(
        &self,
        tenant: &str,
        batch_id: &BatchId,
        digest: &[u8],
    ) -> Result<Option<CompletedBatch<'static>>, Failure> {
        Ok(self.read(tenant, batch_id, digest).await?.answered)
    }

    /// The same, with what tells whether it changed since.
    ///
    /// # Errors
    /// An outage.
    pub async fn read(
        &self,
        tenant: &str,
        batch_id: &BatchId,
        digest: &[u8],
    ) -> Result<ReadBatch, Failure> {
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
            .map_err(|error| Failure::outage("get_item on sync_batches", error))?;
        let Some(row) = response.item else {
            return Ok(ReadBatch {
                answered: None,
                stood: None,
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
            stood: Some(row.results),
        })
    }

    /// Stores how a batch was answered, unless a replay has answered it since.
    ///
    /// The condition: nothing takes the place of what was decided later.
    ///
    /// # Errors
    /// An outage. What was applied stays applied, and a retry finds it remembered.
    pub async fn store(
        &self,
        tenant: &str,
        batch_id: &BatchId,
        digest: &[u8],
        batch: &CompletedBatch<'_>,
    ) -> Result<(), Failure> {
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
                Err(Failure::outage("put_item on sync_batches", error))
            }
            _ => Ok(()),
        }
    }

    /// The part of a transaction that stores how a batch was answered by a replay.
    ///
    /// The condition: its results are those that were `read`, so that of two replays at once one
    /// wins.
    ///
    /// # Errors
    /// The results do not serialise, which all do.
    pub fn transact(
        &self,
        tenant: &str,
        batch_id: &BatchId,
        digest: &[u8],
        batch: &CompletedBatch<'_>,
        read: &ReadBatch,
    ) -> Result<TransactWriteItem, Failure> {
        let row = to_row(&self.row(tenant, batch_id, digest, batch)?)?;
        let put = Put::builder()
            .table_name(&self.table.name)
            .set_item(Some(row));
        transact_put(match &read.stood {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(stood) => put
                .condition_expression("#results = :stood")
                .expression_attribute_names("#results", "results")
                .expression_attribute_values(
                    ":stood",
                    AttributeValue::B(Blob::new(stood.as_slice())),
                ),
        })
    }

    fn row(
        &self,
        tenant: &str,
        batch_id: &BatchId,
        digest: &[u8],
        batch: &CompletedBatch<'_>,
    ) -> Result<BatchRow, Failure> {
        let results = serde_json::to_vec(&batch::without_payloads(&batch.results));
        Ok(BatchRow {
            pk: partition(tenant, &batch_id.user, &batch_id.device_id),
            sk: batch_id.unique.clone(),
            digest: digest.to_vec(),
            results: pack(&results.map_err(|error| Failure::undecoded("batch results", error))?),
            processed_at: batch.processed_at.timestamp_millis(),
            expires_at: expiry(batch.processed_at, self.retention),
        })
    }
}

fn read_completed(row: &BatchRow) -> Result<CompletedBatch<'static>, Failure> {
    let undecoded = |error: &dyn std::fmt::Display| Failure::undecoded("batch results", error);
    let results = unpack(&row.results, RESULTS_BYTES_MAX).map_err(|error| undecoded(&error))?;
    Ok(CompletedBatch {
        results: Cow::Owned(serde_json::from_slice(&results).map_err(|error| undecoded(&error))?),
        processed_at: moment(row.processed_at)?,
    })
}

fn partition(tenant: &str, user: &str, device_id: &str) -> String {
    key::join([tenant, user, device_id])
}

/// The sort key of a create that failed. No batch has one like it.
fn failed_key(temp_id: &TempId) -> String {
    key::join(["create", &temp_id.resource_type, &temp_id.name])
}
