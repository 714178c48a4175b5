//! Stores edits that conflict (§3.5, §3.9, §5): in the conflict that contains them already, in an
//! open conflict, or in a new one.

mod resolved;
mod write;

use crate::{
    model::{
        catalog::Policy,
        conflict::ConflictSummary,
        edit::Action,
        resolution::Resolution,
        resource::{EditId, ResourceKey},
        result::{ItemCode, ItemResult, Status},
    },
    rules::{
        push::{
            content::Next,
            decision::ConflictsNeeded,
            edit::{Edit, Sender},
            fold::Fold,
            group::{BatchConflict, Group},
        },
        unique,
    },
};

impl<'a> Fold<'a> {
    /// Adds the edit to its conflict (§3.5): the conflict that already contains it, else a conflict
    /// that it joins, else a new one. `is_dropped`: the policy `server_wins` drops the edit, so its
    /// conflict is stored as resolved with `accept_server`.
    pub(super) fn conflict(
        &mut self,
        edit: &Edit,
        code: ItemCode,
        error: String,
        is_dropped: bool,
    ) -> Result<ItemResult, ConflictsNeeded> {
        let version = self
            .resource
            .as_ref()
            .map_or(0, |resource| resource.server_version);

        let known_conflicts = self.known_conflicts.as_ref().ok_or(ConflictsNeeded)?;
        let held = known_conflicts
            .iter()
            .find(|conflict| conflict.contains(edit.id));

        // The conflict stores the code of the edit that opened it. A repetition of that edit gets
        // this code; a repetition of a joined edit gets the code of its present evaluation.
        let opened = held.filter(|held| held.id == self.conflict_id(edit));
        let code = opened.map_or(code, |opened| opened.code);
        let held = held.map(|held| (held.id.clone(), held.resolution));

        let (id, resolution) = match held {
            Some(held) => held,
            None => self.store(edit, code, version, is_dropped),
        };

        if code == ItemCode::VersionMismatch && version > 0 {
            self.carry_conflict(edit, &id);
        }

        let mut result = ItemResult {
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

        self.include_server_payload(&mut result);
        Ok(result)
    }

    /// Stores the edit in the conflict that it joins, or else in a new one, which is resolved if
    /// the edit `is_dropped`. Returns the id of the conflict and its resolution.
    fn store(
        &mut self,
        edit: &Edit,
        code: ItemCode,
        version: u64,
        is_dropped: bool,
    ) -> (String, Option<Resolution>) {
        let blocking = self.blocking(edit);
        let is_blocked = blocking.is_some();
        let joined = self
            .known_conflicts
            .iter()
            .flatten()
            .position(|conflict| joins(conflict, edit, blocking, version));

        if let Some(joined) = joined
            && (!is_dropped || is_blocked)
        {
            return (self.join(joined, edit, code, version), None);
        }

        // A policy only resolves conflicts about existing resources.
        if is_dropped && let Some(before) = self.current() {
            let id = self.record_policy_decision(edit, Policy::ServerWins, before);
            return (id, Some(Resolution::AcceptServer));
        }

        (self.open(edit, code, version), None)
    }

    /// Records the conflict `id`, so that later items of the batch that were made on the same copy
    /// join it (see [`Self::blocking`]). If several edits of the batch conflict, the base of the
    /// first counts.
    fn carry_conflict(&mut self, edit: &Edit, id: &str) {
        let first = self.carried.batch_conflict.take();
        self.carried.batch_conflict = Some(BatchConflict {
            id: id.to_owned(),
            base_version: first.map_or(edit.base_version, |first| first.base_version),
        });
    }

    /// Returns the conflict of an earlier item of the batch that `edit` must join, because it was
    /// made on the same copy: its base is newer than that of the earlier item, or one of the two
    /// has no base. An edit with the same or an older base is evaluated by itself, as it would be
    /// in a later batch.
    pub(super) fn blocking(&self, edit: &Edit) -> Option<&str> {
        let BatchConflict { id, base_version } = self
            .carried
            .batch_conflict
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
    pub(super) fn join_conflict_of_create(
        &mut self,
        edit: &Edit,
    ) -> Result<Option<ItemResult>, ConflictsNeeded> {
        let known_conflicts = self.known_conflicts.as_ref().ok_or(ConflictsNeeded)?;
        if !known_conflicts
            .iter()
            .any(|conflict| conflict.contains(edit.id) || is_open_unapplied_create(conflict))
        {
            return Ok(None);
        }
        let error = "Based on a rejected create: the create of this resource conflicts";
        self.conflict(edit, ItemCode::VersionMismatch, error.into(), false)
            .map(Some)
    }

    /// Returns the result of a create that is already part of a conflict, open or resolved. Such a
    /// create is applied only by a resolution, even if its unique value is free now.
    pub(super) fn result_of_conflicting_create(
        &mut self,
        edit: &Edit,
    ) -> Result<Option<ItemResult>, ConflictsNeeded> {
        let is_held = self
            .known_conflicts
            .iter()
            .flatten()
            .any(|conflict| conflict.contains(edit.id));
        if edit.action != Action::Create || !is_held {
            return Ok(None);
        }
        let error = "Rejected before: the create is part of a conflict";
        self.conflict(edit, ItemCode::UniqueViolation, error.into(), false)
            .map(Some)
    }

    /// Opens or joins a conflict if the edit, which results in `next`, takes a unique value that
    /// another resource is known to hold (§3.9).
    pub(super) fn unique_violation(
        &mut self,
        edit: &Edit,
        next: &Next<'a>,
    ) -> Result<Option<ItemResult>, ConflictsNeeded> {
        // Holders become known only when a transaction fails, so most groups are decided without a
        // lookup of the payload's unique fields.
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

        let result = self.conflict(edit, ItemCode::UniqueViolation, error, false)?;
        Ok(Some(ItemResult {
            holder_id,
            ..result
        }))
    }
}

/// Returns whether `edit` joins `conflict`, which must be open and have room: the conflict
/// `blocking` of an earlier item of this batch; for a create, a conflict that a create opened; if
/// there is no resource, the conflict of its create; otherwise a conflict whose last rejection was
/// about a version after the edit's base (§3.5).
fn joins(conflict: &ConflictSummary, edit: &Edit, blocking: Option<&str>, version: u64) -> bool {
    match (edit.action, blocking) {
        (_, Some(id)) => conflict.id == id && conflict.is_open_with_room(),
        // A corrected create joins the conflict that the first create opened.
        (Action::Create, None) => conflict.opened_by_create && conflict.is_open_with_room(),
        _ if version == 0 => is_open_unapplied_create(conflict),
        _ => conflict.admits(edit.base_version.unwrap_or(edit.client_version)),
    }
}

/// Returns whether the conflict is about a create that was never applied, and has room for more
/// edits.
fn is_open_unapplied_create(conflict: &ConflictSummary) -> bool {
    conflict.server_version == 0 && conflict.is_open_with_room()
}

/// Returns the creates of types with unique fields, by resource. The device's conflicts about these
/// resources must be loaded before the creates are decided: a create that is part of a conflict
/// stays in it, and a create that is applied supersedes the conflicts of earlier creates.
///
/// # Example
///
/// ```
/// mod phone { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/phone.rs")); }
/// use serde_json::json;
/// use tidemark_core::rules::push::conflict::conflicts_of_creates;
///
/// // Meters have a unique field and tasks have none.
/// let phone = phone::Phone::new();
/// let intake = phone.batch([
///     json!({"action": "create", "payload": {"id": "m-1", "code": "A"}}),
///     json!({"action": "update", "payload": {"id": "m-2", "code": "B"}}),
///     json!({"resource_type": "task", "action": "create", "payload": {"id": "t-1"}}),
/// ]);
/// let create = intake.groups[0].edits().next().unwrap().id;
/// let creates = conflicts_of_creates(&intake.groups, phone.sender());
/// assert_eq!(creates, [(&phone::meter("m-1"), vec![create])]);
/// ```
pub fn conflicts_of_creates<'a>(
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
