//! Appends segments to a change log, and retries after concurrent updates.

use tidemark_aws::{Context, Error, metrics::Metric, tables::changes::AppendOutcome};
use tidemark_core::{
    model::channel::Scope,
    rules::sequence::plan::{Record, classify},
};

/// The maximum number of appends per channel while concurrent updates fail their condition. A
/// condition fails only if another writer made progress.
pub(crate) const APPEND_ATTEMPTS_MAX: u32 = 50;

/// Returns the error for a channel whose log other writers kept changing.
pub(crate) fn concurrent_updates() -> Error {
    Error::unavailable(format!(
        "{APPEND_ATTEMPTS_MAX} appends to a channel failed because of concurrent updates"
    ))
}

/// Makes one attempt: reads the head, classifies the records, and appends the missing changes.
pub(super) async fn try_append(
    context: &Context,
    scope: &Scope,
    records: Vec<Record>,
) -> Result<AppendOutcome, Error> {
    // Load.
    let tables = &context.tables;
    let head = tables
        .changes
        .heads(std::slice::from_ref(scope))
        .await?
        .pop()
        .flatten();

    let mut classified = classify(head.as_ref(), records);
    let held = tables
        .changes
        .held(scope, classified.positions_to_look_up())
        .await?;
    classified = classified.without_duplicates(&held);

    let to_load = classified.resources_to_load();
    let versions = tables.resources.versions(&scope.tenant, &to_load).await?;

    // Decide and commit.
    let steps = classified.steps(head.as_ref(), &versions, context.clock.now());
    if tables.changes.append(scope, &steps).await? == AppendOutcome::ConcurrentUpdate {
        return Ok(AppendOutcome::ConcurrentUpdate);
    }

    let changes = || steps.iter().flat_map(|step| &step.segment.entries);
    context
        .meter
        .count(Metric::SequencedChanges, changes().count());
    if let Some(oldest) = changes().map(|entry| entry.changed_at).min() {
        context
            .meter
            .note_age(Metric::LogHeadAge, context.clock.now() - oldest);
    }
    Ok(AppendOutcome::Done)
}
