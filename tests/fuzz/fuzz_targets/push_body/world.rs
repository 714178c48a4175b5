//! The stored state in memory, to which pushes are applied like the push function applies them.

mod commit;

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use tidemark_core::{
    model::{
        conflict::{ConflictStatus, ConflictSummary},
        principal::{Author, Principal},
        resource::{Resource, ResourceKey},
        result::ItemResult,
    },
    rules::{
        media::{MediaCheck, Upload},
        push::{
            decide::decide,
            decision::{CurrentState, Decision, Lookups},
            edit::{Edit, Sender},
            group::{CarriedState, Group, Item},
            intake,
            media::{KeyRules, MediaReferences, MediaVerification},
            order,
            references::{self, EarlierCreates},
        },
        unique::UniqueKey,
    },
    wire::push::{PushRequest, read_item},
};

use super::{CATALOG, KEYRING, requests::check_intake, results::check_decided_again};

/// The stored state that pushes read and write.
#[derive(Default)]
pub(super) struct World {
    rows: HashMap<ResourceKey, Resource>,
    holders: HashMap<UniqueKey, ResourceKey>,
    /// Conflict summaries by author and resource.
    conflicts: HashMap<(String, ResourceKey), Vec<ConflictSummary>>,
}

/// A batch whose groups are decided in rounds.
struct Batch<'a> {
    sender: Sender<'a>,
    now: DateTime<Utc>,
    earlier: EarlierCreates,
    media: MediaVerification,
    /// The id of the resource of each item, by the index of the item.
    ids: HashMap<usize, String>,
}

impl World {
    pub(super) fn versions(&self) -> HashMap<ResourceKey, u64> {
        self.rows
            .iter()
            .map(|(key, row)| (key.clone(), row.server_version))
            .collect()
    }

    pub(super) fn check_grown(&self, before: &HashMap<ResourceKey, u64>) {
        let versions = self.versions();
        assert!(
            before
                .iter()
                .all(|(key, version)| versions.get(key) >= Some(version)),
            "no row is removed and no version decreases"
        );
    }

    /// Applies a push, from the items to the rows: resource by resource, in the order that
    /// references require.
    pub(super) fn push(
        &mut self,
        push: &PushRequest,
        principal: &Principal,
        second: i64,
    ) -> Vec<ItemResult> {
        let author = Author::device(&principal.user, &push.device_id);
        let device_id = &push.device_id;
        let sender = Sender {
            principal,
            device_id,
            author: &author,
            catalog: &CATALOG,
            is_replay: false,
        };

        let now = DateTime::from_timestamp(second, 0).expect("in range");
        let intake = intake::read(push.items.iter().map(|item| read_item(item)), sender);
        check_intake(&push.items, &intake, sender);
        let batch = Batch {
            sender,
            now,
            earlier: self.earlier_creates(&intake.groups, &author),
            media: verified(&intake.groups, sender),
            ids: ids_of(&intake.groups),
        };

        let rejected = intake.rejected.into_iter();
        let mut results: BTreeMap<usize, ItemResult> = rejected.map(|it| (it.index, it)).collect();
        let (mut waiting, mut values) = (intake.groups, order::Values::default());
        while !waiting.is_empty() {
            waiting = self.round(waiting, &batch, &mut values, &mut results);
        }
        results.into_values().collect()
    }

    /// Decides the groups whose references and unique values permit it, adds their results to
    /// `results`, and returns the groups of later rounds.
    fn round(
        &mut self,
        waiting: Vec<Group>,
        batch: &Batch<'_>,
        values: &mut order::Values,
        results: &mut BTreeMap<usize, ItemResult>,
    ) -> Vec<Group> {
        let known: &BTreeMap<usize, ItemResult> = results;
        let (ready, mut rest) = take_ready(waiting, known);
        let id_of = |index: usize| batch.ids.get(&index).cloned();
        let ready: Vec<Group> = ready
            .into_iter()
            .map(|group| references::replace(group, known, &batch.earlier, id_of))
            .collect();

        let (now, mut later) = order::split(ready, &rest, &self.rows, values, batch.sender);
        assert!(!now.is_empty(), "each round decides at least one group");

        for mut group in now {
            let (decided, undecided, carried) =
                self.settle(&mut group, &batch.media, batch.sender, batch.now);
            results.extend(decided.into_iter().map(|result| (result.index, result)));
            later = postpone(later, &group.key, undecided, carried);
        }

        rest.extend(later);
        order::join(rest)
    }

    /// Decides a group or its first items, commits the decision, and decides the same items again.
    /// Also returns the items that remain.
    fn settle(
        &mut self,
        group: &mut Group,
        media: &MediaVerification,
        sender: Sender<'_>,
        now: DateTime<Utc>,
    ) -> (Vec<ItemResult>, Vec<Item>, CarriedState) {
        let (decision, holders) = self.decide_with_holders(group, media, sender, now);
        let (results, carried) = (decision.results.clone(), decision.carried.clone());
        assert!(!results.is_empty(), "at least one item is decided");
        let undecided = group.items.split_off(results.len());
        self.commit(group, decision, sender);

        let again = self.decide(group, &holders, media, sender, now);
        check_decided_again(&again, &results);

        (results, undecided, carried)
    }

