//! Lists audit entries: reads all shards in parallel, merges them by id, and adds the parts of
//! large entries.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use tidemark_core::model::{audit::AuditEntry, limits::AUDIT_SHARDS};

use super::{
    AuditLog, AuditOrder, ENTRIES, EntryRow, LEGACY_PARTS, PARTS, part, shard_key,
    stored::StoredEntry,
};
use crate::{
    error::Error,
    metrics::{Meter, Metric},
    tables::{Row, from_packed, from_row, key, text},
};

/// Maximum size of an unpacked entry in bytes: two payloads and their metadata, with a margin.
const ENTRY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// An entry as it is stored. Each entry is unpacked separately, because an entry of a few kilobytes
/// may expand to half a megabyte and a page may end before most of the entries that a request
/// returned.
#[derive(Debug)]
pub struct PackedEntry {
    /// The id of the audit entry.
    pub id: String,
    packed: Result<Vec<u8>, Error>,
}

impl PackedEntry {
    /// Unpacks the entry. Returns `None` if it cannot be decoded, which is logged and counted.
    pub fn unpack(self, meter: &Meter) -> Option<AuditEntry> {
        let Self { id, packed } = self;
        packed
            .and_then(|packed| from_packed("audit entry", &packed, ENTRY_BYTES_MAX))
            .map(|entry: StoredEntry| entry.into())
            .inspect_err(|failure| {
                tracing::error!(%failure, %id, "audit entry cannot be decoded");
                meter.count(Metric::CorruptItems, 1);
            })
            .ok()
    }
}

/// A partition that contains entries of a tenant, and the prefix of their sort keys.
struct Partition {
    key: String,
    prefix: &'static str,
}

impl Partition {
    /// Returns the partitions of a tenant: its shards, and the partition of earlier builds.
    fn all(tenant: &str) -> Vec<Self> {
        let sharded = (0..AUDIT_SHARDS).map(|shard| Self {
            key: shard_key(tenant, shard),
            prefix: ENTRIES,
        });
        let legacy = Self {
            key: tenant.to_owned(),
            prefix: "",
        };
        sharded.chain([legacy]).collect()
    }

    /// Returns the sort keys between which the entries after `after` are stored. Both bounds are
    /// excluded, and a row may exist at one of them.
    fn bounds(&self, order: AuditOrder, after: Option<&str>) -> (String, String) {
        let Self { prefix, .. } = self;
        // The key prefix that follows the last entry, which differs in earlier builds.
        let end = if prefix.is_empty() {
            LEGACY_PARTS
        } else {
            PARTS
        };

        let after = after.map(|id| format!("{prefix}{id}"));
        let (from, to) = match order {
            AuditOrder::Oldest => (
                after.unwrap_or_else(|| (*prefix).to_owned()),
                end.to_owned(),
            ),
            AuditOrder::Newest => (
                (*prefix).to_owned(),
                after.unwrap_or_else(|| end.to_owned()),
            ),
        };

        let from = if from.is_empty() {
            "\u{1}".to_owned()
        } else {
            from
        };
        (from, to)
    }
}

/// A row together with the id of its entry.
struct LoadedEntry {
    id: String,
    row: Row,
}

impl AuditOrder {
    /// Returns whether the entry `one` comes before the entry `other` in this order.
    fn is_before(self, one: &str, other: &str) -> bool {
        match self {
            Self::Newest => one > other,
            Self::Oldest => one < other,
        }
    }
}

impl AuditLog {
    /// Returns at most `limit` entries after the entry with the id `after`, and whether there may
    /// be more. A page may have fewer than `limit` entries, because a request reads at most 1 MB of
    /// each shard.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a part of
    /// an entry cannot be decoded.
    pub async fn list(
        &self,
        tenant: &str,
        order: AuditOrder,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<PackedEntry>, bool), Error> {
        // Requests more than a shard's share of the page, so that one round is usually enough.
        let share = limit.min(limit / 4 + 8);
        let partitions = Partition::all(tenant);
        let reads = try_join_all(
            partitions
                .iter()
                .map(|partition| self.read(partition, order, after, share)),
        )
        .await?;

        let (entries, has_more) = merge(reads, order, limit);
        Ok((self.complete(entries).await?, has_more))
    }

