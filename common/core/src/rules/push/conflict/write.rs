//! The writes of conflicts: opens a conflict, or adds an edit to one.

use crate::{
    model::{
        conflict::{ConflictEdit, ConflictSlot, ConflictStatus, ConflictSummary, ConflictWrite},
        edit::Action,
        ids,
        resource::Resource,
        result::ItemCode,
    },
    rules::push::{edit::Edit, fold::Fold},
};

impl Fold<'_> {
    /// Returns the id of the conflict that the edit opens.
    pub(super) fn conflict_id(&self, edit: &Edit) -> String {
        ids::conflict(
            &self.sender.principal.tenant,
            self.key,
            self.sender.author,
            edit.id,
        )
    }

    /// Adds the edit to the known conflict at the index `at`. Returns the id of the conflict.
    pub(super) fn join(&mut self, at: usize, edit: &Edit, code: ItemCode, version: u64) -> String {
        let Some(conflict) = self
            .known_conflicts
            .as_mut()
            .and_then(|conflicts| conflicts.get_mut(at))
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

    /// Opens a conflict with the edit. Returns the id of the conflict.
    pub(super) fn open(&mut self, edit: &Edit, code: ItemCode, server_version: u64) -> String {
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
        self.known_conflicts.get_or_insert_default().push(conflict);
        id
    }

    /// Adds the edit to the write of the conflict `id`. If the batch has no write of this conflict
    /// yet, `expected_edits` is the number of edits that the conflict has in the table.
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
        let server = if is_known { None } else { self.current() };

        if let Some(write) = self.writes.get_mut(at) {
            write.edits.push(conflict_edit(edit));
            write.server = server.or_else(|| write.server.take());
        }
    }

    pub(super) fn new_write(&self, id: String, code: ItemCode) -> ConflictWrite {
        let known_conflicts = self.known_conflicts.iter().flatten();
        ConflictWrite {
            id,
            slot: ConflictSlot::default(),
            expected_edits: 0,
            neighbors: known_conflicts.map(ConflictSummary::neighbor).collect(),
            edits: Vec::new(),
            resource: self.key.clone(),
            server: None,
            code,
            detected_at: self.now,
            outcome: None,
        }
    }
}

pub(super) fn conflict_edit(edit: &Edit) -> ConflictEdit {
    ConflictEdit {
        id: edit.id,
        action: edit.action,
        payload: edit.payload.clone(),
        client_version: edit.client_version,
        base_version: edit.base_version,
        was: edit.was.clone(),
    }
}
