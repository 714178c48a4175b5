//! A batch is settled in waves: a wave holds what can be decided side by side. What refers to a create of the batch waits for its
//! answer, of several resources that touch one unique value the first goes first, and whoever loses a race tries again, a bounded
//! number of times.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use tidemark_core::{
    limits::COMMIT_ATTEMPTS_MAX,
    protocol::push::{ItemCode, ItemResult, Status},
    push::{
        decide::{ConflictsNeeded, Decision, Found, Stored, decide},
        intake::{Group, Refusal, Sender},
        media::Evidence,
        references,
    },
    resource::ResourceKey,
    unique::UniqueKey,
};

use super::{Mode, commit::Outcome};
use crate::{
    failure::Failure,
    platform::Platform,
    tables::{backoff, resources::Loaded},
};

/// What all waves of a batch have in common.
pub(super) struct Waves<'a> {
    pub(super) platform: &'a Platform,
    pub(super) sender: Sender<'a>,
    pub(super) now: DateTime<Utc>,
    pub(super) mode: Mode,
    pub(super) found: HashSet<ResourceKey>,
    pub(super) media: Evidence,
    /// Resources with creates that stand in a conflict.
    pub(super) refused: HashSet<ResourceKey>,
}

/// A group with the decision about it.
pub(super) struct Decided {
    pub(super) group: Group,
    pub(super) decision: Decision,
}

impl Waves<'_> {
    /// Settles `groups`, whose rows are `loaded`.
    pub(super) async fn run(
        &self,
        mut groups: Vec<Group>,
        loaded: Loaded,
        settled: &mut BTreeMap<usize, ItemResult>,
    ) -> Result<(), Failure> {
        // What was applied before is not judged again: its row may have forgotten it since.
        for group in &mut groups {
            group.items.retain(|item| settled.get(&item.index()).is_none_or(|settled| settled.status != Status::Ok));
        }
        groups.retain(|group| group.indexes().any(|index| !settled.contains_key(&index)));
        let mut loaded = Some(loaded);
        // Who holds a unique value, as far as a try has shown.
        let mut holders: HashMap<UniqueKey, ResourceKey> = HashMap::new();
        let mut freed: HashSet<UniqueKey> = HashSet::new();
        let mut lost = 0_u32;
        while !groups.is_empty() {
            if lost > 1 {
                tokio::time::sleep(backoff(lost)).await;
            }
            let (ready, waiting) = self.ready(groups, settled);
            let mut rows = match loaded.take() {
                Some(rows) => rows,
                None => {
                    self.platform.tables.resources.load(&self.sender.principal.tenant, ready.iter().map(|it| &it.key)).await?
                }
            };
            let (unreadable, readable): (Vec<_>, Vec<_>) =
                ready.into_iter().partition(|group| rows.unreadable.contains(&group.key));
            settle(settled, unreadable.iter().flat_map(|group| refuse(group, ItemCode::Unavailable)));
            let (unproven, read): (Vec<_>, Vec<_>) = readable.into_iter().partition(|group| rows.unproven.contains(&group.key));
            let (mut wave, doubtful) = self.decide_unproven(unproven, &mut rows);
            wave.extend(self.decide(read, &mut rows, &holders).await?);
            wave.sort_by_key(|decided| decided.group.indexes().min());
            let first_doubtful = doubtful.iter().filter(|group| self.has_unique_values(group)).flat_map(Group::indexes).min();
            let (wave, held_back) = hold_back(wave, first_doubtful);
            groups = waiting;
            groups.extend(doubtful.into_iter().chain(held_back));
            let outcomes = match self.mode {
                Mode::Apply => self.commit(&wave).await?,
                Mode::DryRun => self.foresee(&wave, &mut holders, &mut freed).await?,
            };
            let mut is_lost = false;
            let mut losers: HashSet<ResourceKey> = HashSet::new();
            for (Decided { group, decision }, outcome) in wave.into_iter().zip(outcomes) {
                match outcome {
                    Outcome::Written => settle(settled, decision.results.into_iter()),
                    Outcome::Unavailable => settle(settled, refuse(&group, ItemCode::Unavailable)),
                    Outcome::Lost(mut found) => {
                        // What an earlier resource holds that lost, too, it may be about to let go.
                        found.retain(|_, holder| !losers.contains(holder));
                        // Who learns of a holder does not try the same again.
                        is_lost |= found.keys().all(|value| holders.contains_key(value));
                        holders.extend(found);
                        losers.insert(group.key.clone());
                        groups.push(group);
                    }
                }
            }
            lost += u32::from(is_lost);
            if lost == COMMIT_ATTEMPTS_MAX {
                settle(settled, groups.iter().flat_map(|group| refuse(group, ItemCode::Contended)));
                return Ok(());
            }
            groups.sort_by_key(|group| group.indexes().min());
        }
        Ok(())
    }

    /// Splits off the groups whose references can be told. Of groups that wait for each other the first is taken at its word.
    fn ready(&self, groups: Vec<Group>, settled: &BTreeMap<usize, ItemResult>) -> (Vec<Group>, Vec<Group>) {
        if !references::any(&groups) {
            return (groups, Vec::new());
        }
        let ids: HashMap<usize, String> =
            groups.iter().flat_map(|group| group.indexes().map(|index| (index, group.key.id.clone()))).collect();
        let (mut ready, mut waiting): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| references::is_ready(group, settled));
        if ready.is_empty() && !waiting.is_empty() {
            ready.push(waiting.remove(0));
        }
        let replace = |group| references::replace(group, settled, &self.found, |index| ids.get(&index).cloned());
        (ready.into_iter().map(replace).collect(), waiting)
    }

    /// Decides groups whose rows may be other than they were read. A decision that writes shows whether they are; where one does not, or
    /// conflicts would have to be looked at, the group is given back, to be read again.
    fn decide_unproven(&self, groups: Vec<Group>, rows: &mut Loaded) -> (Vec<Decided>, Vec<Group>) {
        let nobody = HashMap::new();
        let found = Found { holders: &nobody, media: &self.media };
        let (mut decided, mut doubtful) = (Vec::new(), Vec::new());
        for group in groups {
            let stored = Stored { resource: rows.rows.remove(&group.key), conflicts: None };
            match decide(&group, &stored, found, self.sender, self.now) {
                Ok(decision) if decision.write.is_some() && !self.refused.contains(&group.key) => {
                    decided.push(Decided { group, decision });
                }
                _ => doubtful.push(group),
            }
        }
        (decided, doubtful)
    }

    fn has_unique_values(&self, group: &Group) -> bool {
        self.sender.catalog.get(&group.key.resource_type).is_some_and(|rules| !rules.unique.is_empty())
    }

    /// Decides every group; where an edit conflicts, the device's conflicts about that resource are read first.
    async fn decide(
        &self,
        groups: Vec<Group>,
        rows: &mut Loaded,
        holders: &HashMap<UniqueKey, ResourceKey>,
    ) -> Result<Vec<Decided>, Failure> {
        let found = Found { holders, media: &self.media };
        let stored: Vec<Stored> =
            groups.iter().map(|group| Stored { resource: rows.rows.remove(&group.key), conflicts: None }).collect();
        let decided = groups.into_iter().zip(stored).map(async |(group, mut stored)| -> Result<Decided, Failure> {
            if self.refused.contains(&group.key) {
                stored.conflicts = Some(self.platform.tables.conflicts.of_device(self.sender, &group.key).await?);
            }
            let decision = match decide(&group, &stored, found, self.sender, self.now) {
                Ok(decision) => decision,
                Err(ConflictsNeeded) => {
                    stored.conflicts = Some(self.platform.tables.conflicts.of_device(self.sender, &group.key).await?);
                    decide(&group, &stored, found, self.sender, self.now)
                        .map_err(|ConflictsNeeded| Failure::Outage("conflicts were read and asked for again".into()))?
                }
            };
            Ok(Decided { group, decision })
        });
        try_join_all(decided).await
    }
}

