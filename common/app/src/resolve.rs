//! Resolve (§5): resolves a conflict on behalf of an admin or an operator, and retries after
//! concurrent updates.

mod commit;
mod media;

use std::collections::HashSet;

use tidemark_aws::{Context, Error, metrics::Metric};
use tidemark_core::{
    model::{
        audit::Via, conflict::Conflict, ids, limits::COMMIT_ATTEMPTS_MAX, principal::Principal,
        resolve::ResolveCommand, resource::Resource,
    },
    rules::resolve::{ResolveOutcome, ResolvePlan, Resolver, decide},
    wire::{
        problem::{Problem, ProblemCode},
        resolve::{DirectResolveRequest, ResolveRequest, ResolveResponse},
    },
};

use commit::AttemptOutcome;

/// Resolves the conflict with this id on behalf of an admin, who must have been authorized before.
/// A repeated request gets the outcome of the first one.
///
/// # Errors
/// Returns a problem if the conflict does not exist, was resolved in another way, or cannot be
/// resolved as requested; a `contended` problem if concurrent updates prevented every attempt; and
/// `Error::Unavailable` if DynamoDB is unavailable.
pub async fn by_admin(
    context: &Context,
    admin: &Principal,
    id: &str,
    request: ResolveRequest,
) -> Result<ResolveResponse, Error> {
    let resolver = Resolver {
        tenant: &admin.tenant,
        by: &admin.user,
        via: Via::Api,
        catalog: &context.settings.catalog,
    };
    resolve(context, id, request, resolver).await
}

/// Resolves a conflict on behalf of an operator. An identity that may invoke the function counts as
/// an admin of every tenant.
///
/// # Errors
/// Returns the same errors as [`by_admin`].
pub async fn by_operator(
    context: &Context,
    request: DirectResolveRequest,
) -> Result<ResolveResponse, Error> {
    let DirectResolveRequest {
        conflict_id,
        tenant,
        resolved_by,
        resolution,
        payload,
        expected_server_version,
        note,
    } = request;
    let request = ResolveRequest {
        resolution,
        payload,
        expected_server_version,
        note,
    };

    let resolver = Resolver {
        tenant: &tenant,
        by: &resolved_by,
        via: Via::Invocation,
        catalog: &context.settings.catalog,
    };
    resolve(context, &conflict_id, request, resolver).await
}

/// Parses the request and resolves the conflict.
async fn resolve(
    context: &Context,
    id: &str,
    request: ResolveRequest,
    resolver: Resolver<'_>,
) -> Result<ResolveResponse, Error> {
    let command = ResolveCommand::try_from(request)?;
    if !ids::is_conflict(id) {
        return Err(Problem::not_found().into());
    }
    // Boxed to reduce the nesting depth of futures, which the compiler limits.
    Box::pin(decide_and_commit(context, id, &command, resolver)).await
}

/// Loads the conflict and its resource, decides, and commits the decision. Repeats this after a
/// concurrent update.
async fn decide_and_commit(
    context: &Context,
    id: &str,
    command: &ResolveCommand,
    resolver: Resolver<'_>,
) -> Result<ResolveResponse, Error> {
    let mut held_by_others = HashSet::new();
    for attempt in 0..COMMIT_ATTEMPTS_MAX {
        if attempt > 0 {
            tokio::time::sleep(context.random.concurrent_update_backoff(attempt)).await;
        }

        // Load.
        let conflict = context
            .tables
            .conflicts
            .read(resolver.tenant, None, id)
            .await?
            .ok_or_else(Problem::not_found)?;
        let current = load_resource(context, &conflict, resolver.tenant).await?;

        // Decide.
        let audit_id = context.clock.unique_id().to_string();
        let mut plan = match decide(
            &conflict,
            current.as_ref(),
            command,
            resolver,
            audit_id,
            context.clock.now(),
        )
        .map_err(Problem::from)?
        {
            ResolveOutcome::Before(outcome) => {
                return Ok(ResolveResponse::new(conflict, outcome, current));
            }
            ResolveOutcome::Resolve(plan) => plan,
        };
        media::verify(context, &plan, &conflict, current.as_ref(), resolver).await?;
        plan.unique
            .frees
            .retain(|key| !held_by_others.contains(key));

        // Commit.
        match commit::transact(context, &conflict, &plan, resolver.tenant).await? {
            AttemptOutcome::Done => {
                count(context, &plan);
                let resource = plan.write.map(|write| write.resource);
                return Ok(ResolveResponse::new(conflict, plan.outcome, resource));
            }
            AttemptOutcome::ConcurrentUpdate => {}
            AttemptOutcome::NotHeld(keys) => held_by_others.extend(keys),
        }
    }

    let detail = "the conflict or its resource was updated concurrently in every attempt: send \
                  the decision again";
    Err(Problem::new(ProblemCode::Contended, detail).into())
}

/// Loads the current resource of a conflict, with its complete payload.
async fn load_resource(
    context: &Context,
    conflict: &Conflict,
    tenant: &str,
) -> Result<Option<Resource>, Error> {
    let mut loaded = context
        .tables
        .resources
        .load(tenant, [&conflict.resource])
        .await?;

    if loaded.unreadable.contains(&conflict.resource) {
        return Err(Error::unreadable("resource of a conflict", &conflict.id));
    }

    match loaded.rows.remove(&conflict.resource) {
        Some(resource) => context
            .tables
            .whole(tenant, &conflict.resource, resource)
            .await
            .map(Some),
        None => Ok(None),
    }
}

fn count(context: &Context, plan: &ResolvePlan) {
    let meter = &context.meter;
    meter.count(Metric::ConflictsResolved, 1);
    meter.count(Metric::AcceptedChanges, usize::from(plan.write.is_some()));
}
