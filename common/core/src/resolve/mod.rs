//! Deciding a conflict (§5) as a pure function: given the conflict, the resource as it stands and
//! what an admin asks for, [`decide`] says what to write, all of it or nothing, or why it is
//! refused. Loading and committing happen elsewhere.

mod content;
mod media;
mod request;
mod response;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

pub use media::NewMedia;
pub use request::{ResolveChoice, ResolveCommand};
pub use response::response;

use content::{ResolvedContent, edits_to_apply};

use crate::{
    audit::{AuditEntry, AuditedConflict, Via},
    catalog::{Catalog, Policy, ResourceType},
    conflict::{Conflict, ConflictOutcome, ConflictResolution, Resolution},
    field_versions::changed_fields,
    principal::Author,
    protocol::{
        Action,
        problem::{Problem, ProblemCode},
        timestamp,
    },
    push::{content::check_stored, decide::ResourceWrite},
    resource::{AppliedEdit, Creation, Resource, Run},
    unique::UniqueChange,
};

/// Who decides, by whose authority and which rules.
#[derive(Debug, Clone, Copy)]
pub struct Resolver<'a> {
    /// The tenant of the conflict.
    pub tenant: &'a str,
    /// A user of the tenant, or an operator.
    pub by: &'a str,
    /// Through which door.
    pub via: Via,
    /// The types of the deployment.
    pub catalog: &'a Catalog,
}

/// What a decision comes to.
#[derive(Debug)]
pub enum ResolveOutcome {
    /// The conflict was decided before, in the same way: this is how. Nothing is to be written.
    Before(ConflictOutcome),
    /// It is to be decided now.
    Settle(Box<ResolvePlan>),
}

/// What to write, in one transaction.
#[derive(Debug)]
pub struct ResolvePlan {
    /// How the conflict ends, on the condition that it is open.
    pub outcome: ConflictOutcome,
    /// How many edits the decision was made on: a condition, so that none joins behind its back.
    pub expected_edits: usize,
    /// The resource; `None` where none stands, on the condition that none does still.
    pub write: Option<ResourceWrite>,
    /// Values of unique fields that change hands.
    pub unique: UniqueChange,
    /// What the audit log says of it.
    pub audit: AuditEntry,
}

/// Decides `conflict`, whose resource is `current`, as `asked`, at the moment `now`. The entry of
/// the audit log gets the id `audit_id`.
///
/// # Errors
/// A [`Problem`]: `already_resolved` in another way, `version_changed` with the current state, or
/// `unprocessable` when what would be stored breaks a rule of §2.
pub fn decide(
    conflict: &Conflict,
    current: Option<&Resource>,
    asked: &ResolveCommand,
    resolver: Resolver<'_>,
    audit_id: String,
    now: DateTime<Utc>,
) -> Result<ResolveOutcome, Problem> {
    if let Some(outcome) = &conflict.outcome {
        return if asked.repeats(outcome) {
            Ok(ResolveOutcome::Before(outcome.clone()))
        } else {
            Err(already_resolved(outcome))
        };
    }
    let version = current.map_or(0, |resource| resource.server_version);
    if asked
        .expected_server_version
        .is_some_and(|expected| expected != version)
    {
        return Err(version_changed(current));
    }
    let rules = resolver.catalog.get(&conflict.resource.resource_type);
    let content = ResolvedContent::decided(conflict, current, &asked.response)?;
    if !matches!(asked.response, ResolveChoice::AcceptServer) {
        check(content.as_ref(), rules, &asked.response)?;
    }
    let resource = content.map(|content| stored(conflict, current, content, asked, resolver, now));
    let outcome = ConflictOutcome {
        resolution: asked.response.resolution(),
        resolved_by: resolver.by.to_owned(),
        resolved_at: now,
        note: asked.note.clone(),
        server_version: resource
            .as_ref()
            .map_or(0, |resource| resource.server_version),
        merged_digest: asked.response.merged_digest(),
    };
    let unique = rules.map(|rules| {
        UniqueChange::between(
            rules,
            resolver.tenant,
            &conflict.resource,
            current,
            resource.as_ref(),
        )
    });
    Ok(ResolveOutcome::Settle(Box::new(ResolvePlan {
        audit: AuditEntry::of_decision(
            audit_id,
            resolver.via,
            AuditedConflict {
                id: &conflict.id,
                resource: &conflict.resource,
                user: &conflict.user,
                device_id: &conflict.device_id,
            },
            &outcome,
            current,
            resource.as_ref(),
        ),
        outcome,
        expected_edits: conflict.edits.len(),
        write: resource.map(|resource| ResourceWrite {
            expected_version: current.map(|current| current.server_version),
            resource,
        }),
        unique: unique.unwrap_or_default(),
    })))
}

