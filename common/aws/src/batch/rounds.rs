//! A batch is settled in waves: a wave holds what can be decided side by side. What refers to a
//! create of the batch waits for its answer, of several resources that touch one unique value the
//! first goes first, and whoever loses a race tries again, a bounded number of times.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use tidemark_core::{
    limits::COMMIT_ATTEMPTS_MAX,
    protocol::push::{ItemCode, ItemResult, Status},
    push::{
        decide::{ConflictsNeeded, CurrentState, Decision, Lookups, decide},
        intake::{CarriedState, Group, Rejection, Sender},
        media::Evidence,
        order,
        references::{self, EarlierCreates},
    },
    resource::{Resource, ResourceKey},
    unique::UniqueKey,
};

use super::{Mode, commit::CommitOutcome, rows::Rows};
use crate::{context::Context, failure::Failure};

/// What all waves of a batch have in common.
pub(super) struct Rounds<'a> {
    pub(super) context: &'a Context,
    pub(super) sender: Sender<'a>,
    pub(super) now: DateTime<Utc>,
    pub(super) mode: Mode,
    pub(super) earlier: EarlierCreates,
    pub(super) media: Evidence,
}

/// A group with the decision about it.
pub(super) struct DecidedGroup {
    pub(super) group: Group,
    pub(super) decision: Decision,
    /// The row it was decided on.
    row: Option<Resource>,
}

impl DecidedGroup {
    /// Splits off the items that were not decided.
    fn split_undecided(&mut self) -> Option<Group> {
        let Group {
            key,
            items,
            carried,
        } = &mut self.group;
        let undecided = items.split_off(self.decision.results.len());
        (!undecided.is_empty()).then(|| Group {
            key: key.clone(),
            items: undecided,
            carried: carried.clone(),
        })
    }
}

/// What a batch has learned so far about what it needs.
struct BatchKnowledge {
    rows: Rows,
    /// The unique values of rows and items.
    values: order::Values,
    /// Who holds a unique value, as far as a try has shown.
    holders: HashMap<UniqueKey, ResourceKey>,
    /// Values that a dry run has freed.
    freed: HashSet<UniqueKey>,
    /// Resources about which this device has conflicts, as far as that matters before an edit
    /// conflicts.
    conflicted: HashSet<ResourceKey>,
}

