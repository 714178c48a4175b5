//! Resolve (§5): resolves a conflict on behalf of an admin or an operator, and retries after
//! concurrent updates.

pub mod bulk;
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
    let resolver = admin_resolver(context, admin, None);
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
        fields,
        expected_server_version,
        dry_run,
        note,
    } = request;
    let request = ResolveRequest {
        resolution,
        payload,
        fields,
        expected_server_version,
        dry_run,
        note,
    };

    let resolver = Resolver {
        tenant: &tenant,
        by: &resolved_by,
        via: Via::Invocation,
        bulk_id: None,
        catalog: &context.settings.catalog,
    };
    resolve(context, &conflict_id, request, resolver).await
}

/// Returns the resolver for an admin's request; `bulk_id` is the id of a bulk request.
fn admin_resolver<'a>(
    context: &'a Context,
    admin: &'a Principal,
    bulk_id: Option<&'a str>,
) -> Resolver<'a> {
    Resolver {
        tenant: &admin.tenant,
        by: &admin.user,
        via: Via::Api,
        bulk_id,
        catalog: &context.settings.catalog,
    }
}

/// The resolution of one conflict.
struct Task<'a> {
    /// The id of the conflict, which may have any form.
    id: &'a str,
    command: &'a ResolveCommand,
    resolver: Resolver<'a>,
    /// Whether nothing is written.
    is_dry_run: bool,
}

/// Parses the request and resolves the conflict.
async fn resolve(
    context: &Context,
    id: &str,
    request: ResolveRequest,
    resolver: Resolver<'_>,
) -> Result<ResolveResponse, Error> {
    let is_dry_run = request.dry_run.unwrap_or_default();
    let command = &ResolveCommand::try_from(request)?;
    let task = Task {
        id,
        command,
        resolver,
        is_dry_run,
    };
    // Boxed to reduce the nesting depth of futures, which the compiler limits.
    Box::pin(decide_and_commit(context, &task, &mut 0)).await
}

/// Loads the conflict and its resource, decides, and commits the decision. Repeats this after a
/// concurrent update. Adds the bytes of the loaded payloads to `loaded_bytes`.
async fn decide_and_commit(
    context: &Context,
    task: &Task<'_>,
    loaded_bytes: &mut usize,
) -> Result<ResolveResponse, Error> {
    let resolver = task.resolver;
    let mut held_by_others = HashSet::new();
    for attempt in 0..COMMIT_ATTEMPTS_MAX {
        if attempt > 0 {
            tokio::time::sleep(context.random.concurrent_update_backoff(attempt)).await;
        }

        // Load.
        let (conflict, current) = load(context, task).await?;
        *loaded_bytes += payload_bytes(&conflict, current.as_ref());

        // Decide.
        let mut plan = match decided(context, task, &conflict, current.as_ref())? {
            ResolveOutcome::Before(outcome) => {
                let mut response = ResolveResponse::new(conflict, outcome, current);
                response.dry_run = task.is_dry_run;
                return Ok(response);
            }
            ResolveOutcome::Resolve(plan) => plan,
        };
        media::verify(context, &plan, &conflict, current.as_ref(), resolver).await?;
        if task.is_dry_run {
            return predicted(context, conflict, *plan).await;
        }
        let frees = &mut plan.unique.frees;
        frees.retain(|key| !held_by_others.contains(key));

        // Commit.
        match commit::transact(context, &conflict, &plan, resolver.tenant).await? {
            AttemptOutcome::Done => {
                count(context, &plan);
                let ResolvePlan { outcome, write, .. } = *plan;
                let resource = write.map(|write| write.resource);
                return Ok(ResolveResponse::new(conflict, outcome, resource));
            }
            AttemptOutcome::ConcurrentUpdate => {}
            AttemptOutcome::NotHeld(keys) => held_by_others.extend(keys),
        }
    }

    let detail = "the conflict or its resource was updated concurrently in every attempt: send \
                  the decision again";
    Err(Problem::new(ProblemCode::Contended, detail).into())
}

/// Returns the response to a dry run, unless another resource holds a unique value that the plan
/// claims.
async fn predicted(
    context: &Context,
    conflict: Conflict,
    plan: ResolvePlan,
) -> Result<ResolveResponse, Error> {
    commit::check_claims(context, &conflict, &plan).await?;
    let ResolvePlan { outcome, write, .. } = plan;
    let resource = write.map(|write| write.resource);
    Ok(ResolveResponse::of_dry_run(conflict, outcome, resource))
}

/// Decides about a loaded conflict.
fn decided(
    context: &Context,
    task: &Task<'_>,
    conflict: &Conflict,
    current: Option<&Resource>,
) -> Result<ResolveOutcome, Problem> {
    let audit_id = context.clock.unique_id().to_string();
    let now = context.clock.now();
    decide(
        conflict,
        current,
        task.command,
        task.resolver,
        audit_id,
        now,
    )
    .map_err(Problem::from)
}

/// Returns the bytes of the payloads of a conflict and of its resource. The `was` of its edits are
/// not counted: those that are not small were not loaded.
fn payload_bytes(conflict: &Conflict, current: Option<&Resource>) -> usize {
    let edits = conflict.edits.iter().map(|edit| &edit.payload);
    let of_server = conflict.server_payload.iter();
    let of_resource = current.map(|resource| &resource.payload);
    let payloads = edits.chain(of_server).chain(of_resource);
    payloads.map(|payload| payload.get().len()).sum()
}

/// Loads the conflict, and its resource if it exists.
async fn load(context: &Context, task: &Task<'_>) -> Result<(Conflict, Option<Resource>), Error> {
    if !ids::is_conflict(task.id) {
        return Err(Problem::not_found().into());
    }

    let tenant = task.resolver.tenant;
    let conflict = context
        .tables
        .conflicts
        .read_for_resolution(tenant, task.id)
        .await?
        .ok_or_else(Problem::not_found)?;
    let current = load_resource(context, &conflict, tenant).await?;
    Ok((conflict, current))
}

/// Loads the current resource of a conflict, with its complete payload.
pub(crate) async fn load_resource(
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
