//! Stores edits that are rejected but must not be lost (§3.5, §3.9, §5) in the conflict they belong
//! to.

mod resolved;
mod write;

use super::{
    content::Next,
    decide::ConflictsNeeded,
    fold::Fold,
    intake::{BatchConflict, Edit, Group, Sender},
};
use crate::{
    catalog::Policy,
    conflict::{ConflictSummary, Resolution},
    protocol::{
        Action,
        push::{ItemCode, ItemResult, Status},
    },
    resource::{EditId, ResourceKey},
    unique,
};

impl<'a> Fold<'a> {
    /// Adds the edit to its conflict (§3.5): the conflict that already contains it, else a conflict
    /// that it joins, else a new one, which `policy` may resolve immediately.
    pub(super) fn conflict(
        &mut self,
        edit: &Edit,
        code: ItemCode,
        error: String,
        policy: Option<Policy>,
    ) -> Result<ItemResult, ConflictsNeeded> {
        let version = self
            .resource
            .as_ref()
            .map_or(0, |resource| resource.server_version);

        let known_conflicts = self.known_conflicts.as_ref().ok_or(ConflictsNeeded)?;
        let held = known_conflicts
            .iter()
            .find(|conflict| conflict.holds(edit.id));

        // A repeated edit gets the code with which it was first rejected.
        let opened = held.filter(|held| held.id == self.conflict_id(edit));
        let code = opened.map_or(code, |opened| opened.code);
        let held = held.map(|held| (held.id.clone(), held.resolution));

        let (id, resolution) = match held {
            Some(held) => held,
            None => self.store(edit, code, version, policy),
        };

        if code == ItemCode::VersionMismatch && version > 0 {
            self.note_conflicted(edit, &id);
        }

        let mut response = ItemResult {
            status: Status::Conflict,
            conflict_id: Some(id),
            resolution,
            server_deleted: self
                .resource
                .as_ref()
                .is_some_and(|resource| resource.deleted),
            code: Some(code),
            error: Some(error),
            ..self.ok(edit)
        };

        self.show(&mut response);
        Ok(response)
    }

    /// Stores the edit in the conflict that it joins, or else in a new one, which `policy` may
    /// resolve. Returns the id of the conflict and its resolution.
    fn store(
        &mut self,
        edit: &Edit,
        code: ItemCode,
        version: u64,
        policy: Option<Policy>,
    ) -> (String, Option<Resolution>) {
        let blocking = self.blocking(edit);
        let is_blocked = blocking.is_some();
        let joined = self
            .known_conflicts
            .iter()
            .flatten()
            .position(|conflict| joins(conflict, edit, blocking, version));

        if let Some(joined) = joined
            && (policy.is_none() || is_blocked)
        {
            return (self.join(joined, edit, code, version), None);
        }

        // A policy only resolves conflicts about existing resources.
        if let Some(policy) = policy
            && let Some(before) = self.settled()
        {
            let id = self.record_policy_decision(edit, policy, before);
            return (id, Some(Resolution::AcceptServer));
        }

        (self.open(edit, code, version), None)
    }

    /// Records that later items of the batch were made on the same copy as this edit, which is part
    /// of the conflict `id`. The base of the first such edit is kept.
    fn note_conflicted(&mut self, edit: &Edit, id: &str) {
        let first = self.carried.conflicted.take();
        self.carried.conflicted = Some(BatchConflict {
            id: id.to_owned(),
            base_version: first.map_or(edit.base_version, |first| first.base_version),
        });
    }

    /// Returns the conflict of an earlier item of the batch that this edit joins: the edit was made
    /// on the same copy but states a newer base, or none. An edit with the same or an older base is
    /// evaluated by itself, as it would be in a later batch.
    pub(super) fn blocking(&self, edit: &Edit) -> Option<&str> {
        let BatchConflict { id, base_version } = self
            .carried
            .conflicted
            .as_ref()
            .filter(|_| edit.action != Action::Create)?;
        let is_newer = edit
            .base_version
            .zip(*base_version)
            .is_none_or(|(base, rejected)| base > rejected);
        Some(id.as_str()).filter(|_| is_newer)
    }

