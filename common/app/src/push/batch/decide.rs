//! Decides the groups of a round. A decision is a pure function of the edits and of the stored
//! state; this module supplies that state, and reads the conflicts of the device only if edits
//! conflict.

use std::collections::BTreeMap;

use tidemark_core::{
    rules::push::{
        decide::{ConflictsNeeded, CurrentState, Decision, Lookups, decide},
        intake::Group,
    },
    wire::push::{ItemCode, ItemResult},
};

use super::rounds::{BatchRun, BatchState, DecidedGroup, record_results, reject};
use tidemark_aws::error::Error;

impl BatchRun<'_> {
    /// Decides groups whose rows come from optimistic reads. The conditional write of a decision
    /// validates its read. Groups without a write and groups that need their conflicts are returned
    /// as unverified, to be read strongly consistently.
    pub(super) fn decide_optimistic(
        &self,
        groups: Vec<Group>,
        state: &mut BatchState,
    ) -> (Vec<DecidedGroup>, Vec<Group>) {
        let (mut decided, mut unverified) = (Vec::new(), Vec::new());
        for group in groups {
            let stored = CurrentState {
                resource: state.rows.take(&group.key),
                conflicts: None,
            };

            match self.evaluate(&group, &stored, state) {
                Ok(decision)
                    if decision.write.is_some() && !state.needs_conflicts.contains(&group.key) =>
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

    /// Decides every group. If edits conflict, the device's conflicts about their resources are
    /// read first, in one lookup.
    pub(super) async fn decide(
        &self,
        groups: Vec<Group>,
        state: &mut BatchState,
        results: &mut BTreeMap<usize, ItemResult>,
    ) -> Result<Vec<DecidedGroup>, Error> {
        let mut decided = Vec::with_capacity(groups.len());
        let mut undecided = Vec::new();
        for group in groups {
            let stored = CurrentState {
                resource: state.rows.take(&group.key),
                conflicts: None,
            };
            let decision = match state.needs_conflicts.contains(&group.key) {
                true => Err(ConflictsNeeded),
                false => self.evaluate(&group, &stored, state),
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
            decided.extend(self.decide_conflicting(undecided, state, results).await?);
        }
        Ok(decided)
    }

    /// Decides groups whose edits conflict, with the device's conflicts about their resources.
    async fn decide_conflicting(
        &self,
        groups: Vec<(Group, CurrentState)>,
        state: &BatchState,
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
                .evaluate(&group, &stored, state)
                .map_err(|ConflictsNeeded| {
                    let detail = "conflicts were requested after they had been read";
                    Error::Unavailable(detail.into())
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
        state: &BatchState,
    ) -> Result<Decision, ConflictsNeeded> {
        let found = Lookups {
            holders: &state.holders,
            media: &self.media,
        };
        decide(group, stored, found, self.sender, self.now)
    }
}
