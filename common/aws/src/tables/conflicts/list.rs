//! Lists conflicts by status. The index is divided into shards, which are read concurrently and
//! merged. Legacy conflicts are read as one additional shard.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use tidemark_core::{
    model::{
        conflict::ConflictStatus,
        limits::{CONFLICT_SHARDS, RESPONSE_BYTES_MAX},
    },
    wire::conflicts::ConflictEntry,
};

use super::{
    Conflicts, keys,
    payloads::{PayloadKey, PayloadTexts},
    row::StoredRow,
};
use crate::{
    error::Error,
    tables::{Row, Table, from_row, key as row_key, text},
};

/// The index by status and time of detection.
pub(super) const BY_STATUS: &str = "by_status";
/// Maximum bytes of a separately stored payload that a list includes.
const LISTED_BYTES_MAX: usize = 100 * 1024;

/// The place of a conflict in the index: its time of detection and its id.
pub type ConflictCursor = [String; 2];

/// An entry of the index by status.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IndexEntry {
    /// The time of detection, with a suffix that makes it unique.
    pub(super) detected_at: String,
    pub(super) sk: String,
    pub(super) pk: String,
}

/// The order in which the index is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexOrder {
    Oldest,
    Newest,
}

impl Conflicts {
    /// Returns at most `limit` conflicts with a status after the cursor `after`, in the order of
    /// detection, and the cursor of the last one if there are more. Large payloads are omitted. A
    /// row that cannot be decoded is logged, counted and omitted.
    ///
    /// The index is eventually consistent: a conflict whose row has another status is omitted too.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a separate
    /// payload cannot be decoded.
    pub async fn list(
        &self,
        tenant: &str,
        status: ConflictStatus,
        after: Option<ConflictCursor>,
        limit: usize,
    ) -> Result<(Vec<ConflictEntry>, Option<ConflictCursor>), Error> {
        let shards = (0..CONFLICT_SHARDS).map(|shard| keys::shard_key(tenant, status, shard));
        let shards = shards.chain([keys::legacy_status_key(tenant, status)]);
        let read = shards.map(|shard| {
            self.indexed(tenant, shard, IndexOrder::Oldest, after.as_ref(), limit + 1)
        });

        let mut places: Vec<IndexEntry> = try_join_all(read)
            .await?
            .into_iter()
            .flat_map(|(entries, _)| entries)
            .collect();
        places.sort();
        let has_more = places.len() > limit;
        places.truncate(limit);

        let rows = self.listed_rows(&places, status).await?;
        let texts = self.listed_texts(&rows).await?;
        let entries = rows
            .into_iter()
            .filter_map(|row| to_entry(&self.0, row, &texts))
            .collect();

        let last = places.pop().filter(|_| has_more);
        Ok((entries, last.map(|last| [last.detected_at, last.sk])))
    }

    /// Returns entries of a shard of the index, and whether there are more.
    pub(super) async fn indexed(
        &self,
        tenant: &str,
        shard: String,
        order: IndexOrder,
        after: Option<&ConflictCursor>,
        limit: usize,
    ) -> Result<(Vec<IndexEntry>, bool), Error> {
        let query = self
            .0
            .query_index(BY_STATUS, "status_key", &shard)
            .scan_index_forward(order == IndexOrder::Oldest);

        let query = match after {
            None => query,
            // Legacy conflicts may share a time of detection, so that only the key of the last one
            // identifies where to continue.
            Some([detected_at, id])
                if !detected_at.contains('#')
                    && shard == keys::legacy_status_key(tenant, status_of(&shard)) =>
            {
                let index = [
                    ("status_key", shard.clone()),
                    ("detected_at", detected_at.clone()),
                ];
                let index = index.map(|(name, value)| (name.to_owned(), AttributeValue::S(value)));
                query.set_exclusive_start_key(Some(
                    row_key(tenant, id).into_iter().chain(index).collect(),
                ))
            }
            Some([detected_at, _]) => query
                .key_condition_expression("#partition = :partition AND detected_at > :after")
                .expression_attribute_values(":after", AttributeValue::S(detected_at.clone())),
        };

        let response = query
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await;
        let response =
            response.map_err(|error| Error::failed_call("query on conflicts by status", error))?;

        let has_more = response.last_evaluated_key.is_some();
        let entry = |row: &Row| {
            let [pk, sk] = key_of(row)?;
            Some(IndexEntry {
                detected_at: text(row, "detected_at")?.to_owned(),
                sk,
                pk,
            })
        };

        Ok((
            response
                .items
                .unwrap_or_default()
                .iter()
                .filter_map(entry)
                .collect(),
            has_more,
        ))
    }

