//! `audit_log`: `tenant#shard` / `s#` and a time-ordered id. Rows are added and never changed:
//! nothing here updates or deletes, and no function's role has the rights to. That an entry is not
//! overwritten is a condition of each put, which IAM cannot require.
//!
//! The shard follows from the conflict or batch that an entry is about, so that a tenant's entries
//! do not meet in one partition. A list reads all shards side by side and merges them by id;
//! entries of earlier builds (`tenant` / id) are one shard more.
//!
//! An entry is packed. What does not fit one row goes on in rows of its own (`t#<entry>#<number>`,
//! of earlier builds `part#<entry>#<number>`), which sort behind all entries and are written in the
//! same transaction, so that an entry is there whole or not at all.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use tidemark_core::{
    audit::AuditEntry,
    json,
    limits::{AUDIT_SHARDS, CHUNK_BYTES_MAX},
    pack::{pack, unpack},
};

use super::{
    Row, Table, Tables, TransactionOutcome, from_row, key, text, to_row, transaction::transact_put,
};
use crate::failure::Failure;

/// Bytes of an unpacked entry at most: two payloads with what stands around them, with room.
const ENTRY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// What the keys of parts of earlier builds begin with; their entries begin with a hexadecimal
/// digit, which sorts before it. All keys of this build sort behind both, so that none is taken for
/// one of theirs, whatever tenants are called.
const LEGACY_PARTS: &str = "part#";
/// What the keys of entries begin with.
const ENTRIES: &str = "s#";
/// What the keys of their parts begin with.
const PARTS: &str = "t#";

/// The table of the audit log.
#[derive(Debug, Clone)]
pub struct AuditLog(pub(super) Table);

/// In which order entries are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditOrder {
    /// The newest first.
    Newest,
    /// The oldest first.
    Oldest,
}

/// An entry's row, and that of a part, which has none further.
#[derive(Debug, Serialize, Deserialize)]
struct EntryRow {
    pk: String,
    sk: String,
    #[serde(with = "serde_bytes")]
    packed: Vec<u8>,
    /// Rows the entry goes on in.
    #[serde(default)]
    parts: usize,
}

impl Tables {
    /// Adds an entry by itself, for what takes effect in more than one transaction: the entry comes
    /// first.
    ///
    /// # Errors
    /// An outage.
    pub async fn add_audit_entry(&self, tenant: &str, entry: &AuditEntry) -> Result<(), Failure> {
        match self
            .transact(self.audit_log.transact(tenant, entry)?)
            .await?
        {
            TransactionOutcome::Done => Ok(()),
            TransactionOutcome::Cancelled(_) => Err(Failure::Outage(
                "the audit log did not take an entry".into(),
            )),
        }
    }
}

impl AuditLog {
    /// Whether `id` can be an entry's, and not what stands behind all of them.
    pub fn is_entry(id: &str) -> bool {
        !id.is_empty() && id < LEGACY_PARTS
    }

    /// The parts of a transaction that add an entry.
    ///
    /// # Errors
    /// The entry does not serialise, which each does.
    pub fn transact(
        &self,
        tenant: &str,
        entry: &AuditEntry,
    ) -> Result<Vec<TransactWriteItem>, Failure> {
        let packed = pack(
            &serde_json::to_vec(entry).map_err(|error| Failure::undecoded("audit entry", error))?,
        );
        let chunks: Vec<&[u8]> = packed.chunks(CHUNK_BYTES_MAX).collect();
        let rows = chunks.iter().enumerate().map(|(number, chunk)| {
            let (sk, parts) = match number {
                0 => (format!("{ENTRIES}{}", entry.id), chunks.len() - 1),
                number => (part(PARTS, &entry.id, number), 0),
            };
            // By what it is about, which a retry knows again.
            let about = entry
                .conflict_id
                .as_ref()
                .or(entry.batch_id.as_ref())
                .unwrap_or(&entry.id);
            let pk = shard_key(tenant, json::digest([about])[0] % AUDIT_SHARDS);
            let row = EntryRow {
                pk,
                sk,
                packed: chunk.to_vec(),
                parts,
            };
            let put = Put::builder()
                .table_name(&self.0.name)
                .set_item(Some(to_row(&row)?));
            transact_put(put.condition_expression("attribute_not_exists(pk)"))
        });
        rows.collect()
    }

