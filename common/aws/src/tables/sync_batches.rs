//! `sync_batches`: tenant#user#device / batch. The results of each batch without their payloads, packed: what a batch that is sent
//! again is answered with (§3.6).

use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use tidemark_core::{
    ids::BatchId,
    key,
    pack::{pack, unpack},
    protocol::push::ItemResult,
};

use super::{Table, expiry, from_row};
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
pub struct AnsweredBatch {
    /// When it was decided first.
    pub processed_at: DateTime<Utc>,
    /// The answers, without payloads.
    pub results: Vec<ItemResult>,
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

impl SyncBatches {
    /// The batch with these items as it was answered; `None` when it was not. The raw items and the results expire each in their own
    /// time, so results of other items under the same id count as none.
    ///
    /// # Errors
    /// An outage.
    pub async fn load(&self, tenant: &str, batch_id: &BatchId, digest: &[u8]) -> Result<Option<AnsweredBatch>, Failure> {
        let answer = self
            .table
            .client
            .get_item()
            .table_name(&self.table.name)
            .set_key(Some(super::key(partition(tenant, batch_id), &batch_id.unique)))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| Failure::outage("get_item on sync_batches", error))?;
        let Some(row) = answer.item else { return Ok(None) };
        let row: BatchRow = from_row("batch", row)?;
        if row.digest != digest {
            return Ok(None);
        }
        let unreadable = |error: &dyn std::fmt::Display| Failure::unreadable("batch results", error.to_string());
        let results = unpack(&row.results, RESULTS_BYTES_MAX).map_err(|error| unreadable(&error))?;
        Ok(Some(AnsweredBatch {
            results: serde_json::from_slice(&results).map_err(|error| unreadable(&error))?,
            processed_at: DateTime::from_timestamp_millis(row.processed_at).ok_or_else(|| unreadable(&"processed_at"))?,
        }))
    }

    /// Stores how a batch was answered.
    ///
    /// # Errors
    /// An outage. What was applied stays applied, and a retry finds it remembered.
    pub async fn store(&self, tenant: &str, batch_id: &BatchId, digest: &[u8], batch: &AnsweredBatch) -> Result<(), Failure> {
        let results: Vec<ItemResult> = batch
            .results
            .iter()
            .map(|result| ItemResult {
                server_payload: None,
                server_payload_omitted: result.server_payload.is_some(),
                ..result.clone()
            })
            .collect();
        let results = serde_json::to_vec(&results).map_err(|error| Failure::unreadable("batch results", error))?;
        let row = BatchRow {
            pk: partition(tenant, batch_id),
            sk: batch_id.unique.clone(),
            digest: digest.to_vec(),
            results: pack(&results),
            processed_at: batch.processed_at.timestamp_millis(),
            expires_at: expiry(batch.processed_at, self.retention),
        };
        let put = self.table.put(&row)?.send().await;
        put.map(|_| ()).map_err(|error| Failure::outage("put_item on sync_batches", error))
    }
}

fn partition(tenant: &str, batch_id: &BatchId) -> String {
    key::join([tenant, &batch_id.user, &batch_id.device_id])
}
