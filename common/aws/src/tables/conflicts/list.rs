//! Lists conflicts. The shards of the index are read concurrently and merged.

use std::collections::{HashMap, HashSet};

use futures_util::future::try_join_all;
use tidemark_core::{
    model::{
        conflict::{ConflictFilter, ListedStatus},
        limits::RESPONSE_BYTES_MAX,
    },
    wire::conflicts::ConflictEntry,
};

use super::{
    Conflicts,
    index::{ConflictCursor, IndexEntry, IndexQuery, Shard, merge},
    payloads::{PayloadKey, PayloadTexts},
    row::StoredRow,
};
use crate::{
    error::Error,
    tables::{Row, Table, from_row, key as row_key, text},
};

/// Maximum bytes of a separately stored payload that a list includes.
const LISTED_BYTES_MAX: usize = 100 * 1024;

impl Conflicts {
    /// Returns at most `limit` conflicts of a list after the cursor `after`, and the cursor of the
    /// next page if there may be more. Large payloads are omitted. A row that cannot be decoded is
    /// logged, counted and omitted.
    ///
    /// If the filter has conditions other than the status and the time, the request examines at
    /// most [`CONFLICTS_SCANNED_MAX`](tidemark_core::model::limits::CONFLICTS_SCANNED_MAX) entries
    /// of each shard, so that a page may have few conflicts, or none, and a cursor.
    ///
    /// The index is eventually consistent: a conflict whose row has another status is omitted too.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a separate
    /// payload cannot be decoded.
    pub async fn list(
        &self,
        tenant: &str,
        filter: &ConflictFilter,
        after: Option<&ConflictCursor>,
        limit: usize,
    ) -> Result<(Vec<ConflictEntry>, Option<ConflictCursor>), Error> {
        let shards = Shard::of_list(tenant, filter);
        let query = IndexQuery::of_list(filter, after, limit);
        let pages = try_join_all(shards.iter().map(|shard| self.indexed(shard, &query))).await?;
        let read = shards.into_iter().zip(pages).collect();
        let (places, next) = merge(read, filter.order, limit);

        let rows = self.listed_rows(&places, filter.status).await?;
        let texts = self.listed_texts(&rows).await?;
        let entries = rows
            .into_iter()
            .filter_map(|row| to_entry(&self.0, row, &texts))
            .collect();
        Ok((entries, next))
    }

    /// Loads the rows of index entries, in their order. Omits rows with another status, and rows
    /// that cannot be decoded.
    async fn listed_rows(
        &self,
        places: &[IndexEntry],
        status: ListedStatus,
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
    async fn listed_texts(&self, rows: &[StoredRow]) -> Result<PayloadTexts<'_>, Error> {
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

        let places = places.into_iter().collect();
        let mut texts = self.texts(places, Vec::new()).await?;
        texts.is_partial = true;
        Ok(texts)
    }
}

fn key_of(row: &Row) -> Option<[String; 2]> {
    Some([text(row, "pk")?.to_owned(), text(row, "sk")?.to_owned()])
}

/// Decodes a row of a list. Returns `None` if it has another status or cannot be decoded.
fn read_row(table: &Table, row: Row, listed: ListedStatus) -> Option<StoredRow> {
    let sk = text(&row, "sk").unwrap_or_default().to_owned();
    match from_row::<StoredRow>("conflict", row) {
        Ok(row) => {
            let mut statuses = listed.statuses().iter();
            statuses
                .any(|status| row.status == status.as_str())
                .then_some(row)
        }
        Err(failure) => report_unreadable(table, &failure, &sk),
    }
}

/// Converts a row to a list entry. Returns `None` if it cannot be decoded.
fn to_entry(table: &Table, row: StoredRow, texts: &PayloadTexts<'_>) -> Option<ConflictEntry> {
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
