//! `sync_items`: tenant#user#device#batch / chunk. The raw items of each batch and the claims they
//! came with, packed, stored before anything is applied (§3.11).

use aws_sdk_dynamodb::{
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidemark_core::{
    ids::BatchId,
    json::{self, Json},
    key,
    limits::{BODY_BYTES_MAX, CHUNK_BYTES_MAX},
    pack::{pack, unpack},
    principal::Principal,
};

use super::{Row, Table, expiry, from_row, in_the_way, moment, query_all};
use crate::failure::Failure;

/// The table of raw items.
#[derive(Debug, Clone)]
pub struct SyncItems {
    pub(super) table: Table,
    pub(super) retention: Duration,
}

/// Raw items as they are kept.
#[derive(Debug, Clone)]
pub struct KeptBatch {
    /// Who sent them, with the claims of then.
    pub principal: Principal,
    /// As they came.
    pub items: Vec<Json>,
    /// Their digest.
    pub digest: Vec<u8>,
    /// When they were stored first.
    pub received_at: DateTime<Utc>,
}

/// What became of raw items that were to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOutcome {
    /// They are stored, now or before.
    Done,
    /// The batch id was used before, with other items.
    DigestMismatch,
}

/// What stands in `packed`, as JSON.
#[derive(Debug, Serialize)]
struct RawBatch<'a> {
    principal: &'a Principal,
    device_id: &'a str,
    items: &'a [Json],
}

/// [`RawBatch`], read.
#[derive(Debug, Deserialize)]
struct StoredBatch {
    principal: Principal,
    items: Vec<Json>,
}

/// The first chunk, which makes the batch known.
#[derive(Debug, Serialize)]
struct FirstRow<'a> {
    pk: &'a str,
    sk: &'a str,
    /// Digest of the items: what a batch sent again is compared with.
    #[serde(with = "serde_bytes")]
    digest: &'a [u8],
    /// What the sort keys of the other chunks begin with.
    pack: &'a str,
    chunks: usize,
    #[serde(with = "serde_bytes")]
    packed: &'a [u8],
    received_at: i64,
    expires_at: i64,
}

/// [`FirstRow`], read.
#[derive(Debug, Deserialize)]
struct StoredFirst {
    #[serde(with = "serde_bytes")]
    digest: Vec<u8>,
    pack: String,
    chunks: usize,
    #[serde(with = "serde_bytes")]
    packed: Vec<u8>,
    received_at: i64,
    expires_at: i64,
}

/// One more chunk. It names its pack, so that chunks of two tries of one batch never mix.
#[derive(Debug, Serialize)]
struct ChunkRow<'a> {
    pk: &'a str,
    sk: String,
    #[serde(with = "serde_bytes")]
    packed: &'a [u8],
    expires_at: i64,
}

/// [`ChunkRow`], read.
#[derive(Debug, Deserialize)]
struct StoredChunk {
    #[serde(with = "serde_bytes")]
    packed: Vec<u8>,
}

/// Sort key of the first chunk.
const FIRST: &str = "0000";
/// Bytes of unpacked raw items at most: a body, and the claims it came with.
const RAW_BYTES_MAX: usize = BODY_BYTES_MAX + 1024 * 1024;

impl SyncItems {
    /// Stores the raw items of a batch, unless they are stored. What was stored first stays, with
    /// the claims it came with.
    ///
    /// The condition: under one batch id stand the same items for ever, told by their `digest`.
    ///
    /// # Errors
    /// An outage.
    pub async fn keep(
        &self,
        principal: &Principal,
        batch_id: &BatchId,
        items: &[Json],
        digest: &[u8],
        now: DateTime<Utc>,
    ) -> Result<StoreOutcome, Failure> {
        let raw = RawBatch {
            principal,
            device_id: &batch_id.device_id,
            items,
        };
        let packed = pack(
            &serde_json::to_vec(&raw).map_err(|error| Failure::undecoded("raw items", error))?,
        );
        let pack = json::hex(&json::digest([&packed])[..8]);
        let pk = partition(&principal.tenant, batch_id);
        let expires_at = expiry(now, self.retention);
        let (first, rest) = packed.split_at(packed.len().min(CHUNK_BYTES_MAX));
        let chunks: Vec<&[u8]> = rest.chunks(CHUNK_BYTES_MAX).collect();
        // The first chunk comes last: it says that all are there.
        let puts = chunks.iter().enumerate().map(|(index, packed)| {
            let row = ChunkRow {
                pk: &pk,
                sk: format!("{pack}-{:04}", index + 1),
                packed,
                expires_at,
            };
            async move {
                self.table
                    .put(&row)?
                    .send()
                    .await
                    .map_err(|error| Failure::outage("put_item on sync_items", error))
            }
        });
        futures_util::future::try_join_all(puts).await?;
        let received_at = now.timestamp_millis();
        let chunks = 1 + chunks.len();
        self.put_first(&FirstRow {
            pk: &pk,
            sk: FIRST,
            digest,
            pack: &pack,
            chunks,
            packed: first,
            received_at,
            expires_at,
        })
        .await
    }

