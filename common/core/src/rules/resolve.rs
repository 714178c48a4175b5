//! Resolves a conflict (§5) as a pure function. From the conflict, the current resource and the
//! admin's command, [`decide`] computes the writes of one transaction, or the problem that rejects
//! the command. Loading and committing happen elsewhere.

mod content;
mod media;
mod request;
mod response;
mod stored;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

pub use media::NewMedia;
pub use request::{ResolveChoice, ResolveCommand};
pub use response::response;

use content::ResolvedContent;
use stored::stored;

use crate::{
    model::{
        catalog::{Catalog, ResourceType},
        conflict::{Conflict, ConflictOutcome, Resolution},
        resource::Resource,
    },
    rules::{
        audit::{AuditEntry, AuditedConflict, Via},
        push::{content::check_stored, decide::ResourceWrite},
        unique::UniqueChange,
    },
    wire::{
        problem::{Problem, ProblemCode},
        timestamp,
    },
};

/// The actor that resolves a conflict, and the rules that apply.
#[derive(Debug, Clone, Copy)]
pub struct Resolver<'a> {
    /// The tenant of the conflict.
    pub tenant: &'a str,
    /// The actor: a user of the tenant or an operator.
    pub by: &'a str,
    /// The entry point through which the command came.
    pub via: Via,
    /// The resource types of the deployment.
    pub catalog: &'a Catalog,
}

/// The outcome of a resolve command.
#[derive(Debug)]
pub enum ResolveOutcome {
    /// The conflict was already resolved in the same way, with this outcome. Nothing has to be
    /// written.
    Before(ConflictOutcome),
    /// The conflict has to be resolved with this plan.
    Resolve(Box<ResolvePlan>),
}

/// The writes of a resolution, made in one transaction.
#[derive(Debug)]
pub struct ResolvePlan {
    /// The outcome of the conflict, written on the condition that the conflict is open.
    pub outcome: ConflictOutcome,
    /// The number of edits that the decision covers, as a condition: the write fails if another
    /// edit has joined.
    pub expected_edits: usize,
    /// The resource to write. `None` if there is no resource, on the condition that there still is
    /// none.
    pub write: Option<ResourceWrite>,
    /// The unique values to claim and free.
    pub unique: UniqueChange,
    /// The audit log entry of the resolution.
    pub audit: AuditEntry,
}

/// Resolves `conflict`, whose resource is `current`, as `command` requests, at the time `now`. The
/// audit log entry gets the id `audit_id`.
///
/// # Errors
/// Returns a [`Problem`]: `already_resolved` if the conflict was resolved in another way,
/// `version_changed` with the current state, or `unprocessable` if the content to be stored breaks
/// a rule of §2.
pub fn decide(
    conflict: &Conflict,
    current: Option<&Resource>,
    command: &ResolveCommand,
    resolver: Resolver<'_>,
    audit_id: String,
    now: DateTime<Utc>,
) -> Result<ResolveOutcome, Problem> {
    if let Some(outcome) = &conflict.outcome {
        return repeated(outcome, command);
    }
    check_version(current, command)?;

    // Decide the content and check it.
    let rules = resolver.catalog.get(&conflict.resource.resource_type);
    let content = ResolvedContent::decided(conflict, current, &command.response)?;
    if !matches!(command.response, ResolveChoice::AcceptServer) {
        check(content.as_ref(), rules, &command.response)?;
    }
    let resource =
        content.map(|content| stored(conflict, current, content, command, resolver, now));

    // Plan the writes.
    let outcome = outcome(command, resolver, resource.as_ref(), now);
    let audit = AuditEntry::of_decision(
        audit_id,
        resolver.via,
        audited(conflict),
        &outcome,
        current,
        resource.as_ref(),
    );
    let unique = rules.map(|rules| {
        UniqueChange::between(
            rules,
            resolver.tenant,
            &conflict.resource,
            current,
            resource.as_ref(),
        )
    });

    Ok(ResolveOutcome::Resolve(Box::new(ResolvePlan {
        outcome,
        expected_edits: conflict.edits.len(),
        write: resource.map(|resource| ResourceWrite {
            expected_version: current.map(|current| current.server_version),
            resource,
        }),
        unique: unique.unwrap_or_default(),
        audit,
    })))
}

