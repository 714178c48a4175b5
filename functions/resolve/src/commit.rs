//! Deciding and committing until nobody was faster: conflict, resource, unique values and audit row
//! change together or not at all.

use std::collections::HashSet;

use tidemark_aws::{
    Failure, Platform, edge,
    metrics::Metric,
    tables::{Reason, Transacted, unique_keys::holder},
};
use tidemark_core::{
    channel::Scope,
    conflict::{Conflict, Outcome},
    limits::COMMIT_ATTEMPTS_MAX,
    protocol::{
        problem::{Problem, ProblemCode},
        resolve::ResolveResponse,
    },
    resolve::{Asked, NewMedia, Resolver, Ruling, Settlement, answer, decide},
    resource::Resource,
    unique::UniqueKey,
};

/// What became of a settlement.
enum Committed {
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
    platform: &Platform,
    id: &str,
    asked: &Asked,
    resolver: Resolver<'_>,
) -> Result<ResolveResponse, Failure> {
    let mut foreign = HashSet::new();
    for attempt in 0..COMMIT_ATTEMPTS_MAX {
        if attempt > 0 {
            tokio::time::sleep(platform.random.raced(attempt)).await;
        }
        let conflict = platform
            .tables
            .conflicts
            .read(resolver.tenant, None, id)
            .await?
            .ok_or_else(edge::not_found)?;
        let current = load(platform, &conflict, resolver.tenant).await?;
        let audit_id = platform.clock.unique_id().to_string();
        let mut settlement = match decide(
            &conflict,
            current.as_ref(),
            asked,
            resolver,
            audit_id,
            platform.clock.now(),
        )? {
            Ruling::Before(outcome) => return Ok(answer(conflict, outcome, current)),
            Ruling::Settle(settlement) => settlement,
        };
        verify_media(platform, &settlement, &conflict, current.as_ref(), resolver).await?;
        settlement.unique.frees.retain(|key| !foreign.contains(key));
        match transact(platform, &conflict, &settlement, resolver.tenant).await? {
            Committed::Done => {
                platform.meter.count(Metric::ConflictsResolved, 1);
                platform.meter.count(
                    Metric::AcceptedChanges,
                    usize::from(settlement.write.is_some()),
                );
                return Ok(settled(conflict, *settlement));
            }
            Committed::Lost => {}
            Committed::NotItsOwn(keys) => foreign.extend(keys),
        }
    }
    let detail = "others changed the conflict or its resource at the same moment, again and again: send the decision again";
    Err(Problem::new(ProblemCode::Contended, detail).into())
}

/// Rejects a decision that would store a media key whose upload was not verified for the resource.
async fn verify_media(
    platform: &Platform,
    settlement: &Settlement,
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
            platform
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
    platform: &Platform,
    conflict: &Conflict,
    tenant: &str,
) -> Result<Option<Resource>, Failure> {
    let mut loaded = platform
        .tables
        .resources
        .load(tenant, [&conflict.resource])
        .await?;
    if loaded.unreadable.contains(&conflict.resource) {
        return Err(Failure::unreadable("resource of a conflict", &conflict.id));
    }
    match loaded.rows.remove(&conflict.resource) {
        Some(resource) => platform
            .tables
            .whole(tenant, &conflict.resource, resource)
            .await
            .map(Some),
        None => Ok(None),
    }
}

/// Writes all of it or nothing.
async fn transact(
    platform: &Platform,
    conflict: &Conflict,
    settlement: &Settlement,
    tenant: &str,
) -> Result<Committed, Failure> {
    let tables = &platform.tables;
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
        Transacted::Done => Ok(Committed::Done),
        Transacted::Cancelled(reasons) => refused(settlement, reasons),
    }
}

fn refused(settlement: &Settlement, mut reasons: Vec<Reason>) -> Result<Committed, Failure> {
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
        return Ok(Committed::Lost);
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
        Committed::Lost
    } else {
        Committed::NotItsOwn(not_its_own)
    })
}

/// The answer to a decision that was just written.
fn settled(conflict: Conflict, settlement: Settlement) -> ResolveResponse {
    let outcome: Outcome = settlement.outcome;
    answer(
        conflict,
        outcome,
        settlement.write.map(|write| write.resource),
    )
}
