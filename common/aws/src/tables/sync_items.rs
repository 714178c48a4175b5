//! `sync_items`: tenant#user#device#batch / chunk. The raw items of each batch and the claims of
//! the caller, packed, stored before any item is applied (§3.11).

mod list;

use std::borrow::Cow;

use crate::tables::format::pack;
use aws_sdk_dynamodb::{
    primitives::Blob,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidemark_core::model::{
    ids::BatchId,
    json::{self, Json},
    key,
    limits::{BODY_BYTES_MAX, CHUNK_BYTES_MAX},
    principal::Principal,
};

use super::{
    Row, Table, conflicting_row, expiry, from_packed, from_row, moment, query_all,
    sync_batches::index,
};
use crate::error::Error;

/// Client for the table `sync_items`.
#[derive(Debug, Clone)]
pub struct SyncItems {
    pub(super) table: Table,
    pub(super) retention: Duration,
}

/// The raw items of a batch as they are stored.
#[derive(Debug, Clone)]
pub struct RawBatch {
    /// The principal that sent the items, with the claims of that request.
    pub principal: Principal,
    /// The items exactly as they were received.
    pub items: Vec<Json>,
    /// The digest of the items.
    pub digest: Vec<u8>,
    /// The time at which the items were stored first.
    pub received_at: DateTime<Utc>,
}

/// The outcome of storing raw items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOutcome {
    /// The items are stored, by this request or by an earlier one.
    Done,
    /// The batch id has been used with other items.
    DigestMismatch,
}

/// The JSON content of the attribute `packed`.
#[derive(Debug, Serialize)]
struct RawContent<'a> {
    principal: StoredPrincipal<'a>,
    device_id: &'a str,
    items: &'a [Json],
}

/// The content of [`RawContent`] as it is deserialized.
#[derive(Debug, Deserialize)]
struct StoredContent {
    principal: StoredPrincipal<'static>,
    items: Vec<Json>,
}

/// The claims of the caller.
#[derive(Debug, Serialize, Deserialize)]
struct StoredPrincipal<'a> {
    tenant: Cow<'a, str>,
    user: Cow<'a, str>,
    roles: Cow<'a, [String]>,
    groups: Cow<'a, [String]>,
}

impl<'a> From<&'a Principal> for StoredPrincipal<'a> {
    fn from(principal: &'a Principal) -> Self {
        Self {
            tenant: Cow::Borrowed(&principal.tenant),
            user: Cow::Borrowed(&principal.user),
            roles: Cow::Borrowed(&principal.roles),
            groups: Cow::Borrowed(&principal.groups),
        }
    }
}

impl From<StoredPrincipal<'_>> for Principal {
    fn from(stored: StoredPrincipal<'_>) -> Self {
        Self {
            tenant: stored.tenant.into_owned(),
            user: stored.user.into_owned(),
            roles: stored.roles.into_owned(),
            groups: stored.groups.into_owned(),
        }
    }
}

/// The first chunk. A batch exists once this row exists.
#[derive(Debug, Serialize)]
struct FirstRow<'a> {
    pk: &'a str,
    sk: &'a str,
    /// Digest of the items, which is compared when the batch is repeated.
    #[serde(with = "serde_bytes")]
    digest: &'a [u8],
    /// Prefix of the sort keys of the other chunks.
    pack: &'a str,
    chunks: usize,
    #[serde(with = "serde_bytes")]
    packed: &'a [u8],
    received_at: i64,
    expires_at: i64,
    /// Shard and place in the index `by_received`. The names are short, because each batch stores
    /// them and rows are charged by the kilobyte. Rows of earlier builds lack both.
    #[serde(rename = "rk")]
    received_shard: String,
    #[serde(rename = "r_at")]
    received_place: i64,
}

/// The content of [`FirstRow`] as it is deserialized.
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

/// A further chunk. Its sort key contains the pack, so that chunks of two attempts of one batch are
/// never mixed.
#[derive(Debug, Serialize)]
struct ChunkRow<'a> {
    pk: &'a str,
    sk: String,
    #[serde(with = "serde_bytes")]
    packed: &'a [u8],
    expires_at: i64,
}

/// The content of [`ChunkRow`] as it is deserialized.
#[derive(Debug, Deserialize)]
struct StoredChunk {
    #[serde(with = "serde_bytes")]
    packed: Vec<u8>,
}

/// Sort key of the first chunk.
const FIRST: &str = "0000";
/// Maximum size of unpacked raw items in bytes: a request body and the caller's claims.
const RAW_BYTES_MAX: usize = BODY_BYTES_MAX + 1024 * 1024;