/// Returns the outcome of a resolved conflict if `command` repeats its resolution.
fn repeated(
    outcome: &ConflictOutcome,
    command: &ResolveCommand,
) -> Result<ResolveOutcome, Problem> {
    if command.repeats(outcome) {
        Ok(ResolveOutcome::Before(outcome.clone()))
    } else {
        Err(already_resolved(outcome))
    }
}

/// Checks that the resource still has the version that the admin reviewed.
fn check_version(current: Option<&Resource>, command: &ResolveCommand) -> Result<(), Problem> {
    let version = current.map_or(0, |resource| resource.server_version);
    match command.expected_server_version {
        Some(expected) if expected != version => Err(version_changed(current)),
        _ => Ok(()),
    }
}

fn outcome(
    command: &ResolveCommand,
    resolver: Resolver<'_>,
    resource: Option<&Resource>,
    now: DateTime<Utc>,
) -> ConflictOutcome {
    ConflictOutcome {
        resolution: command.response.resolution(),
        resolved_by: resolver.by.to_owned(),
        resolved_at: now,
        note: command.note.clone(),
        server_version: resource.map_or(0, |resource| resource.server_version),
        merged_digest: command.response.merged_digest(),
    }
}

fn audited(conflict: &Conflict) -> AuditedConflict<'_> {
    AuditedConflict {
        id: &conflict.id,
        resource: &conflict.resource,
        user: &conflict.user,
        device_id: &conflict.device_id,
    }
}

/// Checks the content to be stored against the rules of §2 and of the catalog. The content of a
/// deleted resource was checked when it was stored.
fn check(
    content: Option<&ResolvedContent>,
    rules: Option<&ResourceType>,
    response: &ResolveChoice,
) -> Result<(), Problem> {
    let Some(content) = content.filter(|content| !content.deleted) else {
        return Ok(());
    };

    let Some(rules) = rules else {
        let detail =
            "the catalog no longer has the type of this resource: accept_server leaves it as it is";
        return Err(Problem::new(ProblemCode::Unprocessable, detail));
    };

    check_stored(&content.payload, rules).map_err(|rejection| {
        let problem = Problem::new(ProblemCode::Unprocessable, &rejection.error)
            .with("reason", &rejection.code);
        match (response, rejection.error.split_once(':')) {
            // Only a manual merge has a payload to which the path can refer.
            (ResolveChoice::ManualMerge { .. }, Some((path, _))) => problem.at(path),
            _ => problem,
        }
    })
}

fn already_resolved(outcome: &ConflictOutcome) -> Problem {
    let detail =
        "the conflict was already resolved in another way: edit the resource if that was wrong";
    Problem::new(ProblemCode::AlreadyResolved, detail)
        .with("resolution", &outcome.resolution)
        .with("resolved_by", &outcome.resolved_by)
        .with("resolved_at", &timestamp(outcome.resolved_at))
}

fn version_changed(current: Option<&Resource>) -> Problem {
    let version = current.map_or(0, |resource| resource.server_version);
    let detail = format!(
        "the resource is now at version {version}: review it and resolve the conflict again"
    );
    Problem::new(ProblemCode::VersionChanged, detail)
        .with("server_version", &version)
        .with(
            "server_deleted",
            &current.is_some_and(|resource| resource.deleted),
        )
        .with("server_payload", &current.map(|resource| &resource.payload))
}

impl ResolveChoice {
    /// Returns the resolution that corresponds to the choice.
    pub const fn resolution(&self) -> Resolution {
        match self {
            Self::AcceptServer => Resolution::AcceptServer,
            Self::AcceptClient => Resolution::AcceptClient,
            Self::ManualMerge { .. } => Resolution::ManualMerge,
        }
    }
}
