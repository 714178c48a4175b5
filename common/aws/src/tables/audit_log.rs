//! `audit_log`: `tenant#shard` / `s#` and a time-ordered id. The table is append-only: this module
//! neither updates nor deletes rows, and no role of a function permits it to. A condition of each
//! put prevents an entry from being overwritten, which IAM cannot enforce.
//!
//! The shard is derived from the conflict or batch that an entry is about, so that the entries of a
//! tenant do not share one partition. A list reads all shards in parallel and merges them by id.
//! Entries of earlier builds (`tenant` / id) are read as one additional shard.
//!
//! An entry is packed. The part that does not fit one row is stored in further rows
//! (`t#<entry>#<number>`, in earlier builds `part#<entry>#<number>`), which sort after all entries.
//! They are written in the same transaction, so that an entry is stored completely or not at all.

mod list;
mod stored;

use crate::tables::format::pack;
use aws_sdk_dynamodb::types::Put;
use serde::{Deserialize, Serialize};
use tidemark_core::model::{
    audit::AuditEntry,
    json,
    limits::{AUDIT_SHARDS, CHUNK_BYTES_MAX, is_name},
};

pub use list::PackedEntry;
use stored::StoredEntry;

use super::{Table, Tables, TransactionItem, TransactionOutcome, to_row};
use crate::error::Error;

/// Prefix of the keys of parts that earlier builds wrote. Entry keys of those builds begin with a
/// hexadecimal digit, which sorts before this prefix. All keys of this build sort after both, so
/// that their keys cannot collide with the keys of earlier builds for any tenant name.
const LEGACY_PARTS: &str = "part#";
/// Prefix of the keys of entries.
const ENTRIES: &str = "s#";
/// Prefix of the keys of entry parts.
const PARTS: &str = "t#";

/// Client for the table `audit_log`.
#[derive(Debug, Clone)]
pub struct AuditLog(pub(super) Table);

/// The order in which entries are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditOrder {
    /// Newest entries come first.
    Newest,
    /// Oldest entries come first.
    Oldest,
}

/// The row of an entry or of a part. A part has no further parts.
#[derive(Debug, Serialize, Deserialize)]
struct EntryRow {
    pk: String,
    sk: String,
    #[serde(with = "serde_bytes")]
    packed: Vec<u8>,
    /// Number of further rows that hold the rest of the entry.
    #[serde(default)]
    parts: usize,
}

impl Tables {
    /// Appends an entry in a separate transaction. Used for operations that consist of several
    /// transactions; the entry is written first.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable or cancels the transaction.
    pub async fn add_audit_entry(&self, tenant: &str, entry: &AuditEntry) -> Result<(), Error> {
        match self
            .transact(self.audit_log.transaction_items(tenant, entry)?)
            .await?
        {
            TransactionOutcome::Done => Ok(()),
            TransactionOutcome::Cancelled(_) => Err(Error::unavailable(
                "the transaction of an audit entry was cancelled",
            )),
        }
    }
}

impl AuditLog {
    /// Returns whether `id` can be the id of an entry, as opposed to the key of a part.
    pub fn is_entry(id: &str) -> bool {
        is_name(id) && id < LEGACY_PARTS
    }

    /// Returns the transaction items that append an entry.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if the entry cannot be serialized, which does not happen.
    pub fn transaction_items(
        &self,
        tenant: &str,
        entry: &AuditEntry,
    ) -> Result<Vec<TransactionItem>, Error> {
        let text = serde_json::to_vec(&StoredEntry::from(entry.clone()))
            .map_err(|error| Error::unencoded("audit entry", error))?;
        let packed = pack(&text);
        let chunks: Vec<&[u8]> = packed.chunks(CHUNK_BYTES_MAX).collect();

        let rows = chunks.iter().enumerate().map(|(number, chunk)| {
            let (sk, parts) = match number {
                0 => (format!("{ENTRIES}{}", entry.id), chunks.len() - 1),
                number => (part(PARTS, &entry.id, number), 0),
            };
            // The shard depends on the subject of the entry, which is the same in a retry.
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
            TransactionItem::put(put.condition_expression("attribute_not_exists(pk)"))
        });

        rows.collect()
    }
}

fn shard_key(tenant: &str, shard: u8) -> String {
    tidemark_core::model::key::join([tenant, &shard.to_string()])
}

fn part(prefix: &str, id: &str, number: usize) -> String {
    format!("{prefix}{id}#{number:03}")
}