/// Holds back what touches a unique value that an earlier group of the wave touches, or may touch once it is certain what it does: the
/// value may be freed, or taken, there. `first_doubtful` is the first item of which that is not certain.
fn hold_back(wave: Vec<Decided>, first_doubtful: Option<usize>) -> (Vec<Decided>, Vec<Group>) {
    let mut touched: HashSet<UniqueKey> = HashSet::new();
    let (mut goes, mut waits) = (Vec::with_capacity(wave.len()), Vec::new());
    for Decided { group, decision } in wave {
        let is_behind_doubt = first_doubtful.is_some_and(|first| group.indexes().min() > Some(first));
        let waits_for_another = decision.unique.touched().any(|key| is_behind_doubt || touched.contains(key));
        touched.extend(decision.unique.touched().cloned());
        if waits_for_another {
            waits.push(group);
        } else {
            goes.push(Decided { group, decision });
        }
    }
    (goes, waits)
}

fn settle(settled: &mut BTreeMap<usize, ItemResult>, answers: impl Iterator<Item = ItemResult>) {
    for answer in answers {
        settled.entry(answer.index).or_insert(answer);
    }
}

/// Answers a group that could not be committed: sending it again, unchanged, may succeed.
fn refuse(group: &Group, code: ItemCode) -> impl Iterator<Item = ItemResult> {
    group.refused_for_now(Refusal::new(
        code,
        "others wrote this resource at the same moment, or its row cannot be written now: send the item again",
    ))
}
