//! Replaces references by ids: determines the create that the text of a reference names, and what
//! became of it.

use std::collections::BTreeMap;

use crate::{
    model::{
        json::{self, Fields},
        resource::ResourceKey,
        result::{ItemCode, ItemResult, Rejection, Status},
    },
    rules::push::{
        edit::{Edit, Reference},
        group::{Group, Item},
        references::EarlierCreates,
    },
};

/// Returns the group with its references replaced, according to the results of this batch and the
/// known state of `earlier` creates. An item that refers to a create that was not applied is
/// rejected with `DependsOnFailedItem`. If a create has no result yet because two groups refer to
/// each other, the reference is resolved with the id that the create requests, which `id_of`
/// returns. The keys of `results` and the argument of `id_of` are item indexes in the batch.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use std::collections::BTreeMap;
/// use serde_json::json;
/// use tidemark_core::{
///     model::result::ItemResult,
///     rules::push::references::{EarlierCreates, replace},
/// };
///
/// let mut intake = phone::Phone::new().batch([
///     json!({"action": "create", "client_temp_id": "tmp-1", "payload": {}}),
///     json!({"resource_type": "reading", "action": "create",
///         "payload": {"id": "r-1", "meter": "tmp-1"}}),
/// ]);
/// let made = BTreeMap::from([(0, ItemResult::ok(0, None, "m-1".into(), Some(1)))]);
/// let reading = replace(intake.groups.remove(1), &made, &EarlierCreates::default(), |_| None);
/// let edit = reading.edits().next().unwrap();
/// assert_eq!(edit.payload.get(), r#"{"meter":"m-1"}"#);
/// assert!(edit.is_rewritten);
/// ```
pub fn replace(
    group: Group,
    results: &BTreeMap<usize, ItemResult>,
    earlier: &EarlierCreates,
    id_of: impl Fn(usize) -> Option<String>,
) -> Group {
    let Group {
        key,
        items,
        carried,
    } = group;

    let item = |item: Item| match item {
        Item::Edit(edit) if !edit.references.is_empty() => {
            replace_in(edit, &key, results, earlier, &id_of)
        }
        other => other,
    };

    Group {
        items: items.into_iter().map(item).collect(),
        key,
        carried,
    }
}

fn replace_in(
    mut edit: Edit,
    key: &ResourceKey,
    results: &BTreeMap<usize, ItemResult>,
    earlier: &EarlierCreates,
    id_of: impl Fn(usize) -> Option<String>,
) -> Item {
    // An edit with references has an object as its payload.
    let mut fields = json::fields(&edit.payload).unwrap_or_default();

    for reference in std::mem::take(&mut edit.references) {
        match resolve(&reference, results, earlier, &id_of) {
            ReferenceTarget::Id(id) => {
                set_text(&mut fields, &reference.field, &id);
                edit.is_rewritten = true;
            }
            ReferenceTarget::Text => {}
            ReferenceTarget::NotApplied(unapplied) => {
                let error = format!(
                    "payload.{}: refers to {}, which was not applied",
                    reference.field, unapplied.create
                );
                let rejection = Rejection::new(ItemCode::DependsOnFailedItem, error);
                return Item::Rejected(rejection.into_result(
                    edit.index,
                    edit.client_temp_id,
                    Some(key.id.clone()),
                    unapplied.is_retryable,
                ));
            }
        }
    }

    edit.payload = json::object(&fields);
    Item::Edit(edit)
}

/// The meaning of the text of a reference.
enum ReferenceTarget {
    /// The text is the temp id of the resource with this id.
    Id(String),
    /// The text is the temp id of a create that was not applied.
    NotApplied(Unapplied),
    /// The text is not a temp id.
    Text,
}

/// A create that was not applied.
struct Unapplied {
    /// A description of the create for the error message.
    create: String,
    /// Whether the create may still be applied.
    is_retryable: bool,
}

