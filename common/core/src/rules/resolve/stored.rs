//! The row that a resolution stores: the resolved content as the next version of the resource.

use chrono::{DateTime, Utc};

use crate::{
    model::{
        catalog::Policy,
        conflict::Conflict,
        edit::Action,
        field_versions::changed_fields,
        json::payload_digest,
        principal::Author,
        resolution::ConflictResolution,
        resolve::{ResolveChoice, ResolveCommand},
        resource::{AppliedEdit, Creation, Resource, Run},
    },
    rules::resolve::{
        Resolver,
        content::{ResolvedContent, edits_to_apply},
    },
};

/// Returns the row with `content` as the next version. Its author is the resolver, so that every
/// device receives it, including the conflicting one.
pub(super) fn stored(
    conflict: &Conflict,
    current: Option<&Resource>,
    content: ResolvedContent,
    command: &ResolveCommand,
    resolver: Resolver<'_>,
    now: DateTime<Utc>,
) -> Resource {
    let version = current.map_or(1, |resource| resource.server_version + 1);
    let deleted = content.deleted;
    let run = Run {
        author: Author::device(resolver.by, ""),
        began: version,
        client_version_max: 0,
        echo_to_author: false,
    };
    let policy = policy_of(conflict, resolver);

    let mut resource = match current {
        Some(current) => replaced(current, content, run),
        None => created(conflict, content, run, resolver, now),
    };
    resource.server_version = version;
    resource.deleted = deleted;
    resource.changed_at = now;

    if matches!(command.choice, ResolveChoice::AcceptClient) {
        note_applied(&mut resource, conflict, current, policy);
    }

    if let Some(current) = current {
        let author = resource.run.author.clone();
        let changed = |resource: &Resource| changed_fields(&current.payload, &resource.payload);
        resource.note_fields(policy, current.deleted, changed, &author, 0);
    }

    let resolution = command.choice.requested().recorded();
    resource.note_resolution(ConflictResolution {
        id: conflict.id.clone(),
        resolution,
        server_version: version,
    });
    resource
}

fn policy_of(conflict: &Conflict, resolver: Resolver<'_>) -> Option<Policy> {
    let rules = resolver.catalog.get(&conflict.resource.resource_type)?;
    Some(rules.policy)
}

/// Returns the row of an existing resource with other content.
fn replaced(current: &Resource, content: ResolvedContent, run: Run) -> Resource {
    // A resource that stays deleted keeps its last payload where it is stored.
    let is_kept = content.deleted && content.payload.get() == current.payload.get();
    Resource {
        payload: content.payload,
        kept: current.kept.filter(|_| is_kept),
        run,
        ..current.clone()
    }
}

/// Returns the row of a resource that the resolution creates.
fn created(
    conflict: &Conflict,
    content: ResolvedContent,
    run: Run,
    resolver: Resolver<'_>,
    now: DateTime<Utc>,
) -> Resource {
    let creation = creation(conflict, &content, resolver);
    let mut resource = Resource::new(content.payload, now, run, creation);
    if policy_of(conflict, resolver) == Some(Policy::ClientWins) {
        resource.high_water_marks.note_all_from_create();
    }
    resource
}

/// Records the accepted edits in the deduplication window, so that a retried edit returns `ok` and
/// is never applied twice (§3.4, §3.6).
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
            resource.high_water_marks.note(&device, edit.client_version);
        }
    }
}

/// Returns the creation record of a resource that a resolution creates. The creator is the device
/// if its payload is stored as sent, else the resolver.
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
        digest: payload_digest(sent),
    }
}
