//! Serves `GET /audit`: the audit log, one page per request.

use lambda_http::Request;
use tidemark_aws::{
    Context, Error, http,
    tables::audit_log::{AuditLog, AuditOrder, PackedEntry},
};
use tidemark_core::{
    model::{
        limits::{RESPONSE_BYTES_MAX, escaped_bytes},
        principal::Principal,
    },
    rules::audit::AuditEntry,
    wire::{conflicts::AuditList, cursor, problem::Problem},
};

/// The bytes reserved for the response around the entries.
const ENVELOPE_BYTES: usize = 20 * 1000;

/// Lists audit entries, newest or oldest first. Entries are never truncated: a page ends before an
/// entry that does not fit, and even the largest entry fits on an otherwise empty page.
pub(crate) async fn list(
    context: &Context,
    request: &Request,
    principal: &Principal,
) -> Result<AuditList, Error> {
    http::admin(principal)?;
    let (order, query) = match http::query_parameter(request, "order") {
        None | Some("newest") => (AuditOrder::Newest, "audit?order=newest"),
        Some("oldest") => (AuditOrder::Oldest, "audit?order=oldest"),
        Some(_) => return Err(Problem::malformed("order", "must be newest or oldest").into()),
    };

    let limit = http::list_limit(request)?;
    let after = super::after::<1>(request, query)?.map(|[id]| id);
    if after.as_deref().is_some_and(|id| !AuditLog::is_entry(id)) {
        return Err(super::invalid_cursor().into());
    }

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
        page.fill(read)?;
    }

    // A client that follows the log from its oldest entry continues later from its current end, so
    // it always gets a cursor.
    let has_cursor = page.is_full || order == AuditOrder::Oldest;
    let next_cursor = page
        .after
        .filter(|_| has_cursor)
        .map(|id| cursor::encode(query, [&id]));

    Ok(AuditList {
        entries: page.entries,
        next_cursor,
    })
}

/// A page of audit entries that is being filled.
struct AuditPage {
    entries: Vec<AuditEntry>,
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
    fn fill(&mut self, read: Vec<PackedEntry>) -> Result<(), Error> {
        for packed in read {
            if self.entries.len() == self.limit {
                self.is_full = true;
                break;
            }

            let id = packed.id.clone();
            let entry = packed.unpack();
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