/// The rules of §2 and of the catalog for what would be stored. What a deleted resource keeps was
/// checked when it was stored.
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
            // Only then does the request have a payload to point at.
            (ResolveChoice::ManualMerge { .. }, Some((path, _))) => problem.at(path),
            _ => problem,
        }
    })
}

/// The row with `content`, one version on, written by the resolver, so that every device gets it,
/// the conflicting one included.
fn stored(
    conflict: &Conflict,
    current: Option<&Resource>,
    content: ResolvedContent,
    asked: &ResolveCommand,
    resolver: Resolver<'_>,
    now: DateTime<Utc>,
) -> Resource {
    let version = current.map_or(1, |resource| resource.server_version + 1);
    let run = Run {
        author: Author::device(resolver.by, ""),
        began: version,
        client_version_max: 0,
        is_optimistic: false,
    };
    let policy = resolver
        .catalog
        .get(&conflict.resource.resource_type)
        .map(|rules| rules.policy);
    let mut resource = match current {
        Some(current) => {
            // A deleted resource that stays deleted keeps its last payload where it is.
            let is_kept = content.deleted && content.payload.get() == current.payload.get();
            Resource {
                payload: content.payload,
                kept: current.kept.filter(|_| is_kept),
                run,
                ..current.clone()
            }
        }
        None => {
            let creation = creation(conflict, &content, resolver);
            let mut resource = Resource::new(content.payload, now, run, creation);
            if policy == Some(Policy::ClientWins) {
                resource.claims.note_all_from_create();
            }
            resource
        }
    };
    (
        resource.server_version,
        resource.deleted,
        resource.changed_at,
    ) = (version, content.deleted, now);
    if matches!(asked.response, ResolveChoice::AcceptClient) {
        note_applied(&mut resource, conflict, current, policy);
    }
    if let Some(current) = current {
        let author = resource.run.author.clone();
        let changed = |resource: &Resource| changed_fields(&current.payload, &resource.payload);
        resource.note_fields(policy, current.deleted, changed, &author, 0);
    }
    let resolution = asked.response.resolution();
    resource.note_resolution(ConflictResolution {
        id: conflict.id.clone(),
        resolution,
        server_version: version,
    });
    resource
}

/// A device that sends an accepted edit again is told that it is applied, and it is never applied
/// twice (§3.4, §3.6).
fn note_applied(
    resource: &mut Resource,
    conflict: &Conflict,
    current: Option<&Resource>,
    policy: Option<Policy>,
) {
    let server_version = resource.server_version;
    let device = Author::device(&conflict.user, &conflict.device_id);
    for (kept, edit) in edits_to_apply(conflict, current).enumerate() {
        resource.edits.record_edit(
            AppliedEdit {
                id: edit.id,
                server_version,
                is_merged: false,
            },
            kept,
        );
        if policy == Some(Policy::ClientWins)
            || edit.base_version.is_none() && edit.client_version > server_version
        {
            resource.claims.note(&device, edit.client_version);
        }
    }
}

/// The create of a resource that a decision makes: the device's, where what it sent is what is
/// stored, else the resolver's.
fn creation(conflict: &Conflict, content: &ResolvedContent, resolver: Resolver<'_>) -> Creation {
    let create = conflict
        .edits
        .iter()
        .find(|edit| edit.action == Action::Create)
        .filter(|_| !content.is_merged);
    let (author, sent) = match create {
        Some(create) => (
            Author::device(&conflict.user, &conflict.device_id),
            &create.payload,
        ),
        None => (Author::device(resolver.by, ""), &content.payload),
    };
    Creation {
        author,
        client_temp_id: None,
        digest: request::payload_digest(sent),
    }
}

fn already_resolved(outcome: &ConflictOutcome) -> Problem {
    let detail =
        "the conflict was decided before, in another way: edit the resource if that was wrong";
    Problem::new(ProblemCode::AlreadyResolved, detail)
        .with("resolution", &outcome.resolution)
        .with("resolved_by", &outcome.resolved_by)
        .with("resolved_at", &timestamp(outcome.resolved_at))
}

fn version_changed(current: Option<&Resource>) -> Problem {
    let version = current.map_or(0, |resource| resource.server_version);
    let detail =
        format!("the resource is at version {version} by now: look at it, and decide again");
    Problem::new(ProblemCode::VersionChanged, detail)
        .with("server_version", &version)
        .with(
            "server_deleted",
            &current.is_some_and(|resource| resource.deleted),
        )
        .with("server_payload", &current.map(|resource| &resource.payload))
}

impl ResolveChoice {
    /// The word for it.
    pub const fn resolution(&self) -> Resolution {
        match self {
            Self::AcceptServer => Resolution::AcceptServer,
            Self::AcceptClient => Resolution::AcceptClient,
            Self::ManualMerge { .. } => Resolution::ManualMerge,
        }
    }
}