    /// Loads the rows of index entries, in their order. Omits rows with another status, and rows
    /// that cannot be decoded.
    async fn listed_rows(
        &self,
        places: &[IndexEntry],
        status: ConflictStatus,
    ) -> Result<Vec<StoredRow>, Error> {
        let rows = self
            .0
            .batch_get(places.iter().map(|it| row_key(&it.pk, &it.sk)).collect())
            .await?;
        let mut by_key: HashMap<[String; 2], Row> = rows
            .into_iter()
            .filter_map(|row| Some((key_of(&row)?, row)))
            .collect();

        Ok(places
            .iter()
            .filter_map(|it| by_key.remove(&[it.pk.clone(), it.sk.clone()]))
            .filter_map(|row| read_row(&self.0, row, status))
            .collect())
    }

    /// Loads the separately stored payloads that a list includes: those below the size limit, as
    /// long as they fit in a response.
    async fn listed_texts(&self, rows: &[StoredRow]) -> Result<PayloadTexts, Error> {
        let mut left = RESPONSE_BYTES_MAX;
        let mut places = HashSet::new();
        for row in rows {
            for (place, bytes) in [row.server_place(), row.client_place()]
                .into_iter()
                .filter_map(Result::ok)
                .flatten()
            {
                if bytes <= LISTED_BYTES_MAX && bytes <= left {
                    left -= bytes;
                    places.insert(place);
                }
            }
        }

        let mut texts = self.texts(places.into_iter().collect()).await?;
        texts.is_partial = true;
        Ok(texts)
    }
}

/// Returns the status in the key of a legacy shard.
fn status_of(shard: &str) -> ConflictStatus {
    match shard.ends_with(ConflictStatus::Open.as_str()) {
        true => ConflictStatus::Open,
        false => ConflictStatus::Resolved,
    }
}

fn key_of(row: &Row) -> Option<[String; 2]> {
    Some([text(row, "pk")?.to_owned(), text(row, "sk")?.to_owned()])
}

/// Decodes a row of a list. Returns `None` if it has another status or cannot be decoded.
fn read_row(table: &Table, row: Row, status: ConflictStatus) -> Option<StoredRow> {
    let sk = text(&row, "sk").unwrap_or_default().to_owned();
    match from_row::<StoredRow>("conflict", row) {
        Ok(row) => (row.status == status.as_str()).then_some(row),
        Err(failure) => report_unreadable(table, &failure, &sk),
    }
}

/// Converts a row to a list entry. Returns `None` if it cannot be decoded.
fn to_entry(table: &Table, row: StoredRow, texts: &PayloadTexts) -> Option<ConflictEntry> {
    let is_missing = |place: Result<Option<(PayloadKey, usize)>, Error>| {
        place
            .ok()
            .flatten()
            .is_some_and(|(place, _)| !texts.has(&place))
    };

    let (server_payload_omitted, client_payload_omitted) = (
        is_missing(row.server_place()),
        is_missing(row.client_place()),
    );

    let sk = row.sk.clone();
    // Payloads that were not loaded are `null` in this value and are removed below.
    let conflict = match row.read(texts) {
        Ok(conflict) => conflict,
        Err(failure) => return report_unreadable(table, &failure, &sk),
    };

    let mut entry = ConflictEntry {
        server_payload_omitted,
        client_payload_omitted,
        ..ConflictEntry::new(conflict)
    };
    entry.server_payload = entry.server_payload.filter(|_| !server_payload_omitted);
    entry.client_payload = entry.client_payload.filter(|_| !client_payload_omitted);
    Some(entry)
}

fn report_unreadable<T>(table: &Table, failure: &Error, sk: &str) -> Option<T> {
    tracing::error!(%failure, sk, "stored conflict cannot be decoded");
    table.count_corrupt();
    None
}
