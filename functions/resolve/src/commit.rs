//! Deciding and committing until nobody was faster: conflict, resource, unique values and audit row
//! change together or not at all.

use std::collections::HashSet;

use tidemark_aws::{
    Context, Failure, http,
    metrics::Metric,
    tables::{Reason, TransactionOutcome, unique_keys::holder},
};
use tidemark_core::{
    channel::Scope,
    conflict::{Conflict, ConflictOutcome},
    limits::COMMIT_ATTEMPTS_MAX,
    protocol::{
        problem::{Problem, ProblemCode},
        resolve::ResolveResponse,
    },
    resolve::{NewMedia, ResolveCommand, ResolveOutcome, ResolvePlan, Resolver, decide, response},
    resource::Resource,
    unique::UniqueKey,
};

/// What became of a settlement.
enum CommitOutcome {
    /// All of it is written.
    Done,
    /// Others were faster: it is decided again.
    Lost,
    /// Somebody else holds these values, which the resource only seemed to hold: they are not its
    /// to free.
    NotItsOwn(Vec<UniqueKey>),
}

/// Decides the conflict `id`, and writes the decision.
pub(crate) async fn commit(
    context: &Context,
    id: &str,
    asked: &ResolveCommand,
    resolver: Resolver<'_>,
) -> Result<ResolveResponse, Failure> {
    let mut foreign = HashSet::new();
    for attempt in 0..COMMIT_ATTEMPTS_MAX {
        if attempt > 0 {
            tokio::time::sleep(context.random.raced(attempt)).await;
        }
        let conflict = context
            .tables
            .conflicts
            .read(resolver.tenant, None, id)
            .await?
            .ok_or_else(http::not_found)?;
        let current = load(context, &conflict, resolver.tenant).await?;
        let audit_id = context.clock.unique_id().to_string();
        let mut settlement = match decide(
            &conflict,
            current.as_ref(),
            asked,
            resolver,
            audit_id,
            context.clock.now(),
        )? {
            ResolveOutcome::Before(outcome) => return Ok(response(conflict, outcome, current)),
            ResolveOutcome::Settle(settlement) => settlement,
        };
        verify_media(context, &settlement, &conflict, current.as_ref(), resolver).await?;
        settlement.unique.frees.retain(|key| !foreign.contains(key));
        match transact(context, &conflict, &settlement, resolver.tenant).await? {
            CommitOutcome::Done => {
                context.meter.count(Metric::ConflictsResolved, 1);
                context.meter.count(
                    Metric::AcceptedChanges,
                    usize::from(settlement.write.is_some()),
                );
                return Ok(settled(conflict, *settlement));
            }
            CommitOutcome::Lost => {}
            CommitOutcome::NotItsOwn(keys) => foreign.extend(keys),
        }
    }
    let detail = "others changed the conflict or its resource at the same moment, again and again: send the decision again";
    Err(Problem::new(ProblemCode::Contended, detail).into())
}

/// Rejects a decision that would store a media key whose upload was not verified for the resource.
async fn verify_media(
    context: &Context,
    settlement: &ResolvePlan,
    conflict: &Conflict,
    current: Option<&Resource>,
    resolver: Resolver<'_>,
) -> Result<(), Failure> {
    let rules = resolver.catalog.get(&conflict.resource.resource_type);
    let new = NewMedia::of(settlement, conflict, current, rules)?;
    let to_find = new.to_find();
    let noted = match to_find.is_empty() {
        true => HashSet::new(),
        false => {
            context
                .tables
                .submission_media
                .noted(resolver.tenant, to_find)
                .await?
        }
    };
    Ok(new.check(&noted)?)
}

/// The resource as it stands.
async fn load(
    context: &Context,
    conflict: &Conflict,
    tenant: &str,
) -> Result<Option<Resource>, Failure> {
    let mut loaded = context
        .tables
        .resources
        .load(tenant, [&conflict.resource])
        .await?;
    if loaded.unreadable.contains(&conflict.resource) {
        return Err(Failure::unreadable("resource of a conflict", &conflict.id));
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

/// Writes all of it or nothing.
async fn transact(
    context: &Context,
    conflict: &Conflict,
    settlement: &ResolvePlan,
    tenant: &str,
) -> Result<CommitOutcome, Failure> {
    let tables = &context.tables;
    let key = &conflict.resource;
    let scope = Scope {
        tenant: tenant.to_owned(),
        channel: key.channel.clone(),
    };
    tables
        .keep_last_payloads(
            tenant,
            settlement.write.iter().map(|write| (key, &write.resource)),
        )
        .await?;
    // The unique values come first, in their order.
    let mut items = tables.unique_keys.transact(&settlement.unique, key)?;
    items.push(
        tables
            .conflicts
            .settle(tenant, conflict, &settlement.outcome)?,
    );
    items.push(match &settlement.write {
        Some(write) => tables.resources.transact(&scope, key, write)?,
        None => tables.resources.transact_absent(&scope, key)?,
    });
    items.extend(tables.audit_log.transact(tenant, &settlement.audit)?);
    match tables.transact(items).await? {
        TransactionOutcome::Done => Ok(CommitOutcome::Done),
        TransactionOutcome::Cancelled(reasons) => rejected(settlement, reasons),
    }
}

fn rejected(settlement: &ResolvePlan, mut reasons: Vec<Reason>) -> Result<CommitOutcome, Failure> {
    let rest = reasons.split_off(settlement.unique.touched().count().min(reasons.len()));
    if rest
        .iter()
        .chain(&reasons)
        .any(|reason| matches!(reason, Reason::Throttled))
    {
        return Err(Failure::Outage(
            "the transaction of a decision was throttled".into(),
        ));
    }
    // Who else holds a value counts only for what was decided on things as they are.
    if rest.iter().any(|reason| !matches!(reason, Reason::None)) {
        return Ok(CommitOutcome::Lost);
    }
    let mut not_its_own = Vec::new();
    for (key, reason) in settlement.unique.touched().zip(reasons) {
        let Reason::ConditionFailed(row) = reason else {
            continue;
        };
        if settlement.unique.frees.contains(key) {
            not_its_own.push(key.clone());
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
    Ok(if not_its_own.is_empty() {
        CommitOutcome::Lost
    } else {
        CommitOutcome::NotItsOwn(not_its_own)
    })
}

/// The answer to a decision that was just written.
fn settled(conflict: Conflict, settlement: ResolvePlan) -> ResolveResponse {
    let outcome: ConflictOutcome = settlement.outcome;
    response(
        conflict,
        outcome,
        settlement.write.map(|write| write.resource),
    )
}
