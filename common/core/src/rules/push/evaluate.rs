//! The rules for one edit of one resource: §3.1 for creates, §3.2 to §3.6 for updates and deletes.
//! They determine whether an edit was made on the current state of the resource.

use crate::{
    model::{
        catalog::ResourceType,
        edit::Action,
        json::tree::Tree,
        principal::Author,
        resource::{AppliedEdit, Resource},
        result::{ItemCode, Rejection},
    },
    rules::push::{content::Next, edit::Edit},
};

/// The evaluation of an edit.
#[derive(Debug)]
pub enum Evaluation<'a> {
    /// The edit is in the deduplication window: it was applied before, as this version.
    Remembered(AppliedEdit),
    /// The edit changes nothing.
    Unchanged {
        /// Whether the device has received the current version. Its own versions count only once
        /// they were delivered, because the device may have been restored from a backup that lacks
        /// them.
        is_seen: bool,
    },
    /// The edit is applied, with this payload as the result.
    Apply(Next<'a>),
    /// The edit was not made on the current state of the resource.
    Conflict(ItemCode, String),
    /// The resource does not exist.
    NotFound,
    /// The edit is invalid, independent of the state of the resource.
    Reject(Rejection),
}

/// Evaluates `edit` by `author` against the stored `resource` with the payload `payload`. Modifies
/// neither.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use serde_json::json;
/// use tidemark_core::{
///     model::{json::tree::Tree, result::ItemCode},
///     rules::push::evaluate::{Evaluation, evaluate},
/// };
///
/// let phone = phone::Phone::new();
/// let patch = json!({"id": "m-1", "unit": "kWh"});
/// let intake = phone.batch([json!({"action": "update", "base_version": 1, "payload": patch})]);
/// let edit = intake.groups[0].edits().next().unwrap();
/// let rules = phone.catalog.get("meter").unwrap();
///
/// // The edit was made on the current version: it is applied.
/// let mut resource = phone::stored(r#"{"unit": "Wh"}"#);
/// let payload = resource.payload.clone();
/// let mut tree = Tree::new(&payload);
/// let result = evaluate(edit, Some(&resource), Some(&mut tree), &phone.author, rules);
/// assert!(matches!(result, Evaluation::Apply(_)));
///
/// // Another device has written a version since: it conflicts.
/// resource.server_version = 2;
/// let result = evaluate(edit, Some(&resource), Some(&mut tree), &phone.author, rules);
/// assert!(matches!(result, Evaluation::Conflict(ItemCode::VersionMismatch, _)));
/// ```
pub fn evaluate<'a>(
    edit: &'a Edit,
    resource: Option<&Resource>,
    payload: Option<&mut Tree<'a>>,
    author: &Author,
    rules: &ResourceType,
) -> Evaluation<'a> {
    match (edit.action, resource) {
        (Action::Create, None) if edit.takes_derived_id => {
            let error = "payload.id: the server derives ids of this form itself: send the create with the client_temp_id that it \
                         derives from, or choose an id of another form";
            Evaluation::Reject(Rejection::new(ItemCode::InvalidId, error))
        }
        (Action::Create, None) => apply(Next::Whole(&edit.payload), payload, rules),
        (Action::Create, Some(resource)) if is_made_on_tombstone(edit, resource, author) => {
            apply(Next::Whole(&edit.payload), payload, rules)
        }
        // The deduplication window may contain the create: if an admin accepted it, or if it
        // restored a deleted resource.
        (Action::Create, Some(resource)) => match resource.edits.find(edit.id) {
            Some(applied) => Evaluation::Remembered(applied),
            None => evaluate_create(edit, resource, author),
        },
        (_, None) => Evaluation::NotFound,
        (_, Some(resource)) => match resource.edits.find(edit.id) {
            Some(applied) => Evaluation::Remembered(applied),
            None => evaluate_change(edit, resource, payload, author, rules),
        },
    }
}

