//! Counts the open conflicts of a tenant. The number is not stored: the entries of the index are
//! read, up to a maximum.

use futures_util::future::try_join_all;
use tidemark_core::model::{
    conflict::{ConflictStatus, CountedConflict, ListOrder},
    limits::CONFLICTS_COUNTED_MAX,
};

use super::{
    Conflicts,
    index::{ConflictCursor, IndexEntry, IndexQuery, Shard, ShardPage, detection_time},
};
use crate::error::Error;

/// Maximum number of entries that are first read of each shard. A tenant with more open conflicts
/// usually has them in several shards, so that no second read is needed.
const FIRST_READ_MAX: usize = CONFLICTS_COUNTED_MAX / 4;

impl Conflicts {
    /// Returns open conflicts of the tenant, and whether it may have others. They include the
    /// oldest. If there are at most [`CONFLICTS_COUNTED_MAX`], all are returned, unless the entries
    /// of a shard exceed 1 MB. Takes one round trip, or two if some shard has more entries than are
    /// first read. The index is eventually consistent. An entry that cannot be decoded is logged,
    /// counted and omitted.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable.
    pub async fn open_of_tenant(
        &self,
        tenant: &str,
    ) -> Result<(Vec<CountedConflict>, bool), Error> {
        let shards = Shard::all(tenant, ConflictStatus::Open);
        let query = IndexQuery::first(ListOrder::Oldest, FIRST_READ_MAX);
        let pages = try_join_all(shards.iter().map(|shard| self.indexed(shard, &query))).await?;

        let mut found = Vec::new();
        let mut cut = Vec::new();
        for (shard, ShardPage { entries, end }) in shards.into_iter().zip(pages) {
            found.extend(entries);
            cut.extend(end.map(|end| (end.cursor(shard.status), shard)));
        }

        let mut has_more = found.len() > CONFLICTS_COUNTED_MAX;
        if !has_more {
            let limit = CONFLICTS_COUNTED_MAX + 1 - found.len();
            for page in self.continued(&cut, limit).await? {
                has_more |= page.end.is_some();
                found.extend(page.entries);
            }
        }

        let counted = found.iter().filter_map(|entry| self.counted(entry));
        Ok((counted.collect(), has_more))
    }

    /// Returns at most `limit` further entries of each of these shards, after the cursor.
    async fn continued(
        &self,
        cut: &[(ConflictCursor, Shard)],
        limit: usize,
    ) -> Result<Vec<ShardPage>, Error> {
        let reads = cut.iter().map(async |(after, shard)| {
            let query = IndexQuery {
                after: Some(after),
                ..IndexQuery::first(ListOrder::Oldest, limit)
            };
            self.indexed(shard, &query).await
        });
        try_join_all(reads).await
    }

    /// Decodes an entry. Returns `None` if it cannot be decoded.
    fn counted(&self, entry: &IndexEntry) -> Option<CountedConflict> {
        let counted = || {
            Some(CountedConflict {
                resource_type: entry.resource_type.clone()?,
                code: entry.code.as_ref()?.parse().ok()?,
                detected_at: detection_time(&entry.detected_at)?,
            })
        };
        let counted = counted();
        if counted.is_none() {
            tracing::error!(sk = %entry.sk, "stored conflict cannot be decoded");
            self.0.count_corrupt();
        }
        counted
    }
}
