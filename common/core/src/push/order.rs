//! The order in which the items of a batch are decided. A batch must end as if its items had been
//! sent one by one (§3.5, §3.9), so an item never takes effect before an earlier item of another
//! resource that may claim or free one of its unique values, and a create that follows other items
//! of its resource is decided on what those left in the tables. What is independent is decided
//! together.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::intake::{Edit, Group, Item, Sender};
use crate::{
    catalog::ResourceType,
    json,
    protocol::Action,
    resource::{Resource, ResourceKey},
    unique::{self, UniqueKey},
};

/// Splits groups into what may be decided now, side by side, and what has to wait for it. The
/// groups of `waiting` are not decided yet for another reason: what shares a value with their
/// items, and comes later in the batch, waits as well. `rows` holds the stored resources; a row
/// that is not there, or stale, costs a further round and no correctness, because the transaction
/// that writes a value checks its holder. `values` keeps what was found for the next round of the
/// same batch.
///
/// Something always goes.
pub fn split(
    groups: Vec<Group>,
    waiting: &[Group],
    rows: &HashMap<ResourceKey, Resource>,
    values: &mut Values,
    sender: Sender<'_>,
) -> (Vec<Group>, Vec<Group>) {
    let mut touches = Touches::default();
    waiting
        .iter()
        .for_each(|group| touches.add(group, true, rows, values, sender));
    groups
        .iter()
        .for_each(|group| touches.add(group, false, rows, values, sender));
    let cuts = touches.cuts(
        groups
            .iter()
            .filter_map(|group| Some((group.key.clone(), later_create(group)?)))
            .collect(),
    );
    if cuts.is_empty() {
        return (groups, Vec::new());
    }
    let (mut now, mut later) = (Vec::with_capacity(groups.len()), Vec::new());
    for mut group in groups {
        let Some(cut) = cuts.get(&group.key) else {
            now.push(group);
            continue;
        };
        let at = group.items.partition_point(|item| item.index() < *cut);
        let rest = group.items.split_off(at);
        later.push(Group {
            key: group.key.clone(),
            items: rest,
            carried: group.carried.clone(),
        });
        if !group.items.is_empty() {
            now.push(group);
        }
    }
    if now.is_empty() {
        // What waits refers to a create that shares a value with it: the create goes first.
        return (join(later), Vec::new());
    }
    (now, later)
}

/// Joins the parts of each resource's group again, in the order of the batch.
pub fn join(parts: Vec<Group>) -> Vec<Group> {
    let mut by_key: HashMap<ResourceKey, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::with_capacity(parts.len());
    for part in parts {
        match by_key.get(&part.key) {
            Some(at) => groups[*at].items.extend(part.items),
            None => {
                by_key.insert(part.key.clone(), groups.len());
                groups.push(part);
            }
        }
    }
    for group in &mut groups {
        group.items.sort_by_key(Item::index);
    }
    groups.sort_by_key(|group| group.indexes().min());
    groups
}

/// The unique values of the rows and the items of a batch. A batch is split once a round, and each
/// round would parse them all again.
#[derive(Debug, Default)]
pub struct Values {
    /// Of rows, for one version of each.
    stored: HashMap<ResourceKey, (u64, BTreeSet<UniqueKey>)>,
    /// Of items by their index, before and after their references were replaced.
    named: HashMap<(usize, bool), UniqueFieldUse>,
}

/// What an item says of unique fields.
#[derive(Debug)]
struct UniqueFieldUse {
    /// The values that it claims.
    claims: BTreeSet<UniqueKey>,
    /// The fields whose value it may free.
    fields: HashSet<String>,
}

impl Values {
    fn of_row(
        &mut self,
        rules: &ResourceType,
        tenant: &str,
        key: &ResourceKey,
        row: &Resource,
    ) -> &BTreeSet<UniqueKey> {
        let (version, values) = self.stored.entry(key.clone()).or_default();
        if *version != row.server_version {
            (*version, *values) = (
                row.server_version,
                unique::values(rules, tenant, key, &row.payload),
            );
        }
        values
    }