    /// The raw items of a batch, strongly consistently; `None` when there is no such batch, or it
    /// has expired.
    ///
    /// # Errors
    /// An outage, or rows that are not what was stored.
    pub async fn load(
        &self,
        tenant: &str,
        batch_id: &BatchId,
        now: DateTime<Utc>,
    ) -> Result<Option<KeptBatch>, Failure> {
        let unreadable = |why: &str| Failure::unreadable("raw items", why);
        let undecoded = |error: &dyn std::fmt::Display| Failure::undecoded("raw items", error);
        let Some(first) = self.range(tenant, batch_id, FIRST, FIRST).await?.pop() else {
            return Ok(None);
        };
        let first: StoredFirst = from_row("raw items", first)?;
        if first.expires_at <= now.timestamp() {
            return Ok(None);
        }
        let mut packed = first.packed;
        if first.chunks > 1 {
            let (from, end) = (
                format!("{}-0000", first.pack),
                format!("{}-9999", first.pack),
            );
            let rest = self.range(tenant, batch_id, &from, &end).await?;
            if rest.len() + 1 != first.chunks {
                return Err(unreadable(&format!(
                    "{} chunks of {}",
                    rest.len() + 1,
                    first.chunks
                )));
            }
            for row in rest {
                packed.extend(from_row::<StoredChunk>("raw items", row)?.packed);
            }
        }
        let raw = unpack(&packed, RAW_BYTES_MAX).map_err(|error| undecoded(&error))?;
        let raw: StoredBatch = serde_json::from_slice(&raw).map_err(|error| undecoded(&error))?;
        if digest(&raw.items) != *first.digest {
            return Err(unreadable("not the items that were stored"));
        }
        let received_at = moment(first.received_at)?;
        Ok(Some(KeptBatch {
            principal: raw.principal,
            items: raw.items,
            digest: first.digest,
            received_at,
        }))
    }

    /// All rows of a batch from one sort key to another.
    async fn range(
        &self,
        tenant: &str,
        batch_id: &BatchId,
        from: &str,
        end: &str,
    ) -> Result<Vec<Row>, Failure> {
        let query = self.table.query(partition(tenant, batch_id));
        let query = query.key_condition_expression("pk = :pk AND sk BETWEEN :from AND :end");
        let query = query.expression_attribute_values(":from", AttributeValue::S(from.to_owned()));
        let query = query.expression_attribute_values(":end", AttributeValue::S(end.to_owned()));
        query_all("query on sync_items", query).await
    }

    async fn put_first(&self, row: &FirstRow<'_>) -> Result<StoreOutcome, Failure> {
        let response = self
            .table
            .put(row)?
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match response.map_err(|error| (error.as_service_error().and_then(stored_digest), error)) {
            Ok(_) => Ok(StoreOutcome::Done),
            Err((Some(stored), _)) if stored == row.digest => Ok(StoreOutcome::Done),
            Err((Some(_), _)) => Ok(StoreOutcome::DigestMismatch),
            Err((None, error)) => Err(Failure::outage("put_item on sync_items", error)),
        }
    }
}

fn partition(tenant: &str, batch_id: &BatchId) -> String {
    key::join([
        tenant,
        &batch_id.user,
        &batch_id.device_id,
        &batch_id.unique,
    ])
}

/// The digest of the batch that stands in the way of a first chunk.
fn stored_digest(error: &PutItemError) -> Option<Vec<u8>> {
    Some(
        in_the_way(error)?
            .get("digest")?
            .as_b()
            .ok()?
            .clone()
            .into_inner(),
    )
}

/// Digest of a batch's items: white space and the order of fields do not count. Items that are no
/// canonical JSON count as they are.
pub fn digest(items: &[Json]) -> [u8; 32] {
    let canonical =
        |item: &RawValue| json::canonical(item).unwrap_or_else(|_| item.get().to_owned());
    json::digest(items.iter().map(|item| canonical(item)))
}
