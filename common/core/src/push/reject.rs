//! Where an edit goes that is not applied and not lost (§3.5, §3.9, §5): into the conflict it
//! belongs to.

use super::{
    content::Next,
    decide::{ConflictsNeeded, PolicyConflict},
    fold::Fold,
    intake::{BatchConflict, Edit, Group, Sender},
};
use crate::{
    catalog::Policy,
    conflict::{
        ConflictEdit, ConflictOutcome, ConflictResolution, ConflictSlot, ConflictStatus,
        ConflictSummary, ConflictWrite, Resolution, SupersededConflict,
    },
    ids,
    limits::SUPERSEDED_MAX,
    protocol::{
        Action,
        push::{ItemCode, ItemResult, Status},
    },
    resource::{EditId, Resource, ResourceKey},
    unique,
};

impl<'a> Fold<'a> {
    /// Puts the edit into the conflict it belongs to (§3.5): the one it stands in already, else one
    /// that it joins, else its own, which a `policy` may have decided.
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
        let blocking = self.blocking(edit);
        let standing = self.standing.as_ref().ok_or(ConflictsNeeded)?;
        let held = standing.iter().find(|conflict| conflict.holds(edit.id));
        let joined = standing
            .iter()
            .position(|conflict| joins(conflict, edit, blocking, version));
        // An edit that comes again is told why it was refused first.
        let opened = held.filter(|held| held.id == self.conflict_id(edit));
        let code = opened.map_or(code, |opened| opened.code);
        let held = held.map(|held| (held.id.clone(), held.resolution));
        let (id, resolution) = match (held, joined, policy) {
            (Some(held), ..) => held,
            (None, Some(joined), _) if policy.is_none() || blocking.is_some() => {
                (self.join(joined, edit, code, version), None)
            }
            // Only what exists is ruled on.
            (None, _, Some(policy)) if let Some(before) = self.settled() => (
                self.record_ruling(edit, policy, before),
                Some(Resolution::AcceptServer),
            ),
            _ => (self.open(edit, code, version), None),
        };
        if code == ItemCode::VersionMismatch && version > 0 {
            let base_version = self
                .carried
                .conflicted
                .take()
                .map_or(edit.base_version, |first| first.base_version);
            self.carried.conflicted = Some(BatchConflict {
                id: id.clone(),
                base_version,
            });
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

    /// The conflict of an earlier item of the batch that this edit joins, because it was made on
    /// the same copy although it states a newer base, or none. One that states the base of that
    /// item, or an older one, is judged by itself, as it is in a later batch.
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

    /// An edit of a resource whose create was refused joins the conflict that the create stands in;
    /// `None` where there is none.
    pub(super) fn join_rejected_create(
        &mut self,
        edit: &Edit,
    ) -> Result<Option<ItemResult>, ConflictsNeeded> {
        let standing = self.standing.as_ref().ok_or(ConflictsNeeded)?;
        if !standing
            .iter()
            .any(|conflict| conflict.holds(edit.id) || is_rejected_create(conflict))
        {
            return Ok(None);
        }
        let error = "Made on a refused copy: the create of this resource conflicts";
        self.conflict(edit, ItemCode::VersionMismatch, error.into(), None)
            .map(Some)
    }

    /// The conflict that a create stands in since it was refused for a unique value, decided or
    /// not: it is not applied behind that conflict's back, even if the value is free by now.
    pub(super) fn rejected_before(
        &mut self,
        edit: &Edit,
    ) -> Result<Option<ItemResult>, ConflictsNeeded> {
        let is_held = self
            .standing
            .iter()
            .flatten()
            .any(|conflict| conflict.holds(edit.id));
        if edit.action != Action::Create || !is_held {
            return Ok(None);
        }
        let error = "Refused before: the create stands in a conflict";
        self.conflict(edit, ItemCode::UniqueViolation, error.into(), None)
            .map(Some)
    }

    /// The conflict of an edit that makes `next` of the payload, and so takes a unique value that
    /// another resource is known to hold (§3.9).
    pub(super) fn unique_violation(
        &mut self,
        edit: &Edit,
        next: &Next<'a>,
    ) -> Result<Option<ItemResult>, ConflictsNeeded> {
        if self.found.holders.is_empty() {
            return Ok(None); // as at the first try of nearly every batch
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

    /// The id of the conflict that an edit opens.
    fn conflict_id(&self, edit: &Edit) -> String {
        ids::conflict(
            &self.sender.principal.tenant,
            self.key,
            self.sender.author,
            edit.id,
        )
    }

    /// Resolves this device's open conflicts about earlier creates of the resource, because a
    /// create of it was just applied: accepting one later would revert the resource. What was
    /// joined to them is kept there. Returns their ids.
    pub(super) fn supersede(&mut self) -> Vec<String> {
        let Some(resource) = self.resource.as_mut() else {
            return Vec::new();
        };
        let server_version = resource.server_version;
        let outcome = ConflictOutcome {
            resolution: Resolution::AcceptServer,
            resolved_by: "policy:superseded".to_owned(),
            resolved_at: self.now,
            note: None,
            server_version,
            merged_digest: None,
        };
        let mut ids = Vec::new();
        let is_written =
            |conflict: &ConflictSummary| self.writes.iter().any(|write| write.id == conflict.id);
        let open = self
            .standing
            .iter_mut()
            .flatten()
            .filter(|conflict| conflict.is_open_create() && !is_written(conflict));
        for conflict in open.take(SUPERSEDED_MAX) {
            let id = conflict.id.clone();
            conflict.status = ConflictStatus::Resolved;
            conflict.resolution = Some(outcome.resolution);
            resource.note_resolution(ConflictResolution {
                id: id.clone(),
                resolution: outcome.resolution,
                server_version,
            });
            ids.push(id.clone());
            self.superseded.push(SupersededConflict {
                id,
                slot: conflict.slot,
                expected_edits: conflict.edits.len(),
                outcome: outcome.clone(),
            });
        }
        ids
    }

    fn join(&mut self, at: usize, edit: &Edit, code: ItemCode, version: u64) -> String {
        let Some(conflict) = self
            .standing
            .as_mut()
            .and_then(|standing| standing.get_mut(at))
        else {
            return String::new();
        };
        let expected_edits = conflict.edits.len();
        conflict.edits.push(edit.id);
        conflict.server_version = version;
        let (id, slot) = (conflict.id.clone(), conflict.slot);
        self.write(&id, slot, expected_edits, edit, code);
        id
    }

    fn open(&mut self, edit: &Edit, code: ItemCode, server_version: u64) -> String {
        let id = self.conflict_id(edit);
        let conflict = ConflictSummary {
            id: id.clone(),
            slot: ConflictSlot::default(),
            status: ConflictStatus::Open,
            resolution: None,
            server_version,
            edits: vec![edit.id],
            opened_by_create: edit.action == Action::Create,
            code,
        };
        self.write(&id, ConflictSlot::default(), 0, edit, code);
        self.standing.get_or_insert_default().push(conflict);
        id
    }

    /// Adds the edit to what is written to the conflict `id`, which had `expected_edits` before
    /// this batch if nothing is yet.
    fn write(
        &mut self,
        id: &str,
        slot: ConflictSlot,
        expected_edits: usize,
        edit: &Edit,
        code: ItemCode,
    ) {
        let at = self
            .writes
            .iter()
            .position(|write| write.id == id)
            .unwrap_or_else(|| {
                self.writes.push(ConflictWrite {
                    slot,
                    expected_edits,
                    ..self.new_write(id.to_owned(), code)
                });
                self.writes.len() - 1
            });
        let version =
            |resource: &Option<Resource>| resource.as_ref().map(|resource| resource.server_version);
        let is_known = self
            .writes
            .get(at)
            .is_some_and(|write| version(&write.server) == version(&self.resource));
        let server = if is_known { None } else { self.settled() };
        if let Some(write) = self.writes.get_mut(at) {
            write.edits.push(conflict_edit(edit));
            write.server = server.or_else(|| write.server.take());
        }
    }

    fn new_write(&self, id: String, code: ItemCode) -> ConflictWrite {
        let standing = self.standing.iter().flatten();
        ConflictWrite {
            id,
            slot: ConflictSlot::default(),
            expected_edits: 0,
            beside: standing.map(ConflictSummary::neighbor).collect(),
            edits: Vec::new(),
            resource: self.key.clone(),
            server: None,
            code,
            detected_at: self.now,
            outcome: None,
        }
    }

    /// Records that `policy` decided about the edit, which met the resource as it was `before`;
    /// gives the id of the conflict. What a policy decides about one resource in one batch is one
    /// conflict.
    pub(super) fn record_ruling(
        &mut self,
        edit: &Edit,
        policy: Policy,
        before: Resource,
    ) -> String {
        let Some(after) = self.settled() else {
            return String::new();
        }; // only what exists is ruled on
        let server_version = after.server_version;
        let mut conflict = match self.ruled.take() {
            Some(ruled) => ruled.conflict,
            None => {
                let id = self.conflict_id(edit);
                ConflictWrite {
                    server: Some(before),
                    ..self.new_write(id, ItemCode::VersionMismatch)
                }
            }
        };
        conflict.edits.push(conflict_edit(edit));
        let (resolution, word) = match policy {
            Policy::ClientWins => (Resolution::AcceptClient, "client_wins"),
            _ => (Resolution::AcceptServer, "server_wins"),
        };
        conflict.outcome = Some(ConflictOutcome {
            resolution,
            resolved_by: format!("policy:{word}"),
            resolved_at: self.now,
            note: None,
            server_version,
            merged_digest: None,
        });
        let id = conflict.id.clone();
        if let (Policy::ClientWins, Some(resource)) = (policy, &mut self.resource) {
            resource.note_resolution(ConflictResolution {
                id: id.clone(),
                resolution,
                server_version,
            });
        }
        let resolutions = self
            .resource
            .as_ref()
            .map(|resource| resource.resolutions.clone())
            .unwrap_or_default();
        let after = Resource {
            resolutions,
            ..after
        };
        let standing = self.standing.get_or_insert_default();
        match standing.iter_mut().find(|standing| standing.id == id) {
            Some(standing) => standing.edits.push(edit.id),
            None => standing.push(ConflictSummary {
                id: id.clone(),
                slot: ConflictSlot::default(),
                status: ConflictStatus::Resolved,
                resolution: Some(resolution),
                server_version,
                edits: vec![edit.id],
                opened_by_create: false,
                code: ItemCode::VersionMismatch,
            }),
        }
        self.ruled = Some(PolicyConflict {
            policy,
            conflict,
            after,
        });
        id
    }
}

/// Whether `edit` joins `conflict`: the one that blocks the group, or one whose refusal came after
/// the edit's base (§3.5).
fn joins(conflict: &ConflictSummary, edit: &Edit, blocking: Option<&str>, version: u64) -> bool {
    match (edit.action, blocking) {
        (_, Some(id)) => conflict.id == id && conflict.is_open_with_room(),
        // A corrected create is one more edit of the conflict that the first one opened.
        (Action::Create, None) => conflict.opened_by_create && conflict.is_open_with_room(),
        _ if version == 0 => is_rejected_create(conflict),
        _ => conflict.admits(edit.base_version.unwrap_or(edit.client_version)),
    }
}

/// Whether the conflict is about a create that never came to be, and may be joined.
fn is_rejected_create(conflict: &ConflictSummary) -> bool {
    conflict.server_version == 0 && conflict.is_open_with_room()
}

fn conflict_edit(edit: &Edit) -> ConflictEdit {
    ConflictEdit {
        id: edit.id,
        action: edit.action,
        payload: edit.payload.clone(),
        client_version: edit.client_version,
        base_version: edit.base_version,
    }
}

/// The creates of types with unique fields, by resource: whether this device has conflicts about
/// them already must be known before they are decided, because a create stays in the conflict it is
/// part of, and takes the place of those of earlier creates.
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
