//! The order in which the items of a batch are decided. A batch must have the same outcome as if
//! its items had been sent one by one (§3.5, §3.9). Therefore an item never takes effect before an
//! earlier item of another resource that may claim or free one of its unique values, and a create
//! that follows other items of its resource is decided against the rows that those items wrote.
//! Independent items are decided together.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::{
    model::{
        catalog::ResourceType,
        edit::Action,
        json,
        resource::{Resource, ResourceKey},
    },
    rules::{
        push::{
            edit::{Edit, Sender},
            group::{Group, Item},
        },
        unique::{self, UniqueKey},
    },
};

/// Splits groups into a first list that may be decided now, side by side, and a second list that
/// has to wait for the first. The groups of `waiting` cannot be decided yet for another reason;
/// later items of the batch that share a value with their items wait as well. `rows` holds the
/// stored resources. A missing or stale row costs another round but not correctness, because the
/// transaction that writes a value checks its holder. `values` caches the parsed values for the
/// next round of the same batch.
///
/// The first list is never empty unless `groups` is, so the caller always makes progress.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use std::collections::HashMap;
/// use serde_json::json;
/// use tidemark_core::rules::push::order::{Values, join, split};
///
/// let phone = phone::Phone::new();
/// let create = |id, code| json!({"action": "create", "payload": {"id": id, "code": code}});
/// let batch = [create("m-1", "A"), create("m-2", "A"), create("m-3", "B")];
/// let groups = phone.batch(batch).groups;
///
/// // The codes of meters are unique: m-2 waits, because m-1 may claim its code.
/// let (now, later) =
///     split(groups, &[], &HashMap::new(), &mut Values::default(), phone.sender());
/// assert!(now.iter().map(|group| &group.key.id).eq(["m-1", "m-3"]));
/// assert!(later.iter().map(|group| &group.key.id).eq(["m-2"]));
///
/// let all = join(now.into_iter().chain(later).collect());
/// assert!(all.iter().map(|group| &group.key.id).eq(["m-1", "m-2", "m-3"]));
/// ```
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
        // The waiting items refer to a create that shares a value with them: the create goes first.
        return (join(later), Vec::new());
    }
    (now, later)
}

/// Joins the parts of each resource's group, in batch order.
///
/// See the example of [`split`].
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

/// The unique values of the rows and items of a batch. A batch is split once in each round; the
/// cache avoids that each round parses all values again.
#[derive(Debug, Default)]
pub struct Values {
    /// Values of rows, for the cached version of each row.
    stored: HashMap<ResourceKey, (u64, BTreeSet<UniqueKey>)>,
    /// Values of items, by index and by whether their references are replaced.
    named: HashMap<(usize, bool), UniqueFieldUse>,
}

/// The effect of an item on unique fields.
#[derive(Debug)]
struct UniqueFieldUse {
    /// The unique values that the item claims.
    claims: BTreeSet<UniqueKey>,
    /// The fields whose current value the item may free.
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

/// The unique values that the items of a batch may claim or free.
#[derive(Default)]
struct Touches<'a> {
    /// The resources with such items, and whether their groups wait.
    groups: HashMap<&'a ResourceKey, bool>,
    items: Vec<Touch<'a>>,
}

/// An item that may claim or free values.
struct Touch<'a> {
    index: usize,
    key: &'a ResourceKey,
    /// The values that the item may claim or free.
    values: BTreeSet<UniqueKey>,
    /// The values that the item claims and that the stored row does not hold.
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
        // The values that the resource may hold when an item is decided: the values of its row and
        // the values that earlier items claim.
        let stored = row
            .map(|row| values.of_row(rules, tenant, key, row).clone())
            .unwrap_or_default();

        let mut may_hold = stored.clone();
        for edit in group.edits() {
            let UniqueFieldUse { claims, fields } = values.of_edit(rules, tenant, key, edit);
            let mut touched: BTreeSet<UniqueKey> = may_hold
                .iter()
                .filter(|value| fields.contains(&value.field))
                .cloned()
                .collect();

            touched.extend(claims.iter().cloned());
            may_hold.extend(claims.iter().cloned());
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

    /// Returns the first item of each resource that has to wait. `cuts` contains the items that
    /// wait in any case. Items are visited in batch order. An item waits in three cases: an earlier
    /// item of another resource touches one of its values; it may free a value that an earlier item
    /// of the same resource claims, because the outcome of that claim is known only after the
    /// write; or an earlier item of the same resource waits.
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

/// Returns the first create that follows another item of its resource. It may supersede conflicts
/// that those items open or join, and it must find them in the table.
fn later_create(group: &Group) -> Option<usize> {
    let is_create =
        |item: &&Item| matches!(item, Item::Edit(edit) if edit.action == Action::Create);
    group.items.iter().skip(1).find(is_create).map(Item::index)
}