    fn of_edit(
        &mut self,
        rules: &ResourceType,
        tenant: &str,
        key: &ResourceKey,
        edit: &Edit,
    ) -> &UniqueFieldUse {
        self.named
            .entry((edit.index, edit.is_rewritten))
            .or_insert_with(|| {
                let fields = json::fields(&edit.payload).unwrap_or_default();
                let may_free =
                    |field: &&String| edit.action == Action::Delete || fields.contains_key(*field);
                UniqueFieldUse {
                    claims: unique::values_of(rules, tenant, key, |field| {
                        fields.get(field).cloned()
                    }),
                    fields: rules.unique.iter().filter(may_free).cloned().collect(),
                }
            })
    }
}

/// Which items may claim or free which values.
#[derive(Default)]
struct Touches<'a> {
    /// The resources with such items, and whether they wait.
    groups: HashMap<&'a ResourceKey, bool>,
    items: Vec<Touch<'a>>,
}

/// An item that may claim or free values.
struct Touch<'a> {
    index: usize,
    key: &'a ResourceKey,
    /// What it may claim or free.
    values: BTreeSet<UniqueKey>,
    /// What it claims, of what the row does not hold.
    claims: BTreeSet<UniqueKey>,
}

impl<'a> Touches<'a> {
    fn add(
        &mut self,
        group: &'a Group,
        waits: bool,
        rows: &HashMap<ResourceKey, Resource>,
        values: &mut Values,
        sender: Sender<'_>,
    ) {
        let Some(rules) = sender
            .catalog
            .get(&group.key.resource_type)
            .filter(|rules| !rules.unique.is_empty())
        else {
            return;
        };
        let (tenant, key) = (&sender.principal.tenant, &group.key);
        let row = rows.get(key).filter(|row| !row.deleted);
        // The values it may hold by the time an item is decided: those of its row, and those that
        // earlier items claim.
        let stored = row
            .map(|row| values.of_row(rules, tenant, key, row).clone())
            .unwrap_or_default();
        let mut held = stored.clone();
        for edit in group.edits() {
            let UniqueFieldUse { claims, fields } = values.of_edit(rules, tenant, key, edit);
            let mut touched: BTreeSet<UniqueKey> = held
                .iter()
                .filter(|value| fields.contains(&value.field))
                .cloned()
                .collect();
            touched.extend(claims.iter().cloned());
            held.extend(claims.iter().cloned());
            let claims = claims.difference(&stored).cloned().collect();
            if !touched.is_empty() {
                self.groups.insert(key, waits);
                self.items.push(Touch {
                    index: edit.index,
                    key,
                    values: touched,
                    claims,
                });
            }
        }
    }

    /// By resource, the first item that has to wait; `cuts` holds those that wait in any case. In
    /// the order of the batch: an item waits if an earlier one of another resource touches one of
    /// its values, if it may free what an earlier one of its own resource claims (whether that
    /// claim succeeds shows only when it is written), or if an earlier one of its own resource
    /// waits.
    fn cuts(mut self, mut cuts: HashMap<ResourceKey, usize>) -> HashMap<ResourceKey, usize> {
        self.items.sort_by_key(|item| item.index);
        let mut touched: HashMap<UniqueKey, &ResourceKey> = HashMap::new();
        let mut awaited: HashSet<UniqueKey> = HashSet::new();
        let mut claimed: HashSet<(&ResourceKey, UniqueKey)> = HashSet::new();
        for Touch {
            index,
            key,
            values,
            claims,
        } in self.items
        {
            let is_contested = |value: &UniqueKey| {
                awaited.contains(value) || touched.get(value).is_some_and(|toucher| *toucher != key)
            };
            let is_cut = cuts.get(key).is_some_and(|cut| index >= *cut);
            if self.groups[key] || is_cut {
                awaited.extend(values);
            } else if values.iter().any(is_contested)
                || values
                    .difference(&claims)
                    .any(|value| claimed.contains(&(key, value.clone())))
            {
                cuts.insert(key.clone(), index);
                awaited.extend(values);
            } else {
                claimed.extend(claims.into_iter().map(|value| (key, value)));
                touched.extend(values.into_iter().map(|value| (value, key)));
            }
        }
        cuts
    }
}

/// The first create that follows another item of its resource. It may take the place of conflicts
/// that those items open or join, and finds them in the table.
fn later_create(group: &Group) -> Option<usize> {
    let is_create =
        |item: &&Item| matches!(item, Item::Edit(edit) if edit.action == Action::Create);
    group.items.iter().skip(1).find(is_create).map(Item::index)
}