    /// Adds the parts of large entries.
    async fn complete(&self, entries: Vec<LoadedEntry>) -> Result<Vec<PackedEntry>, Error> {
        let rows: Vec<_> = entries
            .into_iter()
            .map(|LoadedEntry { id, row }| (id, from_row::<EntryRow>("audit entry", row)))
            .collect();

        let mut parts = self
            .parts(
                rows.iter()
                    .filter_map(|(id, row)| Some((id.as_str(), row.as_ref().ok()?))),
            )
            .await?;

        let entries = rows.into_iter().map(|(id, row)| {
            let packed = row.and_then(|row| join_parts(&id, row, &mut parts));
            PackedEntry { id, packed }
        });
        Ok(entries.collect())
    }

    /// Returns at most `limit` entries of a partition after `after`, in the given order, and
    /// whether there may be more.
    async fn read(
        &self,
        partition: &Partition,
        order: AuditOrder,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<LoadedEntry>, bool), Error> {
        let Partition { key: pk, prefix } = partition;
        let (from, to) = partition.bounds(order, after);

        let response = self
            .0
            .query(pk.clone())
            .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":from", AttributeValue::S(from.clone()))
            .expression_attribute_values(":to", AttributeValue::S(to.clone()))
            .scan_index_forward(order == AuditOrder::Oldest)
            // Both bounds are excluded from the result, and a row may exist at one of them.
            .limit(i32::try_from(limit + 1).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| Error::failed_call("query on audit_log", error))?;

        let has_more = response.last_evaluated_key.is_some();
        let entry = |row: Row| {
            let sk = text(&row, "sk").filter(|sk| *sk != from && *sk != to)?;
            let id = sk.strip_prefix(*prefix)?.to_owned();
            Some(LoadedEntry { id, row })
        };
        Ok((
            response
                .items
                .unwrap_or_default()
                .into_iter()
                .filter_map(entry)
                .collect(),
            has_more,
        ))
    }

    /// Loads the parts of these entries, by key. Parts are written together with their entries, but
    /// a part may become visible later; until then the entry cannot be decoded.
    async fn parts<'a>(
        &self,
        rows: impl Iterator<Item = (&'a str, &'a EntryRow)>,
    ) -> Result<HashMap<String, Vec<u8>>, Error> {
        let keys = rows.flat_map(|(id, row)| {
            (1..=row.parts).map(|number| key(&row.pk, part(parts_prefix(row), id, number)))
        });

        let parts = self.0.batch_get(keys.collect()).await?.into_iter();
        let parts = parts.map(|row| {
            from_row::<EntryRow>("part of an audit entry", row).map(|row| (row.sk, row.packed))
        });
        parts.collect()
    }
}

/// Merges the entries that were read from the partitions, each with whether the partition has more.
/// Returns at most `limit` entries in the given order, and whether there may be more.
fn merge(
    reads: Vec<(Vec<LoadedEntry>, bool)>,
    order: AuditOrder,
    limit: usize,
) -> (Vec<LoadedEntry>, bool) {
    let mut has_more = false;
    let mut found: Vec<LoadedEntry> = Vec::new();
    // The entries after the last one read from a shard with more entries are unknown, so the
    // page ends at the nearest such entry.
    let mut horizon: Option<String> = None;
    for (entries, more) in reads {
        if let Some(last) = entries.last().filter(|_| more) {
            has_more = true;
            let is_nearer = horizon
                .as_ref()
                .is_none_or(|horizon| order.is_before(&last.id, horizon));
            if is_nearer {
                horizon = Some(last.id.clone());
            }
        }
        found.extend(entries);
    }

    found.retain(|entry| {
        horizon
            .as_ref()
            .is_none_or(|horizon| !order.is_before(horizon, &entry.id))
    });
    found.sort_by(|one, other| one.id.cmp(&other.id));
    if order == AuditOrder::Newest {
        found.reverse();
    }

    has_more |= found.len() > limit;
    found.truncate(limit);
    (found, has_more)
}

/// Returns the key prefix of an entry's parts.
fn parts_prefix(row: &EntryRow) -> &'static str {
    if row.sk.starts_with(ENTRIES) {
        PARTS
    } else {
        LEGACY_PARTS
    }
}

/// Assembles the packed text of an entry from its row and the rows of its parts.
fn join_parts(
    id: &str,
    row: EntryRow,
    parts: &mut HashMap<String, Vec<u8>>,
) -> Result<Vec<u8>, Error> {
    let prefix = parts_prefix(&row);
    let mut packed = row.packed;
    for number in 1..=row.parts {
        let missing = || Error::unreadable("audit entry", "a part is missing");
        packed.extend(
            parts
                .remove(&part(prefix, id, number))
                .ok_or_else(missing)?,
        );
    }

    Ok(packed)
}
