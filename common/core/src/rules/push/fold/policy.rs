//! Edits that were not made on the current state of the resource: they go to the policy of their
//! type, or into the conflict of an earlier item of the batch.

use crate::{
    model::{
        catalog::Policy,
        resolution::Resolution,
        result::{ItemCode, ItemResult},
    },
    rules::push::{
        content::Next,
        decision::ConflictsNeeded,
        edit::Edit,
        fold::Fold,
        policy::{PolicyDecision, rule},
    },
};

impl<'a> Fold<'a> {
    /// Passes an edit that conflicts to the policy of its type. An edit that the policy does not
    /// cover, or that an earlier conflict blocks, is stored in its conflict.
    pub(super) fn on_conflict(
        &mut self,
        edit: &'a Edit,
        code: ItemCode,
        error: String,
        is_blocked: bool,
    ) -> Result<ItemResult, ConflictsNeeded> {
        if code == ItemCode::VersionMismatch && !is_blocked {
            return self.rule(edit, error);
        }
        self.conflict(edit, code, error, is_blocked && self.drops_conflicting())
    }

    /// Adds an edit to the conflict of the earlier item of the batch on which it is based.
    pub(super) fn follow_blocking(&mut self, edit: &Edit) -> Result<ItemResult, ConflictsNeeded> {
        let error = "Based on a rejected edit: an earlier item of this batch on the same resource \
                     conflicts";
        self.conflict(
            edit,
            ItemCode::VersionMismatch,
            error.into(),
            self.drops_conflicting(),
        )
    }

    /// Passes an edit that conflicts to the policy of its type.
    fn rule(&mut self, edit: &'a Edit, error: String) -> Result<ItemResult, ConflictsNeeded> {
        // Only an edit of an existing resource conflicts.
        let (Some(resource), Some(payload)) = (&self.resource, &mut self.payload) else {
            return Err(ConflictsNeeded);
        };

        let decision = rule(edit, resource, payload, self.sender.author, self.rules);
        if !matches!(decision, PolicyDecision::Manual) && self.is_part_of_conflict(edit)? {
            return self.conflict(edit, ItemCode::VersionMismatch, error, false);
        }

        match decision {
            PolicyDecision::Manual => self.conflict(edit, ItemCode::VersionMismatch, error, false),
            PolicyDecision::ServerWins => {
                self.conflict(edit, ItemCode::VersionMismatch, error, true)
            }
            PolicyDecision::Merge(next) => self.apply_by_policy(edit, next, true),
            PolicyDecision::ClientWins(next) => self.apply_by_policy(edit, next, false),
        }
    }

    /// Returns whether a conflict of this device, open or resolved, contains the edit.
    fn is_part_of_conflict(&self, edit: &Edit) -> Result<bool, ConflictsNeeded> {
        let known_conflicts = self.known_conflicts.as_ref().ok_or(ConflictsNeeded)?;
        Ok(known_conflicts
            .iter()
            .any(|conflict| conflict.contains(edit.id)))
    }

    /// Applies an edit as the policy of its type decided, merged with the changes of others or over
    /// them, and records a decision of `client_wins`.
    fn apply_by_policy(
        &mut self,
        edit: &'a Edit,
        next: Next<'a>,
        is_merged: bool,
    ) -> Result<ItemResult, ConflictsNeeded> {
        if let Err(rejection) = next.check(self.payload.as_mut(), self.rules) {
            return Ok(self.fail(edit, rejection, false));
        }

        let before = if is_merged { None } else { self.current() };
        let mut result = self.apply(edit, next, is_merged)?;
        let Some(resource) = self
            .resource
            .as_mut()
            .filter(|_| result.conflict_id.is_none())
        else {
            return Ok(result);
        };

        // The device does not know the version that the edit was applied to, so its pulls must
        // deliver the change.
        resource.run.echo_to_author = true;

        result.merged = is_merged;
        if let (false, Some(before)) = (is_merged, before) {
            let id = self.record_policy_decision(edit, Policy::ClientWins, before);
            (result.conflict_id, result.resolution) = (Some(id), Some(Resolution::AcceptClient));
        }

        self.include_server_payload(&mut result);
        Ok(result)
    }

    /// Returns whether the policy is `server_wins`, which also drops the edits that follow a
    /// dropped edit.
    fn drops_conflicting(&self) -> bool {
        self.rules.policy == Policy::ServerWins
    }
}
