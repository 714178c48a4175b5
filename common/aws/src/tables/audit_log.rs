//! `audit_log`: tenant / time-ordered id. Rows are added and never changed: nothing here updates or deletes, and neither may a
//! function's role.
//!
//! An entry is packed. What does not fit one row goes on in rows of its own (`part#<entry>#<number>`), which sort behind all entries
//! and are written in the same transaction, so that an entry is there whole or not at all.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use serde::{Deserialize, Serialize};
use tidemark_core::{
    audit::AuditEntry,
    limits::CHUNK_BYTES_MAX,
    pack::{pack, unpack},
};

use super::{Row, Table, from_row, key, text, to_row, transaction::transact_put};
use crate::failure::Failure;

/// Bytes of an unpacked entry at most: two payloads with what stands around them, with room.
const ENTRY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// What the keys of parts begin with; entries begin with a hexadecimal digit, which sorts before it.
const PARTS: &str = "part#";

/// The table of the audit log.
#[derive(Debug, Clone)]
pub struct AuditLog(pub(super) Table);

/// In which order entries are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
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

impl AuditLog {
    /// Whether `id` can be an entry's, and not what stands behind all of them.
    pub fn is_entry(id: &str) -> bool {
        !id.is_empty() && id < PARTS
    }

    /// The parts of a transaction that add an entry.
    ///
    /// # Errors
    /// The entry does not serialise, which each does.
    pub fn transact(&self, tenant: &str, entry: &AuditEntry) -> Result<Vec<TransactWriteItem>, Failure> {
        let packed = pack(&serde_json::to_vec(entry).map_err(|error| Failure::undecoded("audit entry", error))?);
        let chunks: Vec<&[u8]> = packed.chunks(CHUNK_BYTES_MAX).collect();
        let rows = chunks.iter().enumerate().map(|(number, chunk)| {
            let (sk, parts) = match number {
                0 => (entry.id.clone(), chunks.len() - 1),
                number => (part(&entry.id, number), 0),
            };
            let row = EntryRow { pk: tenant.to_owned(), sk, packed: chunk.to_vec(), parts };
            let put = Put::builder().table_name(&self.0.name).set_item(Some(to_row(&row)?));
            transact_put(put.condition_expression("attribute_not_exists(pk)"))
        });
        rows.collect()
    }

    /// At most `limit` entries behind the one named `after`, by id; says whether there may be more. Each is unpacked when it is asked for:
    /// one that does not read is logged and is `None`. Fewer than `limit` may come, because a call reads 1 MB.
    ///
    /// # Errors
    /// An outage.
    pub async fn list(
        &self,
        tenant: &str,
        order: Order,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(impl Iterator<Item = (String, Option<AuditEntry>)> + use<>, bool), Failure> {
        let answer = self
            .0
            .query(tenant.to_owned())
            .key_condition_expression("pk = :pk AND sk < :parts")
            .expression_attribute_values(":parts", AttributeValue::S(PARTS.to_owned()))
            .scan_index_forward(order == Order::Oldest)
            .set_exclusive_start_key(after.map(|after| key(tenant, after)))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| Failure::outage("query on audit_log", error))?;
        let has_more = answer.last_evaluated_key.is_some();
        let rows: Vec<Row> = answer.items.unwrap_or_default();
        let ids: Vec<String> = rows.iter().map(|row| text(row, "sk").unwrap_or_default().to_owned()).collect();
        let rows: Vec<_> = rows.into_iter().map(|row| from_row::<EntryRow>("audit entry", row)).collect();
        let mut parts = self.parts(tenant, rows.iter().flatten()).await?;
        let entries = rows.into_iter().zip(ids).map(move |(row, id)| {
            let entry = row.and_then(|row| read(row, &mut parts));
            if let Err(failure) = &entry {
                tracing::error!(%failure, %id, "an entry of the audit log does not read");
            }
            (id, entry.ok())
        });
        Ok((entries, has_more))
    }

    /// The parts that these entries go on in, by key. They are written with their entries, and may still be becoming visible: then the
    /// entry does not read for that moment.
    async fn parts<'a>(
        &self,
        tenant: &str,
        rows: impl Iterator<Item = &'a EntryRow>,
    ) -> Result<HashMap<String, Vec<u8>>, Failure> {
        let keys = rows.flat_map(|row| (1..=row.parts).map(|number| key(tenant, part(&row.sk, number))));
        let parts = self.0.batch_get(keys.collect()).await?.into_iter();
        let parts = parts.map(|row| from_row::<EntryRow>("part of an audit entry", row).map(|row| (row.sk, row.packed)));
        parts.collect()
    }
}

fn part(id: &str, number: usize) -> String {
    format!("{PARTS}{id}#{number:03}")
}

fn read(row: EntryRow, parts: &mut HashMap<String, Vec<u8>>) -> Result<AuditEntry, Failure> {
    let undecoded = |error: &dyn std::fmt::Display| Failure::undecoded("audit entry", error);
    let mut packed = row.packed;
    for number in 1..=row.parts {
        packed
            .extend(parts.remove(&part(&row.sk, number)).ok_or_else(|| Failure::unreadable("audit entry", "a part is missing"))?);
    }
    let text = unpack(&packed, ENTRY_BYTES_MAX).map_err(|error| undecoded(&error))?;
    serde_json::from_slice(&text).map_err(|error| undecoded(&error))
}
