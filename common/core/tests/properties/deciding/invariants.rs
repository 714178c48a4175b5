//! The invariants of a decided batch: nothing is lost, every edit is applied once on a base that
//! its device has seen, and a replay changes nothing.

use proptest::prelude::*;
use tidemark_core::model::{
    catalog::Policy,
    edit::Action,
    result::{ItemResult, Status},
};

use super::model::{EditModel, ModelConflict, ModelEdit};

impl EditModel {
    /// Checks that `was` in the items changes neither the ids of the edits nor the decision. Only
    /// the conflicts contain it.
    pub(super) fn check_was_changes_nothing(
        &self,
        device: usize,
        batch: &[ModelEdit],
    ) -> Result<(), TestCaseError> {
        let expected = self.decide(device, &self.group(device, batch));
        let described: Vec<ModelEdit> = batch.iter().map(ModelEdit::with_was).collect();
        let mut decision = self.decide(device, &self.group(device, &described));

        let decided = decision.policy_conflict.as_mut();
        let decided = decided.map(|policy_conflict| &mut policy_conflict.conflict);
        for edit in decision
            .conflicts
            .iter_mut()
            .chain(decided)
            .flat_map(|write| &mut write.edits)
        {
            prop_assert_eq!(edit.was.take().is_some(), edit.action == Action::Update);
        }
        prop_assert_eq!(format!("{decision:?}"), format!("{expected:?}"));
        Ok(())
    }

    /// Checks that every edit is applied, is part of the conflict that its result names, or has an
    /// error result.
    pub(super) fn check_nothing_is_lost(
        &self,
        batch: &[ModelEdit],
        results: &[ItemResult],
    ) -> Result<(), TestCaseError> {
        for (sent, result) in batch.iter().zip(results) {
            if result.status == Status::Conflict {
                let conflict = result
                    .conflict_id
                    .as_ref()
                    .and_then(|id| self.conflicts.get(id));
                let text = format!("\"value{}\":{}}}", sent.field, sent.number);

                let holds = |kept: &ModelConflict| kept.payloads.contains(&text);
                prop_assert!(
                    conflict.is_some_and(holds) || sent.number == 0,
                    "edit {} is missing from its conflict",
                    sent.number
                );
            }
            prop_assert!(result.status != Status::Error || result.code.is_some());
        }
        Ok(())
    }

    /// Checks that the version grows by exactly the edits that were not applied before, and that
    /// each of them was made on a base that includes the changes of other writers.
    pub(super) fn check_applied_once_on_a_seen_base(
        &mut self,
        device: usize,
        batch: &[ModelEdit],
        results: &[ItemResult],
        (before, mut is_deleted): (u64, bool),
    ) -> Result<(), TestCaseError> {
        let mut fresh: Vec<&ModelEdit> = Vec::new();
        for (sent, result) in batch.iter().zip(results) {
            let is_old = result.status != Status::Ok
                || result
                    .server_version
                    .is_some_and(|version| version <= before);
            let is_idle = sent.deletes && is_deleted; // deleting what is deleted changes nothing
            if !is_old && !is_idle && self.applied.insert(sent.number) {
                is_deleted |= sent.deletes;
                fresh.push(sent);
            }
        }

        prop_assert_eq!(
            self.version() - before,
            fresh.len() as u64,
            "every version is exactly one edit"
        );

        for sent in fresh {
            let unseen = self.writers.get(sent.base as usize..).unwrap_or_default();
            let field = Some(sent.field).filter(|_| !sent.deletes);
            let is_harmless = |(writer, written): &(usize, Option<usize>)| match self.policy {
                Policy::ClientWins => true,
                Policy::FieldMerge => {
                    *writer == device || field.is_some() && written.is_some() && field != *written
                }
                Policy::Manual | Policy::ServerWins => *writer == device,
            };

            prop_assert!(
                !self.sends_base || unseen.iter().all(is_harmless),
                "edit {} was applied on base {} over versions of others: {:?}",
                sent.number,
                sent.base,
                self.writers
            );

            self.writers
                .push((device, field.filter(|_| sent.number > 0)));
        }
        Ok(())
    }

    /// Checks that deciding the same batch again returns the same results and writes nothing. A
    /// conflict result reports the current state of the server: a later item of the batch may have
    /// made another version, or the deletion that a conflicting delete requested.
    pub(super) fn check_replay_changes_nothing(
        &self,
        device: usize,
        batch: &[ModelEdit],
        results: &[ItemResult],
    ) -> Result<(), TestCaseError> {
        let again = self.decide(device, &self.group(device, batch));
        prop_assert!(again.write.is_none(), "a replay wrote");
        prop_assert!(
            again.conflicts.is_empty() && again.policy_conflict.is_none(),
            "a replay touched a conflict"
        );

        let comparable_members = |results: &[ItemResult]| -> Vec<_> {
            let version =
                |it: &ItemResult| it.server_version.filter(|_| it.status != Status::Conflict);
            let one = |it: &ItemResult| {
                (
                    it.status,
                    it.server_id.clone(),
                    version(it),
                    it.conflict_id.clone(),
                    it.code,
                )
            };
            results.iter().map(one).collect()
        };

        let is_deleted = self
            .stored
            .resource
            .as_ref()
            .is_some_and(|resource| resource.deleted);
        let was_deleted_since =
            |at: usize| is_deleted && batch[at].deletes && results[at].status == Status::Conflict;

        let comparable = |results: &[ItemResult]| -> Vec<_> {
            comparable_members(results)
                .into_iter()
                .enumerate()
                .filter(|(at, _)| !was_deleted_since(*at))
                .collect()
        };

        prop_assert_eq!(comparable(&again.results), comparable(results));
        Ok(())
    }
}
