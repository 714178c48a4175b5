//! Commits decisions, and checks the conditions of each write.

use tidemark_core::{
    model::{
        conflict::{ConflictStatus, ConflictSummary, ConflictWrite},
        edit::Action,
        json,
    },
    rules::push::{decision::Decision, edit::Sender, group::Group},
};

use super::World;

impl World {
    pub(super) fn commit(&mut self, group: &Group, decision: Decision, sender: Sender<'_>) {
        if let Some(write) = decision.write {
            let before = self.rows.get(&group.key).map(|row| row.server_version);
            assert_eq!(write.expected_version, before);
            let edits = group.items.len() as u64;
            let version = write.resource.server_version;

            assert!(
                version > before.unwrap_or(0) && version <= before.unwrap_or(0) + edits,
                "each edit adds at most one version"
            );

            let payload = &write.resource.payload;
            assert!(
                json::fields(payload).is_some() && json::canonical(payload).is_ok(),
                "stored payloads are valid: {payload}"
            );

            self.rows.insert(group.key.clone(), write.resource);
        }
        for key in decision.unique.frees {
            assert_eq!(
                self.holders.remove(&key).as_ref(),
                Some(&group.key),
                "a resource releases only its own values"
            );
        }
        for key in decision.unique.claims {
            assert!(
                self.holders.insert(key, group.key.clone()).is_none(),
                "a value has one holder"
            );
        }

        for write in decision.conflicts.into_iter().chain(
            decision
                .policy_conflict
                .map(|policy_conflict| policy_conflict.conflict),
        ) {
            self.store_conflict(group, write, sender);
        }
    }

    fn store_conflict(&mut self, group: &Group, write: ConflictWrite, sender: Sender<'_>) {
        assert_eq!(write.resource, group.key);
        assert!(!write.edits.is_empty());
        let summaries = self
            .conflicts
            .entry((sender.author.as_str().to_owned(), group.key.clone()))
            .or_default();

        let server_version = write.server.map_or(0, |server| server.server_version);
        let at = summaries
            .iter()
            .position(|conflict| conflict.id == write.id)
            .unwrap_or_else(|| {
                let (id, status) = (write.id.clone(), ConflictStatus::Open);
                let (edits, code) = (Vec::new(), write.code);
                let opened_by_create = write
                    .edits
                    .first()
                    .is_some_and(|edit| edit.action == Action::Create);
                summaries.push(ConflictSummary {
                    id,
                    slot: write.slot,
                    status,
                    resolution: None,
                    server_version,
                    edits,
                    opened_by_create,
                    code,
                });
                summaries.len() - 1
            });

        let conflict = &mut summaries[at];
        assert_eq!(
            conflict.status,
            ConflictStatus::Open,
            "no edit joins a resolved conflict"
        );
        assert_eq!(
            conflict.edits.len(),
            write.expected_edits,
            "no edit of a conflict is lost"
        );

        conflict.server_version = server_version;
        for edit in write.edits {
            assert!(
                !conflict.contains(edit.id),
                "a conflict contains an edit once"
            );
            conflict.edits.push(edit.id);
        }
        if let Some(outcome) = write.outcome {
            (conflict.status, conflict.resolution) =
                (ConflictStatus::Resolved, Some(outcome.resolution));
        }
    }
}
