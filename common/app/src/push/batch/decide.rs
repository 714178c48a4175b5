//! Decides the groups of a round. A decision is a pure function of the edits and of the stored
//! state; this module supplies that state, and reads the conflicts of the device only if edits
//! conflict.

use std::collections::{BTreeMap, HashMap};

use tidemark_aws::Error;
use tidemark_core::{
    model::{
        resource::{Resource, ResourceKey},
        result::{ItemCode, ItemResult},
    },
    rules::{
        push::{
            decide::decide,
            decision::{ConflictsNeeded, CurrentState, Decision, Lookups},
            group::Group,
        },
        unique::UniqueKey,
    },
};

use super::{
    results::{record_results, reject},
    rounds::BatchRun,
    rows::Rows,
    scheduler::Scheduler,
};

/// A group whose decision is ready to be committed.
pub(super) struct DecidedGroup {
    pub(super) group: Group,
    pub(super) decision: Decision,
    /// The row on which the decision is based.
    pub(super) row: Option<Resource>,
}

impl DecidedGroup {
    /// Splits off the items that the decision does not cover.
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

impl BatchRun<'_> {
    /// Decides the groups of a round. Groups that need a strongly consistent read, and items that
    /// their group's decision does not cover, are returned to the scheduler. Groups whose conflicts
    /// cannot be decoded are rejected.
    pub(super) async fn decide(
        &self,
        groups: Vec<Group>,
        scheduler: &mut Scheduler<'_>,
        rows: &mut Rows,
        results: &mut BTreeMap<usize, ItemResult>,
    ) -> Result<Vec<DecidedGroup>, Error> {
        let (optimistic, read): (Vec<_>, Vec<_>) = groups
            .into_iter()
            .partition(|group| rows.is_optimistic(&group.key));
        let holders = &scheduler.holders;

        let (mut round, to_reread) = self.decide_optimistic(optimistic, rows, holders);
        round.extend(self.decide_read(read, rows, holders, results).await?);
        round.sort_by_key(|decided| decided.group.indexes().min());

        let undecided = round.iter_mut().filter_map(DecidedGroup::split_undecided);
        scheduler.defer(to_reread.into_iter().chain(undecided).collect());
        Ok(round)
    }

    /// Decides groups whose rows come from optimistic reads. The conditional write of a decision
    /// validates its read. Returns groups without a write and groups that need their conflicts
    /// separately, to be read again with strong consistency.
    fn decide_optimistic(
        &self,
        groups: Vec<Group>,
        rows: &mut Rows,
        holders: &HashMap<UniqueKey, ResourceKey>,
    ) -> (Vec<DecidedGroup>, Vec<Group>) {
        let (mut decided, mut to_reread) = (Vec::new(), Vec::new());
        for group in groups {
            let stored = CurrentState {
                resource: rows.take(&group.key),
                conflicts: None,
            };

            match self.evaluate(&group, &stored, holders) {
                Ok(decision)
                    if decision.write.is_some() && !rows.needs_conflicts.contains(&group.key) =>
                {
                    decided.push(DecidedGroup {
                        group,
                        decision,
                        row: stored.resource,
                    });
                }
                _ => to_reread.push(group),
            }
        }

        (decided, to_reread)
    }

    /// Decides groups whose rows were read strongly consistently. If edits conflict, the device's
    /// conflicts about their resources are read first, in one lookup.
    async fn decide_read(
        &self,
        groups: Vec<Group>,
        rows: &mut Rows,
        holders: &HashMap<UniqueKey, ResourceKey>,
        results: &mut BTreeMap<usize, ItemResult>,
    ) -> Result<Vec<DecidedGroup>, Error> {
        let mut decided = Vec::with_capacity(groups.len());
        let mut undecided = Vec::new();
        for group in groups {
            let stored = CurrentState {
                resource: rows.take(&group.key),
                conflicts: None,
            };
            let decision = match rows.needs_conflicts.contains(&group.key) {
                true => Err(ConflictsNeeded),
                false => self.evaluate(&group, &stored, holders),
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

        if !undecided.is_empty() {
            let conflicting = self.decide_conflicting(undecided, holders, results);
            decided.extend(conflicting.await?);
        }
        Ok(decided)
    }

    /// Decides groups whose edits conflict, with the device's conflicts about their resources.
    async fn decide_conflicting(
        &self,
        groups: Vec<(Group, CurrentState)>,
        holders: &HashMap<UniqueKey, ResourceKey>,
        results: &mut BTreeMap<usize, ItemResult>,
    ) -> Result<Vec<DecidedGroup>, Error> {
        let wanted: Vec<_> = groups
            .iter()
            .map(|(group, _)| (&group.key, group.edits().map(|edit| edit.id).collect()))
            .collect();
        let table = &self.context.tables.conflicts;
        let (mut conflicts, has_room) = tokio::try_join!(
            table.of_device(self.sender, &wanted),
            table.has_room(self.sender, self.now)
        )?;

        let mut decided = Vec::with_capacity(groups.len());
        for (group, mut stored) in groups {
            if conflicts.unreadable.contains(&group.key) {
                record_results(results, reject(&group, ItemCode::Unavailable));
                continue;
            }
            stored.conflicts = Some(conflicts.summaries.remove(&group.key).unwrap_or_default());

            let decision = self
                .evaluate(&group, &stored, holders)
                .map_err(|ConflictsNeeded| {
                    let detail = "conflicts were requested after they had been read";
                    Error::unavailable(detail)
                })?;
            decided.push(DecidedGroup {
                group,
                decision: if has_room {
                    decision
                } else {
                    decision.without_new_conflicts()
                },
                row: stored.resource,
            });
        }
        Ok(decided)
    }

    /// Decides a group with the unique values and uploads that are known.
    fn evaluate(
        &self,
        group: &Group,
        stored: &CurrentState,
        holders: &HashMap<UniqueKey, ResourceKey>,
    ) -> Result<Decision, ConflictsNeeded> {
        let found = Lookups {
            holders,
            media: &self.media,
        };
        decide(group, stored, found, self.sender, self.now)
    }
}
