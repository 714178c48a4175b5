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
/// known state of `earlier` creates. If a create has no result yet because two groups refer to each
/// other, the reference is resolved with the id that the create requests, which `id_of` returns.
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
    let mut fields = json::fields(&edit.payload).unwrap_or_default();
    for reference in std::mem::take(&mut edit.references) {
        let id = match resolve(&reference, results, earlier, &id_of) {
            ReferenceTarget::Id(id) => Some(id),
            ReferenceTarget::Text => None,
            ReferenceTarget::NotApplied {
                create,
                is_retryable,
            } => {
                let error = format!(
                    "payload.{}: refers to {create}, which was not applied",
                    reference.field
                );
                let rejection = Rejection::new(ItemCode::DependsOnFailedItem, error);
                return Item::Rejected(rejection.into_result(
                    edit.index,
                    edit.client_temp_id,
                    Some(key.id.clone()),
                    is_retryable,
                ));
            }
        };
        edit.is_rewritten |= id.is_some();
        set_text(&mut fields, &reference.field, id);
    }

    edit.payload = json::object(&fields);
    Item::Edit(edit)
}

/// The meaning of the text of a reference.
enum ReferenceTarget {
    /// The text is the temp id of the resource with this id.
    Id(String),
    /// The text is the temp id of a create that was not applied.
    NotApplied {
        /// A description of the create for the error message.
        create: String,
        /// Whether the create may still be applied.
        is_retryable: bool,
    },
    /// The text is not a temp id.
    Text,
}

/// Resolves a reference. Creates that come before the item in the device's queue are considered
/// first, whichever batch they are in, so that the outcome does not depend on the batch boundaries.
/// Among these, the order is: a resource that exists, whichever create made it; a create that may
/// still be applied; a create that failed.
fn resolve(
    reference: &Reference,
    results: &BTreeMap<usize, ItemResult>,
    earlier: &EarlierCreates,
    id_of: impl Fn(usize) -> Option<String>,
) -> ReferenceTarget {
    let Reference {
        temp_id,
        before,
        after,
        earlier: keys,
        ..
    } = reference;

    let made = || {
        Some(
            keys.iter()
                .find(|key| earlier.made.contains(key))?
                .id
                .clone(),
        )
    };

    if let Some(id) = made_here(before, results, &id_of).or_else(made) {
        return ReferenceTarget::Id(id);
    }

    let rejected = keys.iter().filter_map(|key| {
        Some((
            format!("the create of {}", key.id),
            *earlier.rejected.get(key)?,
        ))
    });
    let failed = earlier
        .failed
        .get(temp_id)
        .map(|is_retryable| (format!("the create of {:?}", temp_id.name), *is_retryable));
    let failed = failed.filter(|_| before.is_empty());

    if let Some(not_applied) =
        not_applied(failed_here(before, results).chain(rejected).chain(failed))
    {
        return not_applied;
    }

    match made_here(after, results, &id_of) {
        Some(id) => ReferenceTarget::Id(id),
        None => not_applied(failed_here(after, results)).unwrap_or(ReferenceTarget::Text),
    }
}

/// Returns the id that the first of these creates that was applied or has no result yet created or
/// requests.
fn made_here(
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

/// Returns a description of each of these creates that has a result, and whether it may still be
/// applied.
fn failed_here(
    creates: &[usize],
    results: &BTreeMap<usize, ItemResult>,
) -> impl Iterator<Item = (String, bool)> {
    let with_result = creates.iter().filter_map(|index| results.get(index));
    with_result.map(|create| {
        (
            format!("item {}", create.index),
            create.is_retryable() || waits_for_admin(create),
        )
    })
}

/// Returns the target for a reference to creates that were not applied. A create that may still be
/// applied is preferred.
fn not_applied(creates: impl Iterator<Item = (String, bool)>) -> Option<ReferenceTarget> {
    let creates: Vec<(String, bool)> = creates.collect();
    let (create, is_retryable) = creates
        .iter()
        .find(|(_, is_retryable)| *is_retryable)
        .or(creates.first())?
        .clone();
    Some(ReferenceTarget::NotApplied {
        create,
        is_retryable,
    })
}

/// Returns whether a create conflicts because its resource exists.
fn conflicts_with_existing(create: &ItemResult) -> bool {
    create.status == Status::Conflict && create.server_version.is_some()
}

/// Returns whether an admin may still apply the create, because it is part of an open conflict.
fn waits_for_admin(create: &ItemResult) -> bool {
    create.status == Status::Conflict && create.resolution.is_none()
}

fn set_text(fields: &mut Fields, field: &str, text: Option<String>) {
    if let Some(Ok(text)) = text.map(|text| serde_json::value::to_raw_value(&text)) {
        fields.insert(field.to_owned(), text);
    }
}