    /// At most `limit` entries behind the one named `after`, by id; says whether there may be more.
    /// Fewer than `limit` may come, because a call reads 1 MB of each shard.
    ///
    /// # Errors
    /// An outage.
    pub async fn list(
        &self,
        tenant: &str,
        order: AuditOrder,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<PackedEntry>, bool), Failure> {
        // More than its share of each shard, so that one round is usually enough.
        let share = limit.min(limit / 4 + 8);
        let sharded = (0..AUDIT_SHARDS).map(|shard| Partition {
            key: shard_key(tenant, shard),
            prefix: ENTRIES,
        });
        let partitions: Vec<_> = sharded
            .chain([Partition {
                key: tenant.to_owned(),
                prefix: "",
            }])
            .collect();
        let reads = try_join_all(
            partitions
                .iter()
                .map(|partition| self.read(partition, order, after, share)),
        )
        .await?;
        let mut has_more = false;
        let mut found: Vec<LoadedEntry> = Vec::new();
        // A shard that has more says nothing of what lies behind its last entry: the page ends at
        // the first such place.
        let mut horizon: Option<String> = None;
        for (entries, more) in reads {
            if let Some(last) = entries.last().filter(|_| more) {
                has_more = true;
                let is_nearer = horizon
                    .as_ref()
                    .is_none_or(|horizon| order.is_before(&last.id, horizon));
                horizon = if is_nearer {
                    Some(last.id.clone())
                } else {
                    horizon
                };
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
        let rows: Vec<_> = found
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
            let packed = row.and_then(|row| whole(&id, row, &mut parts));
            PackedEntry { id, packed }
        });
        Ok((entries.collect(), has_more))
    }

    /// At most `limit` entries of a partition behind `after`, in that order, and whether there may
    /// be more.
    async fn read(
        &self,
        partition: &Partition,
        order: AuditOrder,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<LoadedEntry>, bool), Failure> {
        let Partition { key: pk, prefix } = partition;
        // The end of the entries: of this build, of earlier ones.
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
        let (from, to) = (
            if from.is_empty() {
                "\u{1}".to_owned()
            } else {
                from
            },
            to,
        );
        let response = self
            .0
            .query(pk.clone())
            .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":from", AttributeValue::S(from.clone()))
            .expression_attribute_values(":to", AttributeValue::S(to.clone()))
            .scan_index_forward(order == AuditOrder::Oldest)
            // The bounds themselves are none of the entries that are asked for, and one may be
            // there.
            .limit(i32::try_from(limit + 1).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| Failure::outage("query on audit_log", error))?;
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

    /// The parts that these entries go on in, by key. They are written with their entries, and may
    /// still be becoming visible: then the entry does not read for that moment.
    async fn parts<'a>(
        &self,
        rows: impl Iterator<Item = (&'a str, &'a EntryRow)>,
    ) -> Result<HashMap<String, Vec<u8>>, Failure> {
        let keys = rows.flat_map(|(id, row)| {
            (1..=row.parts).map(|number| key(&row.pk, part(parts_of(row), id, number)))
        });
        let parts = self.0.batch_get(keys.collect()).await?.into_iter();
        let parts = parts.map(|row| {
            from_row::<EntryRow>("part of an audit entry", row).map(|row| (row.sk, row.packed))
        });
        parts.collect()
    }
}

/// An entry as it is stored. It is unpacked by itself: an entry of a few kilobytes may hold half a
/// megabyte, and a page ends before most of what a call returns.
#[derive(Debug)]
pub struct PackedEntry {
    /// The id of the entry.
    pub id: String,
    packed: Result<Vec<u8>, Failure>,
}

impl PackedEntry {
    /// Unpacks the entry. One that cannot be decoded is logged and is `None`.
    pub fn unpack(self) -> Option<AuditEntry> {
        let Self { id, packed } = self;
        let undecoded = |error: &dyn std::fmt::Display| Failure::undecoded("audit entry", error);
        let entry = packed.and_then(|packed| {
            let text = unpack(&packed, ENTRY_BYTES_MAX).map_err(|error| undecoded(&error))?;
            serde_json::from_slice(&text).map_err(|error| undecoded(&error))
        });
        entry
            .inspect_err(
                |failure| tracing::error!(%failure, %id, "an entry of the audit log does not read"),
            )
            .ok()
    }
}

/// A partition that entries of a tenant are in.
struct Partition {
    key: String,
    prefix: &'static str,
}

/// An entry's row.
struct LoadedEntry {
    id: String,
    row: Row,
}

impl AuditOrder {
    /// Whether the entry `one` comes before the entry `other`.
    fn is_before(self, one: &str, other: &str) -> bool {
        match self {
            Self::Newest => one > other,
            Self::Oldest => one < other,
        }
    }
}

fn shard_key(tenant: &str, shard: u8) -> String {
    tidemark_core::key::join([tenant, &shard.to_string()])
}

/// What the keys of an entry's parts begin with.
fn parts_of(row: &EntryRow) -> &'static str {
    if row.sk.starts_with(ENTRIES) {
        PARTS
    } else {
        LEGACY_PARTS
    }
}

fn part(prefix: &str, id: &str, number: usize) -> String {
    format!("{prefix}{id}#{number:03}")
}

/// The packed text of an entry, from its row and the rows it goes on in.
fn whole(
    id: &str,
    row: EntryRow,
    parts: &mut HashMap<String, Vec<u8>>,
) -> Result<Vec<u8>, Failure> {
    let prefix = parts_of(&row);
    let mut packed = row.packed;
    for number in 1..=row.parts {
        let missing = || Failure::unreadable("audit entry", "a part is missing");
        packed.extend(
            parts
                .remove(&part(prefix, id, number))
                .ok_or_else(missing)?,
        );
    }
    Ok(packed)
}
