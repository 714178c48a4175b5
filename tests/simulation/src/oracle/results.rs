//! Checks of the results that a push returns: their content is current (invariant 3), and the
//! result of a repeated edit agrees with what became of the edit (invariant 6).

use std::collections::BTreeMap;

use tidemark_client::{Action, ItemResult, ResourceId, ResourceName, Status};
use tidemark_core::model::limits::DEDUPLICATION_EDITS;

use super::Oracle;
use crate::{
    edits::{is_marked, mark},
    fate::{Fate, ReportedResult},
    version::{Row, Version},
};

impl Oracle {
    /// Checks that content in a result is not older than the version of the resource `before` the
    /// device sent its request, which is the newest that the device can have pulled (invariant 3).
    pub fn answered(
        &mut self,
        before: &BTreeMap<ResourceName, u64>,
        name: &ResourceName,
        result: &ItemResult,
    ) {
        let Some(id) = &result.server_id else { return };

        let has_content = result.server_payload.is_some() || result.server_deleted;
        let reports_absence = result.status == Status::Conflict
            && result.server_version.is_none()
            && !result.server_payload_omitted;
        let name = ResourceName {
            id: ResourceId::Server(id.clone()),
            ..name.clone()
        };

        let version = result.server_version.unwrap_or_default();
        let current = before.get(&name).copied().unwrap_or_default();
        if (has_content || reports_absence) && version < current {
            self.violated(
                3,
                format!("a response contains {name:?} in version {version}, but {current} existed before the request"),
            );
        }
    }

    /// Records the result that a device received for an edit (invariants 1 and 6).
    pub fn told(&mut self, number: u64, told: ReportedResult) {
        let Some(fate) = self.fates.get(&number).cloned() else {
            return;
        };
        let was_ok = fate
            .told
            .as_ref()
            .is_some_and(|before| before.status == Status::Ok);

        // An edit that changed nothing may be missing in the deduplication window
        // (docs/protocol.md, *Known quirks*).
        let may_be_reevaluated = match fate.edit.action() {
            Action::Delete => self.was_deleted_by_another(&fate),
            _ => !is_marked(&fate.edit),
        };
        if was_ok
            && told.status != Status::Ok
            && !may_be_reevaluated
            && !fate.is_forgotten
            && !self.may_be_forgotten(number)
        {
            self.violated(
                6,
                format!(
                    "edit {number} was ok, but its retry returned {:?}",
                    told.status
                ),
            );
        }

        let was_applied = self.applied.contains_key(&number) && !self.accepted.contains(&number);
        let is_reevaluated = told.is_for_value
            && (fate.edit.action() == Action::Update || self.doubled.contains(&number));
        let waits = told.status == Status::Conflict && !told.is_decided && !is_reevaluated;
        // If two devices share an id, one may retry a batch with an edit that conflicted and that
        // the other has sent alone since.
        let is_cloned = self.cloned.contains(&fate.owner);
        if was_applied
            && waits
            && !is_cloned
            && !fate.is_forgotten
            && !self.may_be_forgotten(number)
        {
            self.violated(
                6,
                format!("edit {number} was applied, but its result reports an open conflict"),
            );
        }

        if let Some(fate) = self.fates.get_mut(&number) {
            fate.told = Some(told);
        }
    }

    /// Returns whether a delete received the version of another author's delete: it changed
    /// nothing.
    fn was_deleted_by_another(&self, fate: &Fate) -> bool {
        let version = fate.told.as_ref().and_then(|told| told.server_version);
        let versions = self
            .history
            .get(&(fate.owner.tenant.clone(), fate.edit.name().clone()))
            .into_iter()
            .flatten();
        versions
            .filter(|it| Some(it.number) == version)
            .any(|it| it.author != fate.owner.author())
    }

    /// Returns whether so many edits followed that the row need not keep this edit in its
    /// deduplication window (§3.6). An edit makes one version; a resolution makes one version of
    /// all edits of its conflict.
    pub(super) fn may_be_forgotten(&self, number: u64) -> bool {
        let is_applied = |version: &Version| version.fields.contains_key(&mark(number));
        // A delete leaves no mark.
        let is_deleted = |(tenant, name): &Row| {
            self.fates.get(&number).is_some_and(|fate| {
                fate.edit.action() == Action::Delete
                    && fate.owner.tenant == *tenant
                    && *fate.edit.name() == *name
            })
        };
        let typed = |(tenant, name): &Row| {
            self.fates
                .values()
                .filter(|fate| fate.owner.tenant == *tenant && *fate.edit.name() == *name)
                .count()
        };

        let mut rows = self
            .history
            .iter()
            .filter(|(row, versions)| is_deleted(row) || versions.iter().any(is_applied));
        rows.any(|(row, versions)| {
            let made = versions
                .last()
                .is_some_and(|last| last.number >= DEDUPLICATION_EDITS as u64);
            made || (versions.iter().any(|version| version.is_decision)
                && typed(row) >= DEDUPLICATION_EDITS)
        })
    }
}
