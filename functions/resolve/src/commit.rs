//! Decides and commits a resolution, and retries after concurrent updates. The conflict, the
//! resource, its unique values and the audit entry are written in one transaction.

use std::collections::HashSet;

use tidemark_aws::{
    Context, Error, http,
    metrics::Metric,
    tables::{Reason, TransactionOutcome, unique_keys::holder},
};
use tidemark_core::{
    model::{
        channel::Scope,
        conflict::{Conflict, ConflictOutcome},
        limits::COMMIT_ATTEMPTS_MAX,
        resource::Resource,
    },
    rules::{
        resolve::{
            NewMedia, ResolveCommand, ResolveOutcome, ResolvePlan, Resolver, decide, response,
        },
        unique::UniqueKey,
    },
    wire::{
        problem::{Problem, ProblemCode},
        resolve::ResolveResponse,
    },
};

/// The outcome of one attempt to commit a resolution.
enum CommitOutcome {
    /// The complete transaction is written.
    Done,
    /// A condition failed because of a concurrent update, so the resolution is decided again.
    ConcurrentUpdate,
    /// Other resources hold these values, which the resolved resource was assumed to hold. It must
    /// not free them.
    NotHeld(Vec<UniqueKey>),
}

/// Decides the conflict `id` and writes the resolution.
pub(crate) async fn commit(
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

        let conflict = context
            .tables
            .conflicts
            .read(resolver.tenant, None, id)
            .await?
            .ok_or_else(http::not_found)?;
        let current = load(context, &conflict, resolver.tenant).await?;

        let audit_id = context.clock.unique_id().to_string();
        let mut plan = match decide(
            &conflict,
            current.as_ref(),
            command,
            resolver,
            audit_id,
            context.clock.now(),
        )? {
            ResolveOutcome::Before(outcome) => return Ok(response(conflict, outcome, current)),
            ResolveOutcome::Resolve(plan) => plan,
        };

        verify_media(context, &plan, &conflict, current.as_ref(), resolver).await?;
        plan.unique
            .frees
            .retain(|key| !held_by_others.contains(key));
        match transact(context, &conflict, &plan, resolver.tenant).await? {
            CommitOutcome::Done => {
                context.meter.count(Metric::ConflictsResolved, 1);
                context
                    .meter
                    .count(Metric::AcceptedChanges, usize::from(plan.write.is_some()));
                return Ok(response_to(conflict, *plan));
            }
            CommitOutcome::ConcurrentUpdate => {}
            CommitOutcome::NotHeld(keys) => held_by_others.extend(keys),
        }
    }

    let detail = "the conflict or its resource was updated concurrently in every attempt: send the decision again";
    Err(Problem::new(ProblemCode::Contended, detail).into())
}

/// Rejects a resolution that would store a media key whose upload was not verified for the
/// resource.
async fn verify_media(
    context: &Context,
    plan: &ResolvePlan,
    conflict: &Conflict,
    current: Option<&Resource>,
    resolver: Resolver<'_>,
) -> Result<(), Error> {
    let rules = resolver.catalog.get(&conflict.resource.resource_type);
    let new = NewMedia::of(plan, conflict, current, rules)?;

    let to_find = new.references_to_load();
    let verified_before = match to_find.is_empty() {
        true => HashSet::new(),
        false => {
            context
                .tables
                .submission_media
                .verified(resolver.tenant, to_find)
                .await?
        }
    };

    Ok(new.check(&verified_before)?)
}

/// Loads the current resource of a conflict, with its complete payload.
async fn load(
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

/// Writes the resolution in one transaction.
async fn transact(
    context: &Context,
    conflict: &Conflict,
    plan: &ResolvePlan,
    tenant: &str,
) -> Result<CommitOutcome, Error> {
    let tables = &context.tables;
    let key = &conflict.resource;
    let scope = Scope {
        tenant: tenant.to_owned(),
        channel: key.channel.clone(),
    };

    tables
        .keep_last_payloads(
            tenant,
            plan.write.iter().map(|write| (key, &write.resource)),
        )
        .await?;

    // The unique values are the first items of the transaction, in their order.
    let mut items = tables.unique_keys.transaction_items(&plan.unique, key)?;
    items.push(
        tables
            .conflicts
            .resolve_item(tenant, conflict, &plan.outcome)?,
    );
    items.push(match &plan.write {
        Some(write) => tables.resources.transaction_items(&scope, key, write)?,
        None => tables.resources.transact_absent(&scope, key)?,
    });
    items.extend(tables.audit_log.transaction_items(tenant, &plan.audit)?);

    match tables.transact(items).await? {
        TransactionOutcome::Done => Ok(CommitOutcome::Done),
        TransactionOutcome::Cancelled(reasons) => rejected(plan, reasons),
    }
}

fn rejected(plan: &ResolvePlan, mut reasons: Vec<Reason>) -> Result<CommitOutcome, Error> {
    let rest = reasons.split_off(plan.unique.touched().count().min(reasons.len()));
    if rest
        .iter()
        .chain(&reasons)
        .any(|reason| matches!(reason, Reason::Throttled))
    {
        return Err(Error::Unavailable(
            "the transaction of a decision was throttled".into(),
        ));
    }

    // A held unique value is reported only if the resolution was decided on the current conflict
    // and resource.
    if rest.iter().any(|reason| !matches!(reason, Reason::None)) {
        return Ok(CommitOutcome::ConcurrentUpdate);
    }

    let mut not_held = Vec::new();
    for (key, reason) in plan.unique.touched().zip(reasons) {
        let Reason::ConditionFailed(row) = reason else {
            continue;
        };
        if plan.unique.frees.contains(key) {
            not_held.push(key.clone());
            continue;
        }
        let holder = row.map(|row| holder(&key.resource_type, row)).transpose()?;
        let detail = format!(
            "another resource holds the value of {}: decide with manual_merge and another value",
            key.field
        );
        let problem = Problem::new(ProblemCode::UniqueViolation, detail).with("field", &key.field);
        return Err(match holder {
            Some(holder) => problem
                .with("holder_channel", &holder.channel.to_string())
                .with("holder_id", &holder.id),
            None => problem,
        }
        .into());
    }

    Ok(if not_held.is_empty() {
        CommitOutcome::ConcurrentUpdate
    } else {
        CommitOutcome::NotHeld(not_held)
    })
}

/// Returns the response to a resolution that was just written.
fn response_to(conflict: Conflict, plan: ResolvePlan) -> ResolveResponse {
    let outcome: ConflictOutcome = plan.outcome;
    response(conflict, outcome, plan.write.map(|write| write.resource))
}
