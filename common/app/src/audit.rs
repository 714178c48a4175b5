//! Lists the audit log (§7.1), one page per request.

use tidemark_aws::{
    Context, Error,
    metrics::Meter,
    tables::audit_log::{AuditLog, AuditOrder, PackedEntry},
};
use tidemark_core::{
    model::{
        limits::{RESPONSE_BYTES_MAX, escaped_bytes},
        principal::Principal,
    },
    wire::{
        audit::{AuditEntryBody, AuditList},
        cursor,
        problem::Problem,
    },
};

use crate::cursors;

/// The bytes reserved for the response around the entries.
const ENVELOPE_BYTES: usize = 20 * 1000;

/// Decodes the cursor of the audit log in this order: the id of the entry that the page follows.
///
/// # Errors
/// Returns a 400 problem if it is not a cursor of this list.
pub fn decode_cursor(order: AuditOrder, cursor: Option<&str>) -> Result<Option<String>, Problem> {
    let after = cursors::decode::<1>(list_name(order), cursor)?.map(|[id]| id);
    if after.as_deref().is_some_and(|id| !AuditLog::is_entry(id)) {
        return Err(cursors::invalid());
    }
    Ok(after)
}

/// Lists at most `limit` audit entries of the caller's tenant after the entry `after`. The caller
/// is an admin. Entries are never truncated: a page ends before an entry that does not fit, and
/// even the largest entry fits on an otherwise empty page.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a part of an
/// entry cannot be decoded.
pub async fn list(
    context: &Context,
    principal: &Principal,
    order: AuditOrder,
    after: Option<String>,
    limit: usize,
) -> Result<AuditList, Error> {
    let mut page = AuditPage::new(limit, after);
    let mut has_more = true;
    while has_more && !page.is_full {
        let (read, read_on) = context
            .tables
            .audit_log
            .list(
                &principal.tenant,
                order,
                page.after.as_deref(),
                page.wanted(),
            )
            .await?;
        has_more = read_on;
        page.fill(read, &context.meter)?;
    }

    // A client that follows the log from its oldest entry continues later from its current end, so
    // it always gets a cursor.
    let has_cursor = page.is_full || order == AuditOrder::Oldest;
    let next_cursor = page
        .after
        .filter(|_| has_cursor)
        .map(|id| cursor::encode(list_name(order), [&id]));

    Ok(AuditList {
        entries: page.entries,
        next_cursor,
    })
}

/// Returns the name of the audit log in cursors.
fn list_name(order: AuditOrder) -> &'static str {
    match order {
        AuditOrder::Newest => "audit?order=newest",
        AuditOrder::Oldest => "audit?order=oldest",
    }
}

/// A page of audit entries that is being filled.
struct AuditPage {
    entries: Vec<AuditEntryBody>,
    limit: usize,
    bytes_left: usize,
    /// The id of the last entry that was read, including an entry that cannot be decoded.
    after: Option<String>,
    /// Whether the page ended before an entry that did not fit.
    is_full: bool,
}

impl AuditPage {
    fn new(limit: usize, after: Option<String>) -> Self {
        Self {
            entries: Vec::new(),
            limit,
            bytes_left: RESPONSE_BYTES_MAX - ENVELOPE_BYTES,
            after,
            is_full: false,
        }
    }

    /// Returns the number of entries to read: one more than fits, which shows whether there is a
    /// next page.
    fn wanted(&self) -> usize {
        self.limit + 1 - self.entries.len()
    }

    /// Adds entries until the page is full. An entry that cannot be decoded is skipped.
    fn fill(&mut self, read: Vec<PackedEntry>, meter: &Meter) -> Result<(), Error> {
        for packed in read {
            if self.entries.len() == self.limit {
                self.is_full = true;
                break;
            }

            let id = packed.id.clone();
            let entry = packed.unpack(meter).map(AuditEntryBody::from);
            let text = entry.as_ref().map(serde_json::to_string).transpose();
            let text = text.map_err(|error| Error::unencoded("audit entry", error))?;
            let bytes = escaped_bytes(&text.unwrap_or_default());
            if bytes > self.bytes_left {
                self.is_full = true;
                break;
            }

            self.bytes_left -= bytes;
            self.entries.extend(entry);
            self.after = Some(id);
        }
        Ok(())
    }
}