impl Rounds<'_> {
    /// Settles `groups`, whose rows are `rows`. `conflicted` are the resources with creates that
    /// are part of a conflict of this device.
    pub(super) async fn run(
        &self,
        mut groups: Vec<Group>,
        rows: Rows,
        conflicted: HashSet<ResourceKey>,
        settled: &mut BTreeMap<usize, ItemResult>,
    ) -> Result<(), Failure> {
        // What was applied before is not judged again: its row may have forgotten it since.
        for group in &mut groups {
            group.items.retain(|item| {
                settled
                    .get(&item.index())
                    .is_none_or(|settled| settled.status != Status::Ok)
            });
        }
        groups.retain(|group| group.indexes().any(|index| !settled.contains_key(&index)));
        let (values, holders, freed) = Default::default();
        let mut learned = BatchKnowledge {
            rows,
            values,
            holders,
            freed,
            conflicted,
        };
        let mut lost = 0_u32;
        while !groups.is_empty() {
            if lost > 1 {
                tokio::time::sleep(self.context.random.raced(lost)).await;
            }
            let (round, waiting) = Box::pin(self.next(groups, &mut learned, settled)).await?;
            let outcomes = match self.mode {
                Mode::Apply => Box::pin(self.commit(&round)).await?,
                Mode::DryRun => {
                    self.simulate(&round, &mut learned.holders, &mut learned.freed)
                        .await?
                }
            };
            let (next, is_lost) =
                self.settle_round(round, outcomes, waiting, &mut learned, settled);
            groups = next;
            lost += u32::from(is_lost);
            if lost == COMMIT_ATTEMPTS_MAX {
                settle(
                    settled,
                    groups
                        .iter()
                        .flat_map(|group| reject(group, ItemCode::Contended)),
                );
                return Ok(());
            }
        }
        Ok(())
    }

    /// Decides what can be decided now; what is left waits.
    async fn next(
        &self,
        groups: Vec<Group>,
        learned: &mut BatchKnowledge,
        settled: &mut BTreeMap<usize, ItemResult>,
    ) -> Result<(Vec<DecidedGroup>, Vec<Group>), Failure> {
        let (ready, mut waiting) = self.ready(groups, settled);
        let (tables, tenant) = (&self.context.tables, &self.sender.principal.tenant);
        learned
            .rows
            .read(
                &tables.resources,
                tenant,
                ready.iter().map(|group| &group.key),
            )
            .await?;
        let unreadable = &learned.rows.loaded.unreadable;
        let (unreadable, readable): (Vec<_>, Vec<_>) = ready
            .into_iter()
            .partition(|group| unreadable.contains(&group.key));
        settle(
            settled,
            unreadable
                .iter()
                .flat_map(|group| reject(group, ItemCode::Unavailable)),
        );
        let (now, later) = order::split(
            readable,
            &waiting,
            &learned.rows.loaded.rows,
            &mut learned.values,
            self.sender,
        );
        waiting.extend(later);
        let (optimistic, read): (Vec<_>, Vec<_>) = now
            .into_iter()
            .partition(|group| learned.rows.is_optimistic(&group.key));
        let (mut round, unverified) = self.decide_optimistic(optimistic, learned);
        round.extend(self.decide(read, learned, settled).await?);
        round.sort_by_key(|decided| decided.group.indexes().min());
        waiting.extend(unverified);
        let undecided: Vec<Group> = round
            .iter_mut()
            .filter_map(DecidedGroup::split_undecided)
            .collect();
        if !undecided.is_empty() {
            waiting.extend(undecided);
            waiting = order::join(waiting);
        }
        Ok((round, waiting))
    }

    /// Notes what became of a wave; what is left to decide, and whether a race was lost without
    /// anything learned from it.
    fn settle_round(
        &self,
        round: Vec<DecidedGroup>,
        outcomes: Vec<CommitOutcome>,
        mut waiting: Vec<Group>,
        learned: &mut BatchKnowledge,
        settled: &mut BTreeMap<usize, ItemResult>,
    ) -> (Vec<Group>, bool) {
        let mut is_lost = false;
        let mut losers: HashSet<ResourceKey> = HashSet::new();
        for (
            DecidedGroup {
                group,
                decision,
                row,
            },
            outcome,
        ) in round.into_iter().zip(outcomes)
        {
            let rest = waiting.iter_mut().find(|rest| rest.key == group.key);
            match outcome {
                CommitOutcome::Written => {
                    settle(settled, decision.results.into_iter());
                    learned
                        .holders
                        .retain(|value, _| !decision.unique.frees.contains(value));
                    if let Some(rest) = rest {
                        rest.carried = decision.carried;
                        if !decision.conflicts.is_empty() {
                            learned.conflicted.insert(group.key.clone());
                        }
                        match decision.write {
                            Some(write) => {
                                learned.rows.put_written(
                                    &group.key,
                                    write.resource,
                                    self.mode == Mode::Apply,
                                );
                            }
                            None => learned.rows.put_back(&group.key, row),
                        }
                    }
                }
                CommitOutcome::Unavailable => {
                    settle(settled, reject(&group, ItemCode::Unavailable));
                    if let Some(rest) = rest {
                        rest.carried = CarriedState {
                            failed: Some(true),
                            ..decision.carried
                        };
                    }
                }
                CommitOutcome::Lost(mut found) => {
                    // What an earlier resource holds that lost, too, it may be about to let go.
                    found.retain(|_, holder| !losers.contains(holder));
                    // Who learns of a holder does not try the same again.
                    is_lost |= found
                        .keys()
                        .all(|value| learned.holders.contains_key(value));
                    learned.holders.extend(found);
                    losers.insert(group.key.clone());
                    waiting.push(group);
                }
            }
        }
        (order::join(waiting), is_lost)
    }

    /// Splits off the groups whose references can be told. Of groups that wait for each other the
    /// first is taken at its word.
    fn ready(
        &self,
        groups: Vec<Group>,
        settled: &BTreeMap<usize, ItemResult>,
    ) -> (Vec<Group>, Vec<Group>) {
        if !references::any(&groups) {
            return (groups, Vec::new());
        }
        let ids: HashMap<usize, String> = groups
            .iter()
            .flat_map(|group| group.indexes().map(|index| (index, group.key.id.clone())))
            .collect();
        let (mut ready, mut waiting): (Vec<_>, Vec<_>) = groups
            .into_iter()
            .partition(|group| references::is_ready(group, settled));
        if ready.is_empty() && !waiting.is_empty() {
            ready.push(waiting.remove(0));
        }
        let replace = |group| {
            references::replace(group, settled, &self.earlier, |index| {
                ids.get(&index).cloned()
            })
        };
        (ready.into_iter().map(replace).collect(), waiting)
    }

    /// Decides groups whose rows may be other than they were read. A decision that writes shows
    /// whether they are; where one does not, or conflicts would have to be looked at, the group is
    /// given back, to be read again.
    fn decide_optimistic(
        &self,
        groups: Vec<Group>,
        learned: &mut BatchKnowledge,
    ) -> (Vec<DecidedGroup>, Vec<Group>) {
        let found = Lookups {
            holders: &learned.holders,
            media: &self.media,
        };
        let (mut decided, mut unverified) = (Vec::new(), Vec::new());
        for group in groups {
            let stored = CurrentState {
                resource: learned.rows.take(&group.key),
                conflicts: None,
            };
            match decide(&group, &stored, found, self.sender, self.now) {
                Ok(decision)
                    if decision.write.is_some() && !learned.conflicted.contains(&group.key) =>
                {
                    decided.push(DecidedGroup {
                        group,
                        decision,
                        row: stored.resource,
                    });
                }
                _ => unverified.push(group),
            }
        }
        (decided, unverified)
    }

    /// Decides every group; where edits conflict, the device's conflicts about those resources are
    /// read first, in one lookup.
    async fn decide(
        &self,
        groups: Vec<Group>,
        learned: &mut BatchKnowledge,
        settled: &mut BTreeMap<usize, ItemResult>,
    ) -> Result<Vec<DecidedGroup>, Failure> {
        let found = Lookups {
            holders: &learned.holders,
            media: &self.media,
        };
        let mut decided = Vec::with_capacity(groups.len());
        let mut undecided = Vec::new();
        for group in groups {
            let stored = CurrentState {
                resource: learned.rows.take(&group.key),
                conflicts: None,
            };
            let decision = match learned.conflicted.contains(&group.key) {
                true => Err(ConflictsNeeded),
                false => decide(&group, &stored, found, self.sender, self.now),
            };
            match decision {
                Ok(decision) => decided.push(DecidedGroup {
                    group,
                    decision,
                    row: stored.resource,
                }),
                Err(ConflictsNeeded) => undecided.push((group, stored)),
            }
        }
        if undecided.is_empty() {
            return Ok(decided);
        }
        let wanted: Vec<_> = undecided
            .iter()
            .map(|(group, _)| (&group.key, group.edits().map(|edit| edit.id).collect()))
            .collect();
        let table = &self.context.tables.conflicts;
        let (mut conflicts, has_room) = tokio::try_join!(
            table.of_device(self.sender, &wanted),
            table.has_room(self.sender, self.now)
        )?;
        for (group, mut stored) in undecided {
            if conflicts.unreadable.contains(&group.key) {
                settle(settled, reject(&group, ItemCode::Unavailable));
                continue;
            }
            stored.conflicts = Some(conflicts.standing.remove(&group.key).unwrap_or_default());
            let decision = decide(&group, &stored, found, self.sender, self.now).map_err(
                |ConflictsNeeded| Failure::Outage("conflicts were read and asked for again".into()),
            )?;
            let decision = if has_room {
                decision
            } else {
                decision.without_new_conflicts()
            };
            decided.push(DecidedGroup {
                group,
                decision,
                row: stored.resource,
            });
        }
        Ok(decided)
    }
}

fn settle(settled: &mut BTreeMap<usize, ItemResult>, responses: impl Iterator<Item = ItemResult>) {
    for response in responses {
        settled.entry(response.index).or_insert(response);
    }
}

/// Answers a group that could not be committed: sending it again, unchanged, may succeed.
fn reject(group: &Group, code: ItemCode) -> impl Iterator<Item = ItemResult> {
    group.rejected_for_now(Rejection::new(
        code,
        "others wrote this resource at the same moment, or its row cannot be written now: send the item again",
    ))
}
