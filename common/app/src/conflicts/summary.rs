//! The number of a tenant's open conflicts (§5.1).

use tidemark_aws::{Context, Error};
use tidemark_core::{
    model::principal::Principal, rules::conflicts::summarize,
    wire::conflicts::ConflictSummaryResponse,
};

/// Returns the number of open conflicts of the caller's tenant, in total and by type and code, and
/// the time of the oldest. The caller is a reader of the tenant. At most
/// [`CONFLICTS_COUNTED_MAX`](tidemark_core::model::limits::CONFLICTS_COUNTED_MAX) are counted.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable.
pub async fn summary(
    context: &Context,
    principal: &Principal,
) -> Result<ConflictSummaryResponse, Error> {
    let as_of = context.clock.now();
    let conflicts = &context.tables.conflicts;
    let (counted, has_more) = conflicts.open_of_tenant(&principal.tenant).await?;

    Ok(ConflictSummaryResponse {
        as_of,
        open: summarize(counted, has_more).into(),
    })
}
