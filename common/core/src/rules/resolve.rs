//! Resolves a conflict (§5) as a pure function. From the conflict, the current resource and the
//! admin's command, [`decide`] computes the writes of one transaction, or the reason to reject the
//! command. Loading and committing happen elsewhere.

mod content;
mod media;
mod pick;
mod stored;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

pub use media::NewMedia;
pub use pick::compose;

use content::ResolvedContent;
use stored::stored;

use crate::{
    model::{
        audit::{AuditEntry, Via},
        catalog::{Catalog, ResourceType},
        conflict::{Conflict, ConflictOutcome},
        json,
        resolve::{RequestedResolution, ResolveChoice, ResolveCommand, ResolveRejection},
        resource::Resource,
    },
    rules::{
        audit::AuditedConflict,
        push::{content::check_stored, decision::ResourceWrite},
        unique::UniqueChange,
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
    /// The id of the bulk request that the command is part of.
    pub bulk_id: Option<&'a str>,
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
    /// The resolution that the command requests.
    pub requested: RequestedResolution,
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
/// Returns a [`ResolveRejection`] if the conflict was resolved in another way, if the resource does
/// not have the expected version, or if the content to be stored breaks a rule of §2.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use tidemark_core::{
///     model::{audit::Via, resolve::{ResolveChoice, ResolveCommand, ResolveRejection}},
///     rules::resolve::{ResolveOutcome, Resolver, decide},
/// };
///
/// let phone = phone::Phone::new();
/// let catalog = &phone.catalog;
/// let resolver = Resolver { tenant: "acme", by: "root", via: Via::Api, bulk_id: None, catalog };
/// let conflict = phone::conflict(r#"{"unit":"kWh"}"#);
/// let meter = phone::stored(r#"{"unit":"Wh","code":"A"}"#);
/// let resolve = |reviewed| {
///     let choice = ResolveChoice::AcceptClient;
///     let command =
///         ResolveCommand { choice, expected_server_version: Some(reviewed), note: None };
///     decide(&conflict, Some(&meter), &command, resolver, "1".into(), Default::default())
/// };
///
/// // The edit of the device is applied to the current content, as the next version.
/// let Ok(ResolveOutcome::Resolve(plan)) = resolve(1) else { panic!("the conflict is open") };
/// let written = plan.write.unwrap().resource;
/// assert_eq!(written.payload.get(), r#"{"unit":"kWh","code":"A"}"#);
/// assert_eq!((written.server_version, plan.outcome.server_version), (2, 2));
///
/// // The admin reviewed another version.
/// assert!(matches!(resolve(7), Err(ResolveRejection::VersionChanged { server_version: 1, .. })));
/// ```
pub fn decide(
    conflict: &Conflict,
    current: Option<&Resource>,
    command: &ResolveCommand,
    resolver: Resolver<'_>,
    audit_id: String,
    now: DateTime<Utc>,
) -> Result<ResolveOutcome, ResolveRejection> {
    if let Some(outcome) = &conflict.outcome {
        return repeated(outcome, command);
    }
    check_version(current, command)?;

    // Decide the content and check it.
    let rules = resolver.catalog.get(&conflict.resource.resource_type);
    let content = ResolvedContent::decided(conflict, current, &command.choice)?;
    if !matches!(command.choice, ResolveChoice::AcceptServer) {
        check(content.as_ref(), rules, &command.choice)?;
    }
    let resource =
        content.map(|content| stored(conflict, current, content, command, resolver, now));

    // Plan the writes.
    let outcome = outcome(command, resolver, resource.as_ref(), now);
    let mut audit = AuditEntry::of_decision(
        audit_id,
        resolver.via,
        audited(conflict),
        &outcome,
        current,
        resource.as_ref(),
    );
    audit.bulk_id = resolver.bulk_id.map(str::to_owned);
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
        requested: command.choice.requested(),
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
) -> Result<ResolveOutcome, ResolveRejection> {
    if command.repeats(outcome) {
        Ok(ResolveOutcome::Before(outcome.clone()))
    } else {
        Err(ResolveRejection::AlreadyResolved(outcome.clone()))
    }
}

/// Checks that the resource still has the version that the admin reviewed.
fn check_version(
    current: Option<&Resource>,
    command: &ResolveCommand,
) -> Result<(), ResolveRejection> {
    let version = current.map_or(0, |resource| resource.server_version);
    match command.expected_server_version {
        Some(expected) if expected != version => Err(ResolveRejection::VersionChanged {
            server_version: version,
            server_deleted: current.is_some_and(|resource| resource.deleted),
            server_payload: current.map(|resource| resource.payload.clone()),
        }),
        _ => Ok(()),
    }
}

fn outcome(
    command: &ResolveCommand,
    resolver: Resolver<'_>,
    resource: Option<&Resource>,
    now: DateTime<Utc>,
) -> ConflictOutcome {
    // A manual merge with the composed payload repeats a resolution by field.
    let composed = match &command.choice {
        ResolveChoice::FieldPick(_) => resource.map(|it| json::payload_digest(&it.payload)),
        _ => None,
    };

    ConflictOutcome {
        resolution: command.choice.requested().recorded(),
        resolved_by: resolver.by.to_owned(),
        resolved_at: now,
        note: command.note.clone(),
        server_version: resource.map_or(0, |resource| resource.server_version),
        merged_digest: command.choice.merged_digest().or(composed),
        picked_digest: command.picked_digest(),
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
    choice: &ResolveChoice,
) -> Result<(), ResolveRejection> {
    let Some(content) = content.filter(|content| !content.deleted) else {
        return Ok(());
    };

    let rules = rules.ok_or(ResolveRejection::TypeRemoved)?;
    check_stored(&content.payload, rules).map_err(|rejection| ResolveRejection::Content {
        requested: choice.requested(),
        rejection,
    })
}
