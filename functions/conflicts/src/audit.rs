//! `GET /audit`: the audit log, a page at a time.

use lambda_http::Request;
use tidemark_aws::{
    Context, Failure, http,
    tables::audit_log::{AuditLog, AuditOrder},
};
use tidemark_core::{
    cursor,
    limits::{RESPONSE_BYTES_MAX, escaped_bytes},
    principal::Principal,
    protocol::{conflicts::AuditList, problem::Problem},
};

/// Bytes kept for what stands around the entries.
const ENVELOPE_BYTES: usize = 20 * 1000;

/// The newest entries first, or the oldest. An entry is told whole: the page ends before one that
/// does not fit, and even the largest entry fits a page of its own.
pub(crate) async fn list(
    context: &Context,
    request: &Request,
    principal: &Principal,
) -> Result<AuditList, Failure> {
    http::admin(principal)?;
    let (order, query) = match http::query_parameter(request, "order") {
        None | Some("newest") => (AuditOrder::Newest, "audit?order=newest"),
        Some("oldest") => (AuditOrder::Oldest, "audit?order=oldest"),
        Some(_) => return Err(Problem::malformed("order", "must be newest or oldest").into()),
    };
    let limit = http::list_limit(request)?;
    let mut after = super::after::<1>(request, query)?.map(|[id]| id);
    if after.as_deref().is_some_and(|id| !AuditLog::is_entry(id)) {
        return Err(super::invalid_cursor().into());
    }
    let mut entries = Vec::new();
    let mut bytes_left = RESPONSE_BYTES_MAX - ENVELOPE_BYTES;
    let mut is_full = false;
    let mut has_more = true;
    while has_more && !is_full {
        // One more than is wanted: it tells whether there is a next page.
        let wanted = limit + 1 - entries.len();
        let (read, read_on) = context
            .tables
            .audit_log
            .list(&principal.tenant, order, after.as_deref(), wanted)
            .await?;
        has_more = read_on;
        for packed in read {
            if entries.len() == limit {
                is_full = true;
                break;
            }
            let id = packed.id.clone();
            let entry = packed.unpack();
            let text = entry.as_ref().map(serde_json::to_string).transpose();
            let bytes = escaped_bytes(
                &text
                    .map_err(|error| Failure::undecoded("audit entry", error))?
                    .unwrap_or_default(),
            );
            if bytes > bytes_left {
                is_full = true;
                break;
            }
            bytes_left -= bytes;
            entries.extend(entry);
            after = Some(id);
        }
    }
    // Who follows the log from the oldest entry on asks again later, from where it ends today.
    let goes_on = is_full || order == AuditOrder::Oldest;
    let next_cursor = after
        .filter(|_| goes_on)
        .map(|id| cursor::encode(query, [&id]));
    Ok(AuditList {
        entries,
        next_cursor,
    })
}
