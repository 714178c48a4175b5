//! Deciding a batch, resource by resource (§3.5 to §3.8): the edits of a group are folded into one write, what was refused goes into
//! a conflict or is answered as an error, and what was made on a refused copy is not applied.

use chrono::{DateTime, Utc};

use super::{
    intake::{Edit, Group, Item, Refusal, Sender},
    judge::{Verdict, judge},
};
use crate::{
    catalog::ResourceType,
    conflict::{ConflictEdit, ConflictStatus, ConflictWrite, Standing},
    ids,
    json::Json,
    protocol::{
        Action,
        push::{ItemCode, ItemResult, Status},
    },
    resource::{AppliedEdit, Creation, Resource, ResourceKey, Run},
};

/// What is stored about a group's resource.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// The row, if there is one.
    pub resource: Option<Resource>,
    /// This device's conflicts about it; `None` while they were not read.
    pub conflicts: Option<Vec<Standing>>,
}

/// What becomes of a group.
#[derive(Debug, Default)]
pub struct Decision {
    /// The answer to each of its items.
    pub results: Vec<ItemResult>,
    /// The row to write, if anything changed.
    pub write: Option<ResourceWrite>,
    /// The conflicts to store.
    pub conflicts: Vec<ConflictWrite>,
}

/// A row to write, on the condition that it still is what was loaded.
#[derive(Debug, Clone)]
pub struct ResourceWrite {
    /// The version that was loaded; `None` where there was no row.
    pub expected_version: Option<u64>,
    /// The row then.
    pub resource: Resource,
}

/// Why a group cannot be decided yet: some of its edits conflict, and the conflicts this device has already were not read.
#[derive(Debug, PartialEq, Eq)]
pub struct ConflictsNeeded;

/// Decides the edits of `group` against what is stored, at the moment `now`.
///
/// A pure function, and a fixed point: deciding the same group against its own outcome changes nothing and answers the same.
///
/// # Errors
/// [`ConflictsNeeded`] when an edit conflicts and `stored.conflicts` is `None`.
pub fn decide(group: &Group, stored: &Stored, sender: Sender<'_>, now: DateTime<Utc>) -> Result<Decision, ConflictsNeeded> {
    let Some(rules) = sender.catalog.get(&group.key.resource_type) else {
        return Ok(Decision::default()); // no group is made for a type the catalog lacks
    };
    let mut fold = Fold {
        key: &group.key,
        sender,
        now,
        rules,
        resource: stored.resource.clone(),
        applied: 0,
        remembered: 0,
        standing: stored.conflicts.clone(),
        writes: Vec::new(),
        blocked: None,
    };
    let mut results = Vec::with_capacity(group.items.len());
    for item in &group.items {
        results.push(match item {
            Item::Edit(edit) => fold.edit(edit)?,
            Item::Refused(answer) => {
                fold.blocked.get_or_insert(Blocked::Failed);
                answer.clone()
            }
        });
    }
    let expected_version = stored.resource.as_ref().map(|resource| resource.server_version);
    let changed = fold.applied > 0;
    Ok(Decision {
        results,
        write: fold.resource.filter(|_| changed).map(|resource| ResourceWrite { expected_version, resource }),
        conflicts: fold.writes,
    })
}

/// What stands in the way of the rest of the group.
#[derive(Debug)]
enum Blocked {
    /// An item went into this conflict: what follows was made on a refused copy.
    Conflicted(String),
    /// An item failed.
    Failed,
}

struct Fold<'a> {
    key: &'a ResourceKey,
    sender: Sender<'a>,
    now: DateTime<Utc>,
    rules: &'a ResourceType,
    resource: Option<Resource>,
    /// Edits that changed something: what the version grew by.
    applied: usize,
    /// Edits of this group that the row remembers now.
    remembered: usize,
    /// This device's conflicts about the resource, those of this batch included.
    standing: Option<Vec<Standing>>,
    writes: Vec<ConflictWrite>,
    blocked: Option<Blocked>,
}

