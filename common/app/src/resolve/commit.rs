//! Commits a resolution: the conflict, the resource, its unique values and the audit entry are
//! written in one transaction.

use tidemark_aws::{
    Context, Error,
    tables::{Reason, TransactionOutcome, unique_keys::holder},
};
use tidemark_core::{
    model::{channel::Scope, conflict::Conflict, resource::ResourceKey},
    rules::{resolve::ResolvePlan, unique::UniqueKey},
    wire::problem::{Problem, ProblemCode},
};

/// The outcome of one attempt to commit a resolution.
pub(super) enum AttemptOutcome {
    /// The complete transaction is written.
    Done,
    /// A condition failed because of a concurrent update, so the resolution is decided again.
    ConcurrentUpdate,
    /// Other resources hold these values, which the resolved resource was assumed to hold. It must
    /// not free them.
    NotHeld(Vec<UniqueKey>),
}

/// Checks that no other resource holds a value that the plan claims, as the transaction would.
pub(super) async fn check_claims(
    context: &Context,
    conflict: &Conflict,
    plan: &ResolvePlan,
) -> Result<(), Error> {
    let claims = &plan.unique.claims;
    if claims.is_empty() {
        return Ok(());
    }

    let mut holders = context.tables.unique_keys.holders(claims).await?;
    holders.retain(|_, holder| *holder != conflict.resource);
    match claims.iter().find(|key| holders.contains_key(key)) {
        Some(key) => Err(unique_violation(key, holders.remove(key)).into()),
        None => Ok(()),
    }
}

/// Writes the resolution in one transaction.
pub(super) async fn transact(
    context: &Context,
    conflict: &Conflict,
    plan: &ResolvePlan,
    tenant: &str,
) -> Result<AttemptOutcome, Error> {
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
        TransactionOutcome::Done => Ok(AttemptOutcome::Done),
        TransactionOutcome::Cancelled(reasons) => rejected(plan, reasons),
    }
}

/// Determines why the transaction was cancelled.
fn rejected(plan: &ResolvePlan, mut reasons: Vec<Reason>) -> Result<AttemptOutcome, Error> {
    let rest = reasons.split_off(plan.unique.touched().count().min(reasons.len()));
    if rest
        .iter()
        .chain(&reasons)
        .any(|reason| matches!(reason, Reason::Throttled))
    {
        return Err(Error::unavailable(
            "the transaction of a decision was throttled",
        ));
    }

    // A held unique value is reported only if the resolution was decided on the current conflict
    // and resource.
    if rest.iter().any(|reason| !matches!(reason, Reason::None)) {
        return Ok(AttemptOutcome::ConcurrentUpdate);
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
        return Err(unique_violation(key, holder).into());
    }

    Ok(if not_held.is_empty() {
        AttemptOutcome::ConcurrentUpdate
    } else {
        AttemptOutcome::NotHeld(not_held)
    })
}

/// Returns the problem for a unique value that another resource holds.
fn unique_violation(key: &UniqueKey, holder: Option<ResourceKey>) -> Problem {
    let detail = format!(
        "another resource holds the value of {}: decide with manual_merge and another value",
        key.field
    );
    let problem = Problem::new(ProblemCode::UniqueViolation, detail).with("field", &key.field);
    match holder {
        Some(holder) => problem
            .with("holder_channel", &holder.channel.to_string())
            .with("holder_id", &holder.id),
        None => problem,
    }
}
