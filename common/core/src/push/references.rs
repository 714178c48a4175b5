//! References (§3.10): in a field that refers to another resource, a `client_temp_id` gives way to
//! the id of what its create made, in the same batch or in an earlier one. What refers to a create
//! that was not applied fails with it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::intake::{Edit, Group, Item, Rejection, Sender};
use crate::{
    catalog::{Catalog, ResourceType},
    channel::Channel,
    ids,
    json::{self, Fields},
    limits::is_name,
    protocol::push::{ItemCode, ItemResult, Status},
    resource::ResourceKey,
};

/// A field whose text may be a temp id.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The field.
    pub field: String,
    /// The temp id that its text may be.
    pub temp_id: TempId,
    /// The creates before the item under this temp id, by index; of several, one may correct
    /// another.
    pub before: Vec<usize>,
    /// Those behind it, if none is before it.
    pub behind: Vec<usize>,
    /// Where a create of an earlier batch may have made its resource: the first of these that
    /// exists. Empty where a sound create before the item has the temp id, because that one finds
    /// the resource.
    pub earlier: Vec<ResourceKey>,
}

/// What a device calls a resource before it knows the id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TempId {
    /// The type of the resource.
    pub resource_type: String,
    /// `client_temp_id` of its create, 1 to 256 bytes.
    pub name: String,
}

/// A create of the batch, for what refers to it by its temp id.
#[derive(Debug, Clone)]
pub struct Create {
    /// What it is called.
    pub temp_id: TempId,
    /// Which item of the batch.
    pub index: usize,
    /// Whether it is an edit that may be decided.
    pub(super) is_sound: bool,
    /// Whether it asks for an id of its own: then its temp id means nothing to later batches.
    pub(super) is_named: bool,
}

/// The references in the `fields` of the item at `index`, of type `rules` in `channel`.
pub(super) fn find(
    index: usize,
    fields: &Fields,
    rules: &ResourceType,
    channel: &Channel,
    creates: &[Create],
    sender: Sender<'_>,
) -> Vec<Reference> {
    let references = rules.references.iter().filter_map(|(field, target_type)| {
        let name: String = serde_json::from_str(fields.get(field)?.get()).ok()?;
        let temp_id = TempId {
            resource_type: target_type.clone(),
            name,
        };
        let named = creates.iter().filter(|create| create.temp_id == temp_id);
        let (before, behind): (Vec<&Create>, Vec<&Create>) =
            named.partition(|create| create.index <= index);
        let behind = if before.is_empty() {
            behind
        } else {
            Vec::new()
        };
        let is_made_here = before.iter().any(|create| create.is_sound);
        let earlier = if is_made_here {
            Vec::new()
        } else {
            earlier(&temp_id, channel, sender)
        };
        let [before, behind] = [before, behind].map(|creates| {
            creates
                .into_iter()
                .map(|create| create.index)
                .collect::<Vec<_>>()
        });
        let may_refer = !before.is_empty() || !behind.is_empty() || !earlier.is_empty();
        may_refer.then(|| Reference {
            field: field.clone(),
            temp_id,
            before,
            behind,
            earlier,
        })
    });
    references.collect()
}

/// Where an earlier create under this temp id may stand: in the item's own channel, or in the
/// default one of its type. Nowhere for text that cannot be a temp id, or is an id of the server's
/// making.
fn earlier(temp_id: &TempId, channel: &Channel, sender: Sender<'_>) -> Vec<ResourceKey> {
    let TempId {
        resource_type,
        name,
    } = temp_id;
    let Some(rules) = sender.catalog.get(resource_type) else {
        return Vec::new();
    };
    if !is_name(name) || ids::is_derived(&rules.id_prefix, name) {
        return Vec::new();
    }
    let mut channels = vec![channel.clone()];
    channels.extend(
        rules
            .default_channel(&sender.principal.user)
            .filter(|default| default != channel),
    );
    let key = |channel: Channel| {
        let tenant = &sender.principal.tenant;
        let id = ids::derived_resource(
            &rules.id_prefix,
            tenant,
            &channel,
            sender.author,
            resource_type,
            name,
        );
        ResourceKey {
            channel,
            resource_type: resource_type.clone(),
            id,
        }
    };
    channels.into_iter().map(key).collect()
}

/// The references of `groups` that may be to creates of earlier batches: those must be looked for
/// first.
pub fn to_earlier_batches(groups: &[Group]) -> impl Iterator<Item = &Reference> {
    groups
        .iter()
        .flat_map(Group::edits)
        .flat_map(|edit| &edit.references)
        .filter(|reference| !reference.earlier.is_empty())
}

/// Whether anything in `groups` may refer to something.
pub fn any(groups: &[Group]) -> bool {
    groups
        .iter()
        .flat_map(Group::edits)
        .any(|edit| !edit.references.is_empty())
}

