//! Lists of conflicts by status. The index is cut into shards, which are read side by side and
//! merged; conflicts of earlier builds are one shard more.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use tidemark_core::{
    conflict::ConflictStatus,
    limits::{CONFLICT_SHARDS, RESPONSE_BYTES_MAX},
    protocol::conflicts::ConflictEntry,
};

use super::{
    Conflicts, keys,
    row::{self, PayloadTexts, StoredRow},
};
use crate::{
    failure::Failure,
    tables::{Row, from_row, key as row_key, text},
};

/// The index by status and time.
const BY_STATUS: &str = "by_status";
/// Bytes of a payload apart that a list shows at most.
const LISTED_BYTES_MAX: usize = 100 * 1024;

/// Where a conflict stands in the index: when it was detected, and its id.
pub type ConflictCursor = [String; 2];

/// An entry of the index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IndexEntry {
    /// When the conflict was detected, with what tells those of one moment apart.
    pub(super) detected_at: String,
    pub(super) sk: String,
    pub(super) pk: String,
}

/// In which order the index is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexOrder {
    Oldest,
    Newest,
}

impl Conflicts {
    /// At most `limit` conflicts of one status behind `after`, in the order they were detected, and
    /// where the last of them stands if there are more. Large payloads are left out. A row that
    /// does not read is logged and left out.
    ///
    /// The index may lag behind by a moment: a conflict whose own row has another status by now is
    /// left out too.
    ///
    /// # Errors
    /// An outage.
    pub async fn list(
        &self,
        tenant: &str,
        status: ConflictStatus,
        after: Option<ConflictCursor>,
        limit: usize,
    ) -> Result<(Vec<ConflictEntry>, Option<ConflictCursor>), Failure> {
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
        let rows = self
            .0
            .batch_get(places.iter().map(|it| row_key(&it.pk, &it.sk)).collect())
            .await?;
        let mut by_key: HashMap<[String; 2], Row> = rows
            .into_iter()
            .filter_map(|row| Some((key_of(&row)?, row)))
            .collect();
        let rows = places
            .iter()
            .filter_map(|it| by_key.remove(&[it.pk.clone(), it.sk.clone()]));
        let rows: Vec<StoredRow> = rows.filter_map(|row| read_row(row, status)).collect();
        let texts = self.listed_texts(&rows).await?;
        let entries = rows
            .into_iter()
            .filter_map(|row| listed(row, &texts))
            .collect();
        let last = places.pop().filter(|_| has_more);
        Ok((entries, last.map(|last| [last.detected_at, last.sk])))
    }

    /// Entries of a shard of the index, and whether there are more.
    pub(super) async fn indexed(
        &self,
        tenant: &str,
        shard: String,
        order: IndexOrder,
        after: Option<&ConflictCursor>,
        limit: usize,
    ) -> Result<(Vec<IndexEntry>, bool), Failure> {
        let query = self
            .0
            .query_index(BY_STATUS, "status_key", &shard)
            .scan_index_forward(order == IndexOrder::Oldest);
        let query = match after {
            None => query,
            // Conflicts of earlier builds may share their moment: only the key of the last tells
            // where to go on.
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
            response.map_err(|error| Failure::outage("query on conflicts by status", error))?;
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

    /// The payloads apart that a list shows: those that are not large, as far as an answer holds
    /// them.
    async fn listed_texts(&self, rows: &[StoredRow]) -> Result<PayloadTexts, Failure> {
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

/// The status that the key of a legacy shard names.
fn status_of(shard: &str) -> ConflictStatus {
    match shard.ends_with(ConflictStatus::Open.as_str()) {
        true => ConflictStatus::Open,
        false => ConflictStatus::Resolved,
    }
}

fn key_of(row: &Row) -> Option<[String; 2]> {
    Some([text(row, "pk")?.to_owned(), text(row, "sk")?.to_owned()])
}

/// A row of a list; `None` for one that has another status by now, or does not read.
fn read_row(row: Row, status: ConflictStatus) -> Option<StoredRow> {
    let sk = text(&row, "sk").unwrap_or_default().to_owned();
    match from_row::<StoredRow>("conflict", row) {
        Ok(row) => (row.status == status.as_str()).then_some(row),
        Err(failure) => unread(&failure, &sk),
    }
}

/// A conflict as a list shows it; `None` for one that does not read.
fn listed(row: StoredRow, texts: &PayloadTexts) -> Option<ConflictEntry> {
    let is_missing = |place: Result<Option<(row::PayloadKey, usize)>, Failure>| {
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
    // What was not looked up is `null` here, and is left out below.
    let conflict = match row.read(texts) {
        Ok(conflict) => conflict,
        Err(failure) => return unread(&failure, &sk),
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

fn unread<T>(failure: &Failure, sk: &str) -> Option<T> {
    tracing::error!(%failure, sk, "a conflict does not read");
    None
}