    /// Decides a group with the holders of the unique values that it claims, and returns both.
    fn decide_with_holders(
        &self,
        group: &Group,
        media: &MediaVerification,
        sender: Sender<'_>,
        now: DateTime<Utc>,
    ) -> (Decision, HashMap<UniqueKey, ResourceKey>) {
        // Each attempt reveals which of the claimed values are held by other resources.
        let mut holders = HashMap::new();
        loop {
            let decision = self.decide(group, &holders, media, sender, now);
            let held = |key: &UniqueKey| {
                self.holders
                    .get(key)
                    .filter(|holder| **holder != group.key)
                    .map(|it| (key.clone(), it.clone()))
            };

            let taken: HashMap<_, _> = decision.unique.touched().filter_map(held).collect();
            if taken.is_empty() {
                return (decision, holders);
            }

            assert!(
                taken.keys().all(|key| !holders.contains_key(key)),
                "values that are known to be held are not touched"
            );
            holders.extend(taken);
        }
    }

    /// Returns the outcomes of the device's earlier creates to which `groups` may refer.
    fn earlier_creates(&self, groups: &[Group], author: &Author) -> EarlierCreates {
        let mut earlier = EarlierCreates::default();
        for key in references::to_earlier_batches(groups).flat_map(|reference| &reference.earlier) {
            let summaries = self
                .conflicts
                .get(&(author.as_str().to_owned(), key.clone()));
            let create = summaries
                .into_iter()
                .flatten()
                .find(|conflict| conflict.opened_by_create);

            if self.rows.contains_key(key) {
                earlier.made.insert(key.clone());
            } else if let Some(create) = create {
                earlier
                    .rejected
                    .insert(key.clone(), create.status == ConflictStatus::Open);
            }
        }
        earlier
    }

    fn decide(
        &self,
        group: &Group,
        holders: &HashMap<UniqueKey, ResourceKey>,
        media: &MediaVerification,
        sender: Sender<'_>,
        now: DateTime<Utc>,
    ) -> Decision {
        let found = Lookups { holders, media };
        let resource = self.rows.get(&group.key).cloned();
        let own = (sender.author.as_str().to_owned(), group.key.clone());
        let summaries = self.conflicts.get(&own).cloned().unwrap_or_default();

        // As in the push function, conflicts of a device are read only if an edit conflicts or its
        // create was rejected earlier.
        let is_rejected = !summaries.is_empty()
            && group
                .items
                .iter()
                .any(|item| matches!(item, Item::Edit(edit) if self.is_rejected(&own, edit)));

        let without = CurrentState {
            resource: resource.clone(),
            conflicts: None,
        };

        if !is_rejected && let Ok(decision) = decide(group, &without, found, sender, now) {
            return decision;
        }

        let stored = CurrentState {
            resource,
            conflicts: Some(summaries),
        };
        decide(group, &stored, found, sender, now).expect("conflicts are loaded")
    }

    fn is_rejected(&self, own: &(String, ResourceKey), edit: &Edit) -> bool {
        self.conflicts
            .get(own)
            .is_some_and(|summaries| summaries.iter().any(|conflict| conflict.contains(edit.id)))
    }
}

/// Returns the id of the resource of each item, by the index of the item.
fn ids_of(groups: &[Group]) -> HashMap<usize, String> {
    groups
        .iter()
        .flat_map(|group| group.indexes().map(|index| (index, group.key.id.clone())))
        .collect()
}

/// Separates the groups whose references can be replaced from the others. If all groups wait for
/// each other, the first is taken.
fn take_ready(
    waiting: Vec<Group>,
    results: &BTreeMap<usize, ItemResult>,
) -> (Vec<Group>, Vec<Group>) {
    let (mut ready, mut rest): (Vec<_>, Vec<_>) = waiting
        .into_iter()
        .partition(|group| references::is_ready(group, results));
    if ready.is_empty() {
        ready.push(rest.remove(0));
    }
    (ready, rest)
}

/// Adds the undecided items of the resource `key` to the groups of later rounds, with the state
/// that its decided items left.
fn postpone(
    mut later: Vec<Group>,
    key: &ResourceKey,
    undecided: Vec<Item>,
    carried: CarriedState,
) -> Vec<Group> {
    if !undecided.is_empty() {
        later.push(Group {
            key: key.clone(),
            items: undecided,
            carried: CarriedState::default(),
        });
        later = order::join(later);
    }
    if let Some(part) = later.iter_mut().find(|part| part.key == *key) {
        part.carried = carried;
    }
    later
}

/// Returns verification that verifies every upload to which the items refer.
fn verified(groups: &[Group], sender: Sender<'_>) -> MediaVerification {
    let upload = |key: String| {
        let upload = Upload {
            key: key.clone(),
            content_length: 1,
            content_type: "image/jpeg".into(),
        };
        (key, MediaCheck::Verified(upload))
    };

    let rules = KeyRules {
        keyring: &KEYRING,
        accepts_old: true,
    };
    let (keys, verification) =
        MediaReferences::of(groups, &HashMap::new(), sender, rules, |_| true)
            .objects_to_head(HashSet::new());
    verification.with_lookup_results(keys.into_iter().map(upload).collect())
}
