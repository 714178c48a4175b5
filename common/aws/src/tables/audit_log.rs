//! `audit_log`: tenant / time-ordered id. Rows are added and never changed: nothing here updates or deletes, and neither may a
//! function's role.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use serde::Serialize;
use tidemark_core::{audit::AuditEntry, pack::pack};

use super::{Table, to_row, transaction::transact_put};
use crate::failure::Failure;

/// The table of the audit log.
#[derive(Debug, Clone)]
pub struct AuditLog(pub(super) Table);

#[derive(Debug, Serialize)]
struct EntryRow<'a> {
    pk: &'a str,
    sk: &'a str,
    #[serde(with = "serde_bytes")]
    packed: &'a [u8],
}

impl AuditLog {
    /// The parts of a transaction that add an entry.
    ///
    /// # Errors
    /// The entry does not serialise, which each does.
    pub fn transact(&self, tenant: &str, entry: &AuditEntry) -> Result<Vec<TransactWriteItem>, Failure> {
        let packed = pack(&serde_json::to_vec(entry).map_err(|error| Failure::unreadable("audit entry", error))?);
        let row = EntryRow { pk: tenant, sk: &entry.id, packed: &packed };
        let put = Put::builder().table_name(&self.0.name).set_item(Some(to_row(&row)?));
        Ok(vec![transact_put(put.condition_expression("attribute_not_exists(pk)"))?])
    }
}
