//! Lists the audit log (§7.1), one page per request.

mod page;

use tidemark_aws::{
    Context, Error,
    tables::audit_log::{AuditLog, AuditOrder},
};
use tidemark_core::{
    model::principal::Principal,
    wire::{audit::AuditList, cursor, problem::Problem},
};

use crate::cursors;

use page::AuditPage;

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
/// is an admin or a viewer. Entries are never truncated: a page ends before an entry that does not
/// fit, and even the largest entry fits on an otherwise empty page.
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
