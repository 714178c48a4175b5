//! Resolves several conflicts in the same way, one after the other, each in a transaction of its
//! own (§5.2). The work of a request is bounded: the conflicts that it does not reach are deferred,
//! and the caller sends them again.

use tidemark_aws::{Context, Error};
use tidemark_core::{
    model::{
        principal::Principal,
        resolve::{BulkResolveCommand, ReviewedConflict},
    },
    wire::resolve::{BulkResolveRequest, BulkResolveResponse, BulkResolveResult},
};

use super::{Task, admin_resolver, decide_and_commit};
use crate::budget::{Budget, BulkOutcome};

/// Resolves conflicts on behalf of an admin, who must have been authorized before. A repeated
/// request gets the first outcome of each conflict, under another `bulk_id`.
///
/// # Errors
/// Returns a problem if the request is malformed, and `Error::Unavailable` if DynamoDB is
/// unavailable before a conflict is resolved. The result of a conflict contains the reason why it
/// cannot be resolved.
pub async fn by_admin(
    context: &Context,
    admin: &Principal,
    request: BulkResolveRequest,
) -> Result<BulkResolveResponse, Error> {
    let BulkResolveCommand {
        conflicts,
        mut command,
        is_dry_run,
    } = request.try_into()?;
    let bulk_id = context.clock.unique_id().to_string();
    let resolver = admin_resolver(context, admin, Some(&bulk_id));

    let mut budget = Budget::new(context.clock.now());
    let mut results = Vec::with_capacity(conflicts.len());
    for conflict in conflicts {
        if budget.is_used(context.clock.now()) {
            results.push(BulkResolveResult::deferred(conflict.id));
            continue;
        }

        let ReviewedConflict {
            id,
            expected_server_version,
        } = conflict;
        command.expected_server_version = Some(expected_server_version);
        let task = Task {
            id: &id,
            command: &command,
            resolver,
            is_dry_run,
        };
        // Boxed to reduce the nesting depth of futures, which the compiler limits.
        let work = Box::pin(decide_and_commit(context, &task, &mut budget.loaded_bytes));
        let result = budget.deadline.bound(work).await;
        results.push(match budget.outcome(context, result)? {
            BulkOutcome::Done(response) => BulkResolveResult::resolved(response),
            BulkOutcome::Rejected(problem) => BulkResolveResult::rejected(id, problem),
            BulkOutcome::Deferred => BulkResolveResult::deferred(id),
        });
    }

    Ok(BulkResolveResponse {
        bulk_id,
        dry_run: is_dry_run,
        results,
    })
}
