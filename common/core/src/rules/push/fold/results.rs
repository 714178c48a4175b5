//! The results of edits that are applied or change nothing, and the server's payload that a result
//! includes.

use crate::{
    model::{
        catalog::Policy, edit::Action, json::tree::Tree, limits::escaped_bytes,
        resource::AppliedEdit, result::ItemResult,
    },
    rules::push::{decision::ConflictsNeeded, edit::Edit, fold::Fold},
};

impl Fold<'_> {
    /// Returns the result of an edit that is applied or changes nothing, with the current version.
    pub(in crate::rules::push) fn ok(&self, edit: &Edit) -> ItemResult {
        let version = self
            .resource
            .as_ref()
            .map(|resource| resource.server_version);
        ItemResult::ok(
            edit.index,
            edit.client_temp_id.clone(),
            self.key.id.clone(),
            version,
        )
    }

    /// Adds the server's payload to a result, or sets `server_payload_omitted` if it does not fit.
    pub(in crate::rules::push) fn include_server_payload(&mut self, result: &mut ItemResult) {
        let Some(bytes) = self.payload.as_ref().map(Tree::bytes) else {
            return;
        };

        if self
            .resource
            .as_ref()
            .is_none_or(|resource| resource.deleted)
        {
            return;
        }

        if bytes <= self.response_bytes_left {
            self.serialize_payload();
            let payload = self.resource.as_ref().map(|resource| &resource.payload);
            let left = payload.and_then(|payload| {
                self.response_bytes_left
                    .checked_sub(escaped_bytes(payload.get()))
            });
            if let (Some(left), Some(payload)) = (left, payload) {
                result.server_payload = Some(payload.clone());
                self.response_bytes_left = left;
                return;
            }
            // Payloads of this size or larger are not serialized again to check whether they fit.
            self.response_bytes_left = self.response_bytes_left.min(bytes.saturating_sub(1));
        }

        result.server_payload_omitted = true;
    }

    /// Returns the original result of a repeated edit. If a policy stored something other than what
    /// was sent, the payload is included as long as the version is current.
    pub(super) fn recorded(
        &mut self,
        edit: &Edit,
        applied: AppliedEdit,
    ) -> Result<ItemResult, ConflictsNeeded> {
        if let (Action::Update | Action::Delete, Some(resource)) = (edit.action, &mut self.resource)
        {
            resource.edits.renew(edit.id); // its own batch must not push it out
            self.carried.recorded += 1;
        }

        let mut result = ItemResult {
            server_version: Some(applied.server_version),
            merged: applied.is_merged,
            ..self.ok(edit)
        };

        if self.rules.policy == Policy::ClientWins && edit.action != Action::Create {
            let known_conflicts = self.known_conflicts.as_ref().ok_or(ConflictsNeeded)?;
            let resolved_conflict = known_conflicts
                .iter()
                .find(|conflict| conflict.resolution.is_some() && conflict.contains(edit.id));
            (result.conflict_id, result.resolution) = (
                resolved_conflict.map(|it| it.id.clone()),
                resolved_conflict.and_then(|it| it.resolution),
            );
        }

        if let Some(resource) = self
            .resource
            .as_ref()
            .filter(|_| result.merged || result.conflict_id.is_some())
        {
            let is_current = resource.server_version == applied.server_version;
            result.server_payload_omitted = !is_current;
            if is_current {
                self.include_server_payload(&mut result);
            }
        }
        // A snapshot does not contain deletes. A device that pulled a snapshot before it repeats
        // its edit would restore the deleted resource.
        let is_gone = self.resource.as_ref().is_some_and(|resource| {
            resource.deleted && resource.server_version > applied.server_version
        });
        result.server_payload_omitted |= is_gone;

        Ok(result)
    }

    pub(super) fn unchanged(&mut self, edit: &Edit, is_seen: bool) -> ItemResult {
        self.record_edit(edit, false); // kept only if the row is written for another edit
        // The device cannot have the payload of a version that it has not received, so the result
        // includes it.
        let mut result = self.ok(edit);
        if !is_seen {
            self.include_server_payload(&mut result);
        }
        result
    }
}