impl SyncItems {
    /// Stores the raw items of a batch, unless they are stored already. The items and claims of the
    /// first attempt are not replaced.
    ///
    /// The condition is that a batch id is never used for items with another `digest`.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if the stored
    /// digest cannot be decoded.
    pub async fn store(
        &self,
        principal: &Principal,
        batch_id: &BatchId,
        items: &[Json],
        digest: &[u8],
        now: DateTime<Utc>,
    ) -> Result<StoreOutcome, Error> {
        let raw = RawContent {
            principal: principal.into(),
            device_id: &batch_id.device_id,
            items,
        };
        let packed =
            pack(&serde_json::to_vec(&raw).map_err(|error| Error::unencoded("raw items", error))?);

        let pack = json::hex(&json::digest([&packed])[..8]);
        let pk = partition(&principal.tenant, batch_id);
        let expires_at = expiry(now, self.retention);
        let (first, rest) = packed.split_at(packed.len().min(CHUNK_BYTES_MAX));
        let chunks: Vec<&[u8]> = rest.chunks(CHUNK_BYTES_MAX).collect();

        // The first chunk is written last, because it marks the batch as complete.
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
                    .map_err(|error| Error::failed_call("put_item on sync_items", error))
            }
        });
        futures_util::future::try_join_all(puts).await?;

        let (received_shard, received_place) = index::keys(&principal.tenant, batch_id, now);
        let chunks = 1 + chunks.len();
        self.put_first(&FirstRow {
            pk: &pk,
            sk: FIRST,
            digest,
            pack: &pack,
            chunks,
            packed: first,
            received_at: now.timestamp_millis(),
            expires_at,
            received_shard,
            received_place,
        })
        .await
    }

    /// Loads the raw items of a batch with a strongly consistent read; `None` if the batch does not
    /// exist or has expired.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if the rows
    /// cannot be decoded.
    pub async fn load(
        &self,
        tenant: &str,
        batch_id: &BatchId,
        now: DateTime<Utc>,
    ) -> Result<Option<RawBatch>, Error> {
        let unreadable = |why: &str| Error::unreadable("raw items", why);

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
                    "{} of {} chunks",
                    rest.len() + 1,
                    first.chunks
                )));
            }
            for row in rest {
                packed.extend(from_row::<StoredChunk>("raw items", row)?.packed);
            }
        }

        let raw: StoredContent = from_packed("raw items", &packed, RAW_BYTES_MAX)?;
        if digest(&raw.items) != *first.digest {
            return Err(unreadable("digest does not match the stored digest"));
        }

        let received_at = moment(first.received_at)?;
        Ok(Some(RawBatch {
            principal: raw.principal.into(),
            items: raw.items,
            digest: first.digest,
            received_at,
        }))
    }

    /// Returns all rows of a batch between two sort keys, both inclusive.
    async fn range(
        &self,
        tenant: &str,
        batch_id: &BatchId,
        from: &str,
        end: &str,
    ) -> Result<Vec<Row>, Error> {
        let query = self.table.query(partition(tenant, batch_id));
        let query = query.key_condition_expression("pk = :pk AND sk BETWEEN :from AND :end");
        let query = query.expression_attribute_values(":from", AttributeValue::S(from.to_owned()));
        let query = query.expression_attribute_values(":end", AttributeValue::S(end.to_owned()));
        query_all("query on sync_items", query).await
    }

    async fn put_first(&self, row: &FirstRow<'_>) -> Result<StoreOutcome, Error> {
        let response = self
            .table
            .put(row)?
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = response else {
            return Ok(StoreOutcome::Done);
        };

        match error.as_service_error().and_then(conflicting_row) {
            Some(existing) if stored_digest(existing)? == row.digest => Ok(StoreOutcome::Done),
            Some(_) => Ok(StoreOutcome::DigestMismatch),
            None => Err(Error::failed_call("put_item on sync_items", error)),
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

/// Returns the digest of the batch that has this first chunk.
fn stored_digest(first: &Row) -> Result<&[u8], Error> {
    first
        .get("digest")
        .and_then(|digest| digest.as_b().ok())
        .map(Blob::as_ref)
        .ok_or_else(|| Error::unreadable("raw items", "digest"))
}

/// Computes the digest of a batch's items, independent of white space and field order. An item
/// without a canonical form is hashed as received.
pub fn digest(items: &[Json]) -> [u8; 32] {
    let canonical =
        |item: &RawValue| json::canonical(item).unwrap_or_else(|_| item.get().to_owned());
    json::digest(items.iter().map(|item| canonical(item)))
}
