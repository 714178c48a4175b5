//! `sync_items`: tenant#user#device#batch / chunk. The raw items of each batch and the claims they came with, packed, stored before
//! anything is applied (§3.11).

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use chrono::{DateTime, Duration, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use tidemark_core::{json::Json, key, limits::CHUNK_BYTES_MAX, pack::pack, principal::Principal};

use super::{Table, expiry, is_condition_failure, to_row};
use crate::failure::Failure;

/// The table of raw items.
#[derive(Debug, Clone)]
pub struct SyncItems {
    pub(super) table: Table,
    pub(super) retention: Duration,
}

/// What became of raw items that were to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// They are stored, now or before.
    Done,
    /// The batch id was used before, with other items.
    OtherItems,
}

/// What stands in `packed`, as JSON.
#[derive(Debug, Serialize)]
struct RawBatch<'a> {
    principal: &'a Principal,
    device_id: &'a str,
    items: &'a [Json],
}

#[derive(Debug, Serialize)]
struct ChunkRow<'a> {
    pk: &'a str,
    sk: String,
    chunks: usize,
    #[serde(with = "serde_bytes")]
    digest: &'a [u8],
    #[serde(with = "serde_bytes")]
    packed: &'a [u8],
    received_at: i64,
    expires_at: i64,
}

impl SyncItems {
    /// Stores the raw items of a batch. The condition: under one batch id stand the same items for ever, told by their `digest`.
    ///
    /// # Errors
    /// An outage.
    pub async fn keep(
        &self,
        principal: &Principal,
        device_id: &str,
        batch_id: &str,
        items: &[Json],
        digest: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Kept, Failure> {
        let pk = key::join([&principal.tenant, &principal.user, device_id, batch_id]);
        let raw = RawBatch { principal, device_id, items };
        let packed = pack(&serde_json::to_vec(&raw).map_err(|error| Failure::unreadable("raw items", error))?);
        let chunks: Vec<&[u8]> = packed.chunks(CHUNK_BYTES_MAX).collect();
        let puts = chunks.iter().enumerate().map(|(index, chunk)| {
            let row = ChunkRow {
                pk: &pk,
                sk: format!("{index:04}"),
                chunks: chunks.len(),
                digest,
                packed: chunk,
                received_at: now.timestamp_millis(),
                expires_at: expiry(now, self.retention),
            };
            self.put(row)
        });
        let kept = futures_util::future::try_join_all(puts).await?;
        Ok(if kept.contains(&Kept::OtherItems) { Kept::OtherItems } else { Kept::Done })
    }

    async fn put(&self, row: ChunkRow<'_>) -> Result<Kept, Failure> {
        let answer = self
            .table
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(to_row(&row)?))
            .condition_expression("attribute_not_exists(pk) OR digest = :digest")
            .expression_attribute_values(":digest", AttributeValue::B(row.digest.into()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Kept::Done),
            Err(error) if is_condition_failure(&error) => Ok(Kept::OtherItems),
            Err(error) => Err(Failure::outage("put_item on sync_items", error)),
        }
    }
}

/// Digest of a batch's items: white space and the order of fields do not count. Items that are no canonical JSON count as they are.
pub fn digest(items: &[Json]) -> [u8; 32] {
    let canonical = |item: &RawValue| tidemark_core::json::canonical(item).unwrap_or_else(|_| item.get().to_owned());
    let items: Vec<String> = items.iter().map(|item| canonical(item)).collect();
    let parts: Vec<&[u8]> = items.iter().map(|item| item.as_bytes()).collect();
    tidemark_core::json::digest(&parts)
}