    /// Adds an edit of a resource whose create was rejected to the conflict of the create. Returns
    /// `None` if there is no such conflict.
    pub(super) fn join_rejected_create(
        &mut self,
        edit: &Edit,
    ) -> Result<Option<ItemResult>, ConflictsNeeded> {
        let known_conflicts = self.known_conflicts.as_ref().ok_or(ConflictsNeeded)?;
        if !known_conflicts
            .iter()
            .any(|conflict| conflict.holds(edit.id) || is_rejected_create(conflict))
        {
            return Ok(None);
        }
        let error = "Based on a rejected create: the create of this resource conflicts";
        self.conflict(edit, ItemCode::VersionMismatch, error.into(), None)
            .map(Some)
    }

    /// Returns the result of a create that is part of a conflict since it was rejected for a unique
    /// value, whether or not the conflict is resolved. The create is not applied without a
    /// resolution, even if the value is free now.
    pub(super) fn rejected_before(
        &mut self,
        edit: &Edit,
    ) -> Result<Option<ItemResult>, ConflictsNeeded> {
        let is_held = self
            .known_conflicts
            .iter()
            .flatten()
            .any(|conflict| conflict.holds(edit.id));
        if edit.action != Action::Create || !is_held {
            return Ok(None);
        }
        let error = "Rejected before: the create is part of a conflict";
        self.conflict(edit, ItemCode::UniqueViolation, error.into(), None)
            .map(Some)
    }

    /// Opens or joins a conflict if the edit, which results in `next`, takes a unique value that
    /// another resource is known to hold (§3.9).
    pub(super) fn unique_violation(
        &mut self,
        edit: &Edit,
        next: &Next<'a>,
    ) -> Result<Option<ItemResult>, ConflictsNeeded> {
        // The first attempt of most batches has no known holders.
        if self.found.holders.is_empty() {
            return Ok(None);
        }

        let field = |field: &str| next.changed_field(self.payload.as_mut(), field);
        let values = unique::values_of(self.rules, &self.sender.principal.tenant, self.key, field);
        let taken = values.into_iter().find_map(|value| {
            let holder = self
                .found
                .holders
                .get(&value)
                .filter(|holder| *holder != self.key)?;
            Some((value.field, holder.clone()))
        });

        let Some((field, holder)) = taken else {
            return Ok(None);
        };

        let holder_id = Some(holder.id).filter(|_| self.sender.principal.may_use(&holder.channel));
        let by = holder_id.as_ref().map_or_else(
            || "a resource that you may not read".to_owned(),
            Clone::clone,
        );
        let error = format!("Unique violation: the value of {field} is held by {by}");

        let response = self.conflict(edit, ItemCode::UniqueViolation, error, None)?;
        Ok(Some(ItemResult {
            holder_id,
            ..response
        }))
    }
}

/// Returns whether `edit` joins `conflict`: the conflict that blocks the group, or one whose
/// rejection came after the edit's base (§3.5).
fn joins(conflict: &ConflictSummary, edit: &Edit, blocking: Option<&str>, version: u64) -> bool {
    match (edit.action, blocking) {
        (_, Some(id)) => conflict.id == id && conflict.is_open_with_room(),
        // A corrected create joins the conflict that the first create opened.
        (Action::Create, None) => conflict.opened_by_create && conflict.is_open_with_room(),
        _ if version == 0 => is_rejected_create(conflict),
        _ => conflict.admits(edit.base_version.unwrap_or(edit.client_version)),
    }
}

/// Returns whether the conflict is about a create that was never applied, and has room for more
/// edits.
fn is_rejected_create(conflict: &ConflictSummary) -> bool {
    conflict.server_version == 0 && conflict.is_open_with_room()
}

/// Returns the creates of types with unique fields, by resource. The existing conflicts of this
/// device about them must be loaded before they are decided, because a create stays in the conflict
/// it is part of, and supersedes the conflicts of earlier creates.
pub fn creates_to_look_for<'a>(
    groups: &'a [Group],
    sender: Sender<'_>,
) -> Vec<(&'a ResourceKey, Vec<EditId>)> {
    let has_unique = |group: &&Group| {
        sender
            .catalog
            .get(&group.key.resource_type)
            .is_some_and(|rules| !rules.unique.is_empty())
    };

    let created = |group: &Group| {
        group
            .edits()
            .filter(|edit| edit.action == Action::Create)
            .map(|edit| edit.id)
            .collect()
    };

    let creates = groups
        .iter()
        .filter(has_unique)
        .map(|group| (&group.key, created(group)));
    creates
        .filter(|(_, edits): &(_, Vec<EditId>)| !edits.is_empty())
        .collect()
}
