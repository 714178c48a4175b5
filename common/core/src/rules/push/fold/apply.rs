//! Applies an edit to the resource: the next payload, the version, and what the row records about
//! its writers.

use std::{borrow::Cow, collections::BTreeSet};

use crate::{
    model::{
        catalog::Policy,
        edit::Action,
        field_versions::changed_fields,
        json::tree::Tree,
        resource::{AppliedEdit, Creation, Resource, Run},
        result::ItemResult,
    },
    rules::push::{content::Next, decision::ConflictsNeeded, edit::Edit, fold::Fold},
};

impl<'a> Fold<'a> {
    /// Applies an edit, unless it takes a unique value that another resource holds.
    pub(super) fn apply(
        &mut self,
        edit: &'a Edit,
        next: Next<'a>,
        is_merged: bool,
    ) -> Result<ItemResult, ConflictsNeeded> {
        if let Some(result) = self.result_of_conflicting_create(edit)? {
            return Ok(result);
        }

        if edit.action != Action::Delete
            && let Some(result) = self.unique_violation(edit, &next)?
        {
            return Ok(result);
        }

        let before = self.resource.take();
        let is_first_create = before.is_none();
        if edit.action == Action::Create && !is_first_create && self.known_conflicts.is_none() {
            return Err(ConflictsNeeded); // it may supersede conflicts
        }

        self.resource = Some(match before {
            None => self.created(edit),
            Some(resource) => self.changed(edit, next, resource),
        });
        self.applied += 1;
        // The row itself identifies its first create.
        if !is_first_create {
            self.record_edit(edit, is_merged);
        }

        let superseded_conflicts = if edit.action == Action::Create {
            self.supersede()
        } else {
            Vec::new()
        };

        Ok(ItemResult {
            superseded_conflicts,
            ..self.ok(edit)
        })
    }

    fn changed(&mut self, edit: &Edit, next: Next<'a>, mut resource: Resource) -> Resource {
        let author = self.sender.author;
        let version = resource.server_version + 1;

        if self.rules.policy == Policy::ClientWins
            || edit.base_version.is_none() && edit.client_version > version
        {
            resource.high_water_marks.note(author, edit.client_version);
        }
        if self.rules.policy != Policy::ClientWins {
            resource.high_water_marks.note_gap();
        }

        if resource.run.author == *author {
            resource.run.client_version_max =
                resource.run.client_version_max.max(edit.client_version);
        } else {
            resource.run = Run {
                author: author.clone(),
                began: version,
                client_version_max: edit.client_version,
                echo_to_author: edit.base_version.is_none(),
            };
        }

        resource.run.echo_to_author |= edit.is_rewritten;
        let was_deleted = resource.deleted;
        let changed = self.put(next, &mut resource);
        (resource.kept, resource.deleted) = (None, edit.action == Action::Delete);
        resource.server_version = version;
        resource.changed_at = self.now;

        resource.note_fields(
            Some(self.rules.policy),
            was_deleted,
            |_| changed,
            author,
            edit.client_version,
        );

        resource
    }

    /// Stores the next payload in `resource` and returns the names of the fields that changed.
    fn put(&mut self, next: Next<'a>, resource: &mut Resource) -> BTreeSet<Cow<'a, str>> {
        match (next, &mut self.payload) {
            (Next::Patched(patch, effect), Some(payload)) => {
                payload.apply(&patch);
                self.is_serialized = false;
                effect.changed
            }
            (Next::Whole(whole), before) => {
                let before = before
                    .replace(Tree::new(whole))
                    .map(|before| before.to_json());
                resource.payload = whole.clone();
                self.is_serialized = true;
                let changed = before
                    .map(|before| changed_fields(&before, whole))
                    .unwrap_or_default();
                changed.into_iter().map(Cow::Owned).collect()
            }
            (Next::Same | Next::Patched(..), _) => BTreeSet::new(),
        }
    }

    pub(super) fn record_edit(&mut self, edit: &Edit, is_merged: bool) {
        if let Some(resource) = &mut self.resource {
            let applied = AppliedEdit {
                id: edit.id,
                server_version: resource.server_version,
                is_merged,
            };
            resource.edits.record_edit(applied, self.carried.recorded);
            self.carried.recorded += 1;
        }
    }

    fn created(&mut self, edit: &'a Edit) -> Resource {
        self.payload = Some(Tree::new(&edit.payload));
        self.is_serialized = true;

        let author = self.sender.author.clone();
        let creation = Creation {
            author: author.clone(),
            client_temp_id: edit.client_temp_id.clone(),
            digest: edit.digest,
        };

        // The stored payload differs from the one sent, so the device's pulls deliver it (§4.6).
        let run = Run {
            author,
            began: 1,
            client_version_max: 0,
            echo_to_author: edit.is_rewritten,
        };

        let mut resource = Resource::new(edit.payload.clone(), self.now, run, creation);
        if self.rules.policy == Policy::ClientWins {
            resource.high_water_marks.note_all_from_create();
        }
        resource
    }
}