/// Resolves a reference. Creates that come before the item in the device's queue are considered
/// first, whichever batch they are in, so that the outcome does not depend on the batch boundaries.
/// Among these, the order is: a resource that exists, whichever create made it; a create that may
/// still be applied; a create that failed.
fn resolve(
    reference: &Reference,
    results: &BTreeMap<usize, ItemResult>,
    earlier_creates: &EarlierCreates,
    id_of: impl Fn(usize) -> Option<String>,
) -> ReferenceTarget {
    let Reference { before, after, .. } = reference;

    let made_earlier = || {
        let mut keys = reference.earlier.iter();
        Some(
            keys.find(|key| earlier_creates.made.contains(key))?
                .id
                .clone(),
        )
    };
    if let Some(id) = id_in_batch(before, results, &id_of).or_else(made_earlier) {
        return ReferenceTarget::Id(id);
    }

    let unapplied =
        unapplied_in_batch(before, results).chain(unapplied_earlier(reference, earlier_creates));
    if let Some(unapplied) = preferred(unapplied) {
        return ReferenceTarget::NotApplied(unapplied);
    }

    match id_in_batch(after, results, &id_of) {
        Some(id) => ReferenceTarget::Id(id),
        None => preferred(unapplied_in_batch(after, results))
            .map_or(ReferenceTarget::Text, ReferenceTarget::NotApplied),
    }
}

/// Returns the creates of earlier batches that were not applied and that the reference may name.
fn unapplied_earlier(
    reference: &Reference,
    earlier_creates: &EarlierCreates,
) -> impl Iterator<Item = Unapplied> {
    let conflicting = reference.earlier.iter().filter_map(|key| {
        Some(Unapplied {
            create: format!("the create of {}", key.id),
            // An admin may still apply the create of an open conflict.
            is_retryable: *earlier_creates.rejected.get(key)?,
        })
    });

    // A create of this batch before the item replaces the failed attempt of an earlier batch.
    let failed = earlier_creates
        .failed
        .get(&reference.temp_id)
        .filter(|_| reference.before.is_empty())
        .map(|is_retryable| Unapplied {
            create: format!("the create of {:?}", reference.temp_id.name),
            is_retryable: *is_retryable,
        });

    conflicting.chain(failed)
}

/// Returns the id of the resource of these creates: that of the first create that was applied or
/// whose resource exists already; otherwise the id that the first create without a result requests.
fn id_in_batch(
    creates: &[usize],
    results: &BTreeMap<usize, ItemResult>,
    id_of: impl Fn(usize) -> Option<String>,
) -> Option<String> {
    let made = creates.iter().filter_map(|index| results.get(index));
    let made = made
        .filter(|create| create.status == Status::Ok || conflicts_with_existing(create))
        .find_map(|create| create.server_id.clone());
    made.or_else(|| {
        creates
            .iter()
            .filter(|index| !results.contains_key(index))
            .find_map(|index| id_of(*index))
    })
}

/// Returns those of these creates that were not applied. Call only after [`id_in_batch`] returned
/// `None`: every create with a result is then one that was not applied.
fn unapplied_in_batch(
    creates: &[usize],
    results: &BTreeMap<usize, ItemResult>,
) -> impl Iterator<Item = Unapplied> {
    let with_result = creates.iter().filter_map(|index| results.get(index));
    with_result.map(|create| Unapplied {
        create: format!("item {}", create.index),
        is_retryable: create.is_retryable() || waits_for_admin(create),
    })
}

/// Returns the first of these creates that may still be applied, or else the first create.
fn preferred(creates: impl Iterator<Item = Unapplied>) -> Option<Unapplied> {
    let mut creates: Vec<Unapplied> = creates.collect();
    let retryable = creates.iter().position(|create| create.is_retryable);
    (!creates.is_empty()).then(|| creates.swap_remove(retryable.unwrap_or(0)))
}

/// Returns whether a create conflicts because its resource exists.
fn conflicts_with_existing(create: &ItemResult) -> bool {
    create.status == Status::Conflict && create.server_version.is_some()
}

/// Returns whether an admin may still apply the create, because it is part of an open conflict.
fn waits_for_admin(create: &ItemResult) -> bool {
    create.status == Status::Conflict && create.resolution.is_none()
}

fn set_text(fields: &mut Fields, field: &str, text: &str) {
    // A string always serializes.
    if let Ok(text) = serde_json::value::to_raw_value(text) {
        fields.insert(field.to_owned(), text);
    }
}