impl Fold<'_> {
    fn edit(&mut self, edit: &Edit) -> Result<ItemResult, ConflictsNeeded> {
        let verdict = judge(edit, self.resource.as_ref(), self.sender.author, self.rules);
        match (verdict, &self.blocked) {
            (Verdict::Remembered(version), _) => Ok(self.ok(edit, Some(version))),
            (_, Some(Blocked::Failed)) => {
                let error = "an earlier item of this batch on the same resource failed";
                Ok(self.refuse(edit, Refusal::new(ItemCode::DependsOnFailedItem, error)))
            }
            (Verdict::Conflict(code, error), _) => self.conflict(edit, code, error),
            (_, Some(Blocked::Conflicted(_))) => {
                let error = "Made on a refused copy: an earlier item of this batch on the same resource conflicts";
                self.conflict(edit, ItemCode::VersionMismatch, error.into())
            }
            (Verdict::Unchanged { is_seen }, None) => {
                self.remember(edit); // kept only if the row is written for another edit
                // The version is no base for a device that has not seen it: then the payload comes with it.
                let unseen = self.resource.as_ref().filter(|resource| !is_seen && !resource.deleted);
                let server_payload = unseen.map(|resource| resource.payload.clone());
                Ok(ItemResult { server_payload, ..self.ok(edit, self.version()) })
            }
            (Verdict::Apply(payload), None) => {
                self.apply(edit, payload);
                Ok(self.ok(edit, self.version()))
            }
            (Verdict::Refuse(refusal), None) => {
                self.blocked = Some(Blocked::Failed);
                Ok(self.refuse(edit, refusal))
            }
        }
    }

    fn version(&self) -> Option<u64> {
        self.resource.as_ref().map(|resource| resource.server_version)
    }

    fn apply(&mut self, edit: &Edit, payload: Json) {
        let author = self.sender.author;
        let resource = match self.resource.take() {
            None => self.created(edit, payload),
            Some(mut resource) => {
                let version = resource.server_version + 1;
                if edit.base_version.is_none() && edit.client_version > version {
                    resource.claims.note(author, edit.client_version);
                }
                if resource.run.author == *author {
                    resource.run.client_version_max = resource.run.client_version_max.max(edit.client_version);
                } else {
                    resource.run = Run {
                        author: author.clone(),
                        began: version,
                        client_version_max: edit.client_version,
                        is_unproven: edit.base_version.is_none(),
                    };
                }
                resource.payload = payload;
                resource.deleted = edit.action == Action::Delete;
                resource.server_version = version;
                resource.changed_at = self.now;
                resource
            }
        };
        self.applied += 1;
        self.resource = Some(resource);
        if edit.action != Action::Create {
            self.remember(edit);
        }
    }

    fn remember(&mut self, edit: &Edit) {
        if let Some(resource) = &mut self.resource {
            resource.edits.remember(AppliedEdit { id: edit.id, server_version: resource.server_version }, self.remembered);
            self.remembered += 1;
        }
    }

    fn created(&self, edit: &Edit, payload: Json) -> Resource {
        let author = self.sender.author.clone();
        Resource {
            payload,
            server_version: 1,
            deleted: false,
            changed_at: self.now,
            run: Run { author: author.clone(), began: 1, client_version_max: 0, is_unproven: false },
            creation: Creation { author, client_temp_id: edit.client_temp_id.clone(), digest: edit.digest },
            edits: Default::default(),
            claims: Default::default(),
            resolutions: Vec::new(),
            fields: Default::default(),
        }
    }

    fn ok(&self, edit: &Edit, version: Option<u64>) -> ItemResult {
        ItemResult::ok(edit.index, edit.client_temp_id.clone(), self.key.id.clone(), version)
    }

    fn refuse(&self, edit: &Edit, refusal: Refusal) -> ItemResult {
        refusal.answer(edit.index, edit.client_temp_id.clone(), Some(self.key.id.clone()), false)
    }

    /// Puts the edit into the conflict it belongs to (§3.5): the one it stands in already, else one that it joins, else its own.
    fn conflict(&mut self, edit: &Edit, code: ItemCode, error: String) -> Result<ItemResult, ConflictsNeeded> {
        let standing = self.standing.as_mut().ok_or(ConflictsNeeded)?;
        let Some(resource) = self.resource.clone() else { return Err(ConflictsNeeded) }; // only what exists conflicts
        let base = edit.base_version.unwrap_or(edit.client_version);
        let blocking = match self.blocked.take() {
            Some(Blocked::Conflicted(id)) => Some(id),
            _ => None,
        };
        let admits = |conflict: &Standing| match &blocking {
            Some(id) => conflict.id == *id && conflict.admits(0),
            None => edit.action != Action::Create && conflict.admits(base),
        };
        let id = if let Some(held) = standing.iter().find(|conflict| conflict.holds(edit.id)) {
            held.id.clone()
        } else if let Some(open) = standing.iter_mut().find(|conflict| admits(conflict)) {
            let expected_edits = open.edits.len();
            open.edits.push(edit.id);
            open.server_version = resource.server_version;
            let id = open.id.clone();
            self.write_conflict(id, expected_edits, edit, code, resource.clone())
        } else {
            let prefix = ids::conflict_prefix(&self.sender.principal.tenant, self.key, self.sender.author);
            let id = format!("{prefix}{:016x}", edit.id.0);
            let (status, server_version) = (ConflictStatus::Open, resource.server_version);
            standing.push(Standing { id: id.clone(), status, resolution: None, server_version, edits: vec![edit.id] });
            self.write_conflict(id, 0, edit, code, resource.clone())
        };
        self.blocked = Some(Blocked::Conflicted(id.clone()));
        Ok(ItemResult {
            status: Status::Conflict,
            server_version: Some(resource.server_version),
            conflict_id: Some(id),
            server_payload: Some(resource.payload).filter(|_| !resource.deleted),
            server_deleted: resource.deleted,
            code: Some(code),
            error: Some(error),
            ..self.ok(edit, None)
        })
    }

    /// Adds the edit to what is written to the conflict `id`, which had `expected_edits` before this batch if nothing is yet.
    fn write_conflict(&mut self, id: String, expected_edits: usize, edit: &Edit, code: ItemCode, server: Resource) -> String {
        match self.writes.iter_mut().find(|write| write.id == id) {
            Some(write) => {
                write.edits.push(conflict_edit(edit));
                write.server = Some(server);
            }
            None => self.writes.push(ConflictWrite {
                id: id.clone(),
                expected_edits,
                edits: vec![conflict_edit(edit)],
                resource: self.key.clone(),
                server: Some(server),
                code,
                detected_at: self.now,
                outcome: None,
            }),
        }
        id
    }
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