fn evaluate_create<'a>(edit: &Edit, resource: &Resource, author: &Author) -> Evaluation<'a> {
    let creation = &resource.creation;
    let is_own = creation.author == *author;
    let same_name = is_own && creation.client_temp_id == edit.client_temp_id;
    if same_name && creation.digest == edit.digest {
        return Evaluation::Remembered(AppliedEdit {
            id: edit.id,
            server_version: 1,
            is_merged: false,
        });
    }

    let version = resource.server_version;
    let (code, error) = if is_own && creation.client_temp_id.is_some() && same_name {
        (
            ItemCode::TempIdReused,
            "Temp id reused: another create was sent under this client_temp_id".to_owned(),
        )
    } else if is_own {
        let error = format!(
            "Already created: this device created the resource before with other content (server_version={version}): send the difference as an update"
        );
        (ItemCode::AlreadyCreated, error)
    } else {
        (
            ItemCode::IdTaken,
            "Id taken: a resource with this id exists".to_owned(),
        )
    };

    Evaluation::Conflict(code, error)
}

/// Returns whether a create restores a deleted resource: its device has received the delete, or has
/// deleted the resource in an earlier edit of its queue. Such a create cannot be a retry of the
/// create that made the resource, nor a create that was applied before. In those cases the version
/// would be above its base, or its `client_version` would be part of the run.
fn is_made_on_tombstone(edit: &Edit, resource: &Resource, author: &Author) -> bool {
    resource.deleted && edit.base_version.is_some() && is_fresh(edit, resource, author)
}

fn evaluate_change<'a>(
    edit: &'a Edit,
    resource: &Resource,
    mut payload: Option<&mut Tree<'a>>,
    author: &Author,
    rules: &ResourceType,
) -> Evaluation<'a> {
    let next = match (edit.action, payload.as_deref_mut()) {
        (Action::Delete, _) if resource.deleted => return Evaluation::Unchanged { is_seen: true },
        (Action::Delete, _) | (_, None) => Next::Same,
        (_, Some(_)) if resource.deleted => Next::Same,
        (_, Some(payload)) => Next::patched(edit, payload),
    };

    if let Next::Patched(_, effect) = &next
        && !effect.has_changed
    {
        return Evaluation::Unchanged {
            is_seen: base(edit, resource) == resource.server_version,
        };
    }

    if !is_fresh(edit, resource, author) {
        let (server, client) = (resource.server_version, edit.client_version);
        let error = format!("Version mismatch: server_version={server}, client_version={client}");
        return Evaluation::Conflict(ItemCode::VersionMismatch, error);
    }

    if resource.deleted {
        return Evaluation::Reject(Rejection::new(
            ItemCode::ResourceDeleted,
            "the resource is deleted",
        ));
    }

    apply(next, payload, rules)
}

/// Returns whether the device had received all changes by other writers when it made the edit, and
/// the edit cannot be an old one outside the deduplication window (§3.4). Must be called only for
/// edits that the window does not contain.
fn is_fresh(edit: &Edit, resource: &Resource, author: &Author) -> bool {
    let server_version = resource.server_version;
    let own_run = resource.run.author == *author;

    if !has_seen_all(edit, resource, author) {
        return false;
    }

    if edit.base_version == Some(server_version) {
        // An edit that was applied before would have raised the version above its base.
        return true;
    }
    if own_run && edit.client_version <= resource.run.client_version_max {
        return false;
    }
    edit.base_version.is_some() || edit.client_version > resource.high_water_marks.of(author)
}

/// Returns whether the device itself wrote every version after the edit's base. A base above the
/// server's version was never sent by this server: it was restored from an older copy.
fn has_seen_all(edit: &Edit, resource: &Resource, author: &Author) -> bool {
    let server_version = resource.server_version;
    let base = base(edit, resource);
    let own_run = resource.run.author == *author;
    base == server_version || base < server_version && own_run && base + 1 >= resource.run.began
}

/// Returns the version that counts as the edit's base (§3.3).
fn base(edit: &Edit, resource: &Resource) -> u64 {
    edit.base_version
        .unwrap_or(edit.client_version.min(resource.server_version))
}

fn apply<'a>(
    next: Next<'a>,
    payload: Option<&mut Tree<'a>>,
    rules: &ResourceType,
) -> Evaluation<'a> {
    match next.check(payload, rules) {
        Ok(()) => Evaluation::Apply(next),
        Err(rejection) => Evaluation::Reject(rejection),
    }
}
