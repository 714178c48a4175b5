//! References (§3.10): in a field that refers to another resource, a `client_temp_id` gives way to the server's id, of a create in the
//! same batch or of an earlier one. What refers to a create that failed in this batch fails with it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::intake::{Edit, Group, Item, Refusal, Sender};
use crate::{
    catalog::ResourceType,
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
    /// What it may refer to.
    pub target: Target,
}

/// What a temp id may refer to.
#[derive(Debug, Clone)]
pub enum Target {
    /// The create at this index of the batch.
    InBatch(usize),
    /// A create of an earlier batch: the first of these that exists. If none does, the text is no temp id.
    Earlier(Vec<ResourceKey>),
}

/// A create of the batch, for what refers to it by its temp id.
#[derive(Debug)]
pub(super) struct Create {
    pub(super) resource_type: String,
    pub(super) temp_id: String,
    pub(super) index: usize,
}

/// The references in the `fields` of an item of type `rules` in `channel`.
pub(super) fn find(
    fields: &Fields,
    rules: &ResourceType,
    channel: &Channel,
    creates: &[Create],
    sender: Sender<'_>,
) -> Vec<Reference> {
    let references = rules.references.iter().filter_map(|(field, target_type)| {
        let text: String = serde_json::from_str(fields.get(field)?.get()).ok()?;
        let create = creates.iter().find(|create| create.resource_type == *target_type && create.temp_id == text);
        let target = match create {
            Some(create) => Target::InBatch(create.index),
            None => Target::Earlier(earlier(&text, target_type, channel, sender)?),
        };
        Some(Reference { field: field.clone(), target })
    });
    references.collect()
}

/// Where an earlier create under this temp id may stand: in the item's own channel, or in the default one of its type. `None` for text
/// that cannot be a temp id, or is an id of the server's making.
fn earlier(text: &str, target_type: &str, channel: &Channel, sender: Sender<'_>) -> Option<Vec<ResourceKey>> {
    let rules = sender.catalog.get(target_type)?;
    if !is_name(text) || ids::is_derived(&rules.id_prefix, text) {
        return None;
    }
    let mut channels = vec![channel.clone()];
    channels.extend(rules.default_channel(&sender.principal.user).filter(|default| default != channel));
    let key = |channel: Channel| {
        let tenant = &sender.principal.tenant;
        let id = ids::derived_resource(&rules.id_prefix, tenant, &channel, sender.author, target_type, text);
        ResourceKey { channel, resource_type: target_type.to_owned(), id }
    };
    Some(channels.into_iter().map(key).collect())
}

/// The resources that must be looked for before the references of `groups` can be told.
pub fn keys_to_find(groups: &[Group]) -> impl Iterator<Item = &ResourceKey> {
    groups
        .iter()
        .flat_map(Group::edits)
        .flat_map(|edit| &edit.references)
        .filter_map(|it| if let Target::Earlier(keys) = &it.target { Some(keys) } else { None })
        .flatten()
}

/// Whether anything in `groups` may refer to something.
pub fn any(groups: &[Group]) -> bool {
    groups.iter().flat_map(Group::edits).any(|edit| !edit.references.is_empty())
}

/// Whether every create that `group` refers to has its answer in `results`, or is its own.
pub fn is_ready(group: &Group, results: &BTreeMap<usize, ItemResult>) -> bool {
    group.edits().flat_map(|edit| &edit.references).all(|reference| match reference.target {
        Target::InBatch(index) => results.contains_key(&index) || group.indexes().any(|own| own == index),
        Target::Earlier(_) => true,
    })
}

/// What is known of creates of earlier batches that references may mean.
#[derive(Debug, Default)]
pub struct EarlierCreates {
    /// The resources that exist.
    pub made: HashSet<ResourceKey>,
    /// The resources that do not exist, because their create conflicts; and whether the conflict is open still.
    pub rejected: HashMap<ResourceKey, bool>,
}

/// The group with its references replaced: by the answers of this batch, and by what is known of `earlier` creates. A create that has no answer yet (two
/// groups that refer to each other) is taken at its word: `id_of` gives the id it asks for.
pub fn replace(
    group: Group,
    results: &BTreeMap<usize, ItemResult>,
    earlier: &EarlierCreates,
    id_of: impl Fn(usize) -> Option<String>,
) -> Group {
    let Group { key, items, carried } = group;
    let item = |item: Item| match item {
        Item::Edit(edit) if !edit.references.is_empty() => replace_in(edit, &key, results, earlier, &id_of),
        other => other,
    };
    Group { items: items.into_iter().map(item).collect(), key, carried }
}

fn replace_in(
    mut edit: Edit,
    key: &ResourceKey,
    results: &BTreeMap<usize, ItemResult>,
    earlier: &EarlierCreates,
    id_of: impl Fn(usize) -> Option<String>,
) -> Item {
    let mut fields = json::fields(&edit.payload).unwrap_or_default();
    for Reference { field, target } in std::mem::take(&mut edit.references) {
        let depends = |on: String, is_retryable: bool| {
            let error = format!("payload.{field}: refers to {on}, which was not applied");
            let refusal = Refusal::new(ItemCode::DependsOnFailedItem, error);
            Item::Refused(refusal.answer(edit.index, edit.client_temp_id.clone(), Some(key.id.clone()), is_retryable))
        };
        let id = match target {
            Target::Earlier(keys) => match keys.iter().find(|key| earlier.made.contains(key)) {
                Some(key) => Some(key.id.clone()),
                None => match keys.iter().find_map(|key| earlier.rejected.get_key_value(key)) {
                    Some((create, is_open)) => return depends(format!("the create of {}", create.id), *is_open),
                    None => None,
                },
            },
            Target::InBatch(index) => match results.get(&index) {
                // The resource is there, whatever became of this create: it was made before.
                Some(create) if create.status == Status::Ok || is_made_before(create) => create.server_id.clone(),
                Some(create) => return depends(format!("item {index}"), create.is_retryable() || waits_for_admin(create)),
                None => id_of(index),
            },
        };
        edit.is_rewritten |= id.is_some();
        set_text(&mut fields, &field, id);
    }
    edit.payload = json::object(&fields);
    Item::Edit(edit)
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
