//! Conflicts that a push resolves itself: by the policy of the type, or because a create supersedes
//! them.

use crate::{
    model::{
        catalog::Policy,
        conflict::{
            ConflictOutcome, ConflictSlot, ConflictStatus, ConflictSummary, ConflictWrite,
            SupersededConflict,
        },
        limits::SUPERSEDED_MAX,
        resolution::{ConflictResolution, Resolution},
        resource::Resource,
        result::ItemCode,
    },
    rules::push::{
        conflict::write::conflict_edit, decision::PolicyConflict, edit::Edit, fold::Fold,
    },
};

impl Fold<'_> {
    /// Resolves this device's open conflicts about earlier creates of the resource, because a
    /// create of it has just been applied and accepting one of them later would revert the
    /// resource. Edits that joined these conflicts stay in them. Returns the ids of the resolved
    /// conflicts.
    pub(in crate::rules::push) fn supersede(&mut self) -> Vec<String> {
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
            picked_digest: None,
        };

        let mut ids = Vec::new();
        let is_written =
            |conflict: &ConflictSummary| self.writes.iter().any(|write| write.id == conflict.id);
        let open = self
            .known_conflicts
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

    /// Records the decision of `policy` about the edit, which was made against the resource as it
    /// was `before`. Returns the id of the conflict. All policy decisions about one resource in one
    /// batch are one conflict.
    pub(in crate::rules::push) fn record_policy_decision(
        &mut self,
        edit: &Edit,
        policy: Policy,
        before: Resource,
    ) -> String {
        // A policy only resolves conflicts about existing resources.
        let Some(after) = self.current() else {
            return String::new();
        };

        let server_version = after.server_version;
        let mut conflict = self.take_policy_conflict(edit, before);
        conflict.edits.push(conflict_edit(edit));

        let (resolution, policy_name) = match policy {
            Policy::ClientWins => (Resolution::AcceptClient, "client_wins"),
            _ => (Resolution::AcceptServer, "server_wins"),
        };
        conflict.outcome = Some(ConflictOutcome {
            resolution,
            resolved_by: format!("policy:{policy_name}"),
            resolved_at: self.now,
            note: None,
            server_version,
            merged_digest: None,
            picked_digest: None,
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

        self.note_policy_decision(edit, &id, resolution, server_version);
        self.policy_conflict = Some(PolicyConflict {
            policy,
            conflict,
            after,
        });
        id
    }

    /// Takes the conflict of the policy decisions about the resource in this batch, or returns a
    /// new one with the resource as it was `before` the first of them.
    fn take_policy_conflict(&mut self, edit: &Edit, before: Resource) -> ConflictWrite {
        if let Some(policy_conflict) = self.policy_conflict.take() {
            return policy_conflict.conflict;
        }

        let id = self.conflict_id(edit);
        ConflictWrite {
            server: Some(before),
            ..self.new_write(id, ItemCode::VersionMismatch)
        }
    }

    /// Adds the edit to the known conflict `id`, which a policy resolved.
    fn note_policy_decision(
        &mut self,
        edit: &Edit,
        id: &str,
        resolution: Resolution,
        server_version: u64,
    ) {
        let known_conflicts = self.known_conflicts.get_or_insert_default();
        match known_conflicts.iter_mut().find(|known| known.id == id) {
            Some(known) => known.edits.push(edit.id),
            None => known_conflicts.push(ConflictSummary {
                id: id.to_owned(),
                slot: ConflictSlot::default(),
                status: ConflictStatus::Resolved,
                resolution: Some(resolution),
                server_version,
                edits: vec![edit.id],
                opened_by_create: false,
                code: ItemCode::VersionMismatch,
            }),
        }
    }
}