/// Whether every create that `group` refers to has its answer in `results`, or is its own.
pub fn is_ready(group: &Group, results: &BTreeMap<usize, ItemResult>) -> bool {
    let is_known =
        |index: &usize| results.contains_key(index) || group.indexes().any(|own| own == *index);
    let references = group.edits().flat_map(|edit| &edit.references);
    references
        .flat_map(|reference| reference.before.iter().chain(&reference.behind))
        .all(is_known)
}

/// What is known of creates of earlier batches that references may mean.
#[derive(Debug, Default)]
pub struct EarlierCreates {
    /// The resources that exist.
    pub made: HashSet<ResourceKey>,
    /// The resources that do not exist, because their create conflicts; and whether the conflict is
    /// open still.
    pub rejected: HashMap<ResourceKey, bool>,
    /// The creates that failed with an error when they were sent last; and whether the error was
    /// retryable.
    pub failed: HashMap<TempId, bool>,
}

/// The temp ids whose creates failed with an error, and whether it is retryable: what refers to one
/// in a later batch must not be stored with its temp id. Only those of types to which a type of the
/// catalog refers. One that another create of the batch made is not among them, and of several
/// errors the last counts.
pub fn failed_creates(
    creates: &[Create],
    results: &BTreeMap<usize, ItemResult>,
    catalog: &Catalog,
) -> BTreeMap<TempId, bool> {
    let answered = |create: &Create| Some((create.temp_id.clone(), results.get(&create.index)?));
    let may_be_referred_to = |create: &&Create| {
        !create.is_named && catalog.is_referred_to(&create.temp_id.resource_type)
    };
    let answered: Vec<_> = creates
        .iter()
        .filter(may_be_referred_to)
        .filter_map(answered)
        .collect();
    let (failed, others): (Vec<_>, Vec<_>) = answered
        .into_iter()
        .partition(|(_, result)| result.status == Status::Error);
    let others: HashSet<TempId> = others.into_iter().map(|(temp_id, _)| temp_id).collect();
    let failed = failed
        .into_iter()
        .filter(|(temp_id, _)| !others.contains(temp_id));
    failed
        .map(|(temp_id, result)| (temp_id, result.is_retryable()))
        .collect()
}

/// The group with its references replaced: by the answers of this batch, and by what is known of
/// `earlier` creates. A create that has no answer yet (two groups that refer to each other) is
/// taken at its word: `id_of` gives the id it asks for.
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
                return Item::Rejected(rejection.response(
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

/// What the text of a reference is.
enum ReferenceTarget {
    /// The temp id of this resource.
    Id(String),
    /// The temp id of a create that was not applied.
    NotApplied {
        /// Which, for people.
        create: String,
        /// Whether it may be applied still.
        is_retryable: bool,
    },
    /// No temp id.
    Text,
}

/// What came before the item in the device's queue counts first, in whatever batch, so that the
/// outcome does not depend on the boundaries: a resource that exists, whichever create made it,
/// then a create that may still be applied, then one that failed.
fn resolve(
    reference: &Reference,
    results: &BTreeMap<usize, ItemResult>,
    earlier: &EarlierCreates,
    id_of: impl Fn(usize) -> Option<String>,
) -> ReferenceTarget {
    let Reference {
        temp_id,
        before,
        behind,
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
    match made_here(behind, results, &id_of) {
        Some(id) => ReferenceTarget::Id(id),
        None => not_applied(failed_here(behind, results)).unwrap_or(ReferenceTarget::Text),
    }
}

/// What the first of these creates made that was applied, or has no answer yet.
fn made_here(
    creates: &[usize],
    results: &BTreeMap<usize, ItemResult>,
    id_of: impl Fn(usize) -> Option<String>,
) -> Option<String> {
    let made = creates.iter().filter_map(|index| results.get(index));
    let made = made
        .filter(|create| create.status == Status::Ok || is_made_before(create))
        .find_map(|create| create.server_id.clone());
    made.or_else(|| {
        creates
            .iter()
            .filter(|index| !results.contains_key(index))
            .find_map(|index| id_of(*index))
    })
}

/// Those of these creates that were not applied, for people, and whether they may be.
fn failed_here(
    creates: &[usize],
    results: &BTreeMap<usize, ItemResult>,
) -> impl Iterator<Item = (String, bool)> {
    let answered = creates.iter().filter_map(|index| results.get(index));
    answered.map(|create| {
        (
            format!("item {}", create.index),
            create.is_retryable() || waits_for_admin(create),
        )
    })
}

/// That none of these creates was applied; one that may still be counts first.
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

/// Whether a create that conflicts does so because its resource exists.
fn is_made_before(create: &ItemResult) -> bool {
    create.status == Status::Conflict && create.server_version.is_some()
}

/// Whether a create may still be made by an admin: it is part of an open conflict.
fn waits_for_admin(create: &ItemResult) -> bool {
    create.status == Status::Conflict && create.resolution.is_none()
}

fn set_text(fields: &mut Fields, field: &str, text: Option<String>) {
    if let Some(Ok(text)) = text.map(|text| serde_json::value::to_raw_value(&text)) {
        fields.insert(field.to_owned(), text);
    }
}
