//! Conflict policies (§5): the handling of an edit that was not made on the current state of the
//! resource, unless the catalog leaves it to an admin. A policy applies an edit only if the edit
//! was certainly not applied before.

use crate::{
    model::{
        catalog::{Policy, ResourceType},
        edit::Action,
        json::tree::Tree,
        principal::Author,
        resource::Resource,
    },
    rules::push::{content::Next, edit::Edit},
};

/// The decision of a policy about an edit that conflicts.
#[derive(Debug)]
pub enum PolicyDecision<'a> {
    /// The edit waits for an admin.
    Manual,
    /// The edit changes only fields that others have not written since its base. It is applied,
    /// with this payload as the result.
    Merge(Next<'a>),
    /// The edit is applied over the changes of others, with this payload as the result.
    ClientWins(Next<'a>),
    /// The edit is dropped in favor of the server's state.
    ServerWins,
}

/// Applies the policy of the type to `edit` by `author`, which conflicts by §3.4 with `resource`,
/// whose payload is `payload`. Modifies none of them.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use serde_json::json;
/// use tidemark_core::{
///     model::{json::tree::Tree, principal::Author},
///     rules::push::policy::{PolicyDecision, rule},
/// };
///
/// let phone = phone::Phone::new();
/// let update = |patch| {
///     json!({"resource_type": "task", "action": "update", "base_version": 1, "payload": patch})
/// };
/// let title = update(json!({"id": "t-1", "title": "b"}));
/// let done = update(json!({"id": "t-1", "done": true}));
/// let group = phone.batch([title, done]).groups.remove(0);
///
/// // Tasks merge by field, and another device has written `done` since version 1.
/// let mut task = phone::stored(r#"{"title": "a", "done": false}"#);
/// task.server_version = 2;
/// task.fields.note(["done"], &Author::device("ben", "tablet"), 2, 1);
/// let rules = phone.catalog.get("task").unwrap();
/// let merges = group.edits().map(|edit| {
///     let decision = rule(edit, &task, &mut Tree::new(&task.payload), &phone.author, rules);
///     matches!(decision, PolicyDecision::Merge(_))
/// });
/// assert!(merges.eq([true, false]));
/// ```
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
        // An admin decides whether to restore a deleted resource, and whether to apply an edit that
        // was made before the server was restored from a backup.
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
    // A device with base 0 has not received the resource, unless it created the resource itself.

    let saw_create = base > 0 || resource.creation.author == *author;
    // If the client version was only claimed, the time of the edit is unknown.
    let is_dated =
        edit.base_version.is_some() || edit.client_version > resource.high_water_marks.of(author);
    // A row that is older than the `field_merge` policy has no field versions.
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
    if !resource
        .high_water_marks
        .is_new(author, edit.client_version)
    {
        return PolicyDecision::Manual;
    }
    PolicyDecision::ClientWins(match edit.action {
        Action::Delete => Next::Same,
        _ => Next::patched(edit, payload),
    })
}
