//! Conflict policies (§5): what becomes of an edit that was made on something else than the
//! resource is now, where the catalog does not leave it to an admin. A policy only ever applies an
//! edit that certainly was not applied before.

use super::{content::Next, intake::Edit};
use crate::{
    catalog::{Policy, ResourceType},
    json::tree::Tree,
    principal::Author,
    protocol::Action,
    resource::Resource,
};

/// What a policy makes of an edit that conflicts.
#[derive(Debug)]
pub enum PolicyDecision<'a> {
    /// An admin decides.
    Manual,
    /// Its fields are none that others wrote since: this is the payload then.
    Merge(Next<'a>),
    /// It is applied over what others wrote: this is the payload then.
    ClientWins(Next<'a>),
    /// It is dropped.
    ServerWins,
}

/// Rules on `edit` of `author`, which conflicts by §3.4 with `resource`, whose payload is
/// `payload`. Nothing of that changes.
pub fn rule<'a>(
    edit: &'a Edit,
    resource: &Resource,
    payload: &mut Tree<'a>,
    author: &Author,
    rules: &ResourceType,
) -> PolicyDecision<'a> {
    if edit.action == Action::Create {
        return PolicyDecision::Manual;
    }
    match rules.policy {
        Policy::Manual => PolicyDecision::Manual,
        Policy::ServerWins => PolicyDecision::ServerWins,
        // Bringing back what somebody deleted, or restoring from a copy, is for a person to decide.
        _ if resource.deleted
            || edit
                .base_version
                .is_some_and(|base| base > resource.server_version) =>
        {
            PolicyDecision::Manual
        }
        Policy::FieldMerge => merge(edit, resource, payload, author),
        Policy::ClientWins => client_wins(edit, resource, payload, author),
    }
}

fn merge<'a>(
    edit: &'a Edit,
    resource: &Resource,
    payload: &mut Tree<'a>,
    author: &Author,
) -> PolicyDecision<'a> {
    let base = edit
        .base_version
        .unwrap_or(edit.client_version.min(resource.server_version));
    // Nobody has seen a resource before it was made, except its maker.
    let saw_create = base > 0 || resource.creation.author == *author;
    // Of a version that was only claimed, it cannot be told when the edit was made.
    let is_dated = edit.base_version.is_some() || edit.client_version > resource.claims.of(author);
    // A row of before the type merged by field does not tell who wrote what.
    let is_tracked = !resource.fields.is_empty() || resource.server_version == 1;
    if edit.action == Action::Delete || !saw_create || !is_dated || !is_tracked {
        return PolicyDecision::Manual;
    }
    let merged = Next::patched(edit, payload);
    let Next::Patched(_, effect) = &merged else {
        return PolicyDecision::Manual;
    };
    let is_free = resource.fields.admit(
        effect.changed.iter().map(AsRef::as_ref),
        author,
        base,
        edit.client_version,
    );
    if is_free {
        PolicyDecision::Merge(merged)
    } else {
        PolicyDecision::Manual
    }
}

fn client_wins<'a>(
    edit: &'a Edit,
    resource: &Resource,
    payload: &mut Tree<'a>,
    author: &Author,
) -> PolicyDecision<'a> {
    if !resource.claims.is_new(author, edit.client_version) {
        return PolicyDecision::Manual;
    }
    PolicyDecision::ClientWins(match edit.action {
        Action::Delete => Next::Same,
        _ => Next::patched(edit, payload),
    })
}
