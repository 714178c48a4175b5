//! Folds the edits of a group into one write: each edit is evaluated against the resource as the
//! earlier edits left it.

mod apply;
mod policy;
mod results;

use chrono::{DateTime, Utc};

use crate::{
    model::{
        catalog::{Policy, ResourceType},
        conflict::{ConflictSummary, ConflictWrite, SupersededConflict},
        edit::Action,
        json::{Fields, tree::Tree},
        resource::{Resource, ResourceKey},
        result::ItemResult,
    },
    rules::{
        media::Upload,
        push::{
            decision::{ConflictsNeeded, CurrentState, Lookups, PolicyConflict},
            edit::{Edit, Sender},
            evaluate::{Evaluation, evaluate},
            group::{CarriedState, Group},
            media::{self, UnverifiedMedia},
            response,
        },
    },
};

/// The state of a group while its edits are folded.
pub(super) struct Fold<'a> {
    pub(super) key: &'a ResourceKey,
    pub(super) found: Lookups<'a>,
    pub(super) sender: Sender<'a>,
    pub(super) now: DateTime<Utc>,
    pub(super) rules: &'a ResourceType,
    pub(super) resource: Option<Resource>,
    /// The payload of `resource`, with the edits applied so far.
    pub(super) payload: Option<Tree<'a>>,
    /// Whether the JSON text in `resource` equals `payload`. It is serialized lazily, only when it
    /// is needed.
    is_serialized: bool,
    /// Bytes of escaped payloads that still fit into the response (§3.12).
    response_bytes_left: usize,
    /// The number of edits that changed the resource: the version grows by it.
    applied: usize,
    /// The effect of the earlier items on the remaining ones.
    pub(super) carried: CarriedState,
    uploads: Vec<Upload>,
    /// This device's conflicts about the resource, including those of this batch.
    pub(super) known_conflicts: Option<Vec<ConflictSummary>>,
    pub(super) writes: Vec<ConflictWrite>,
    pub(super) superseded: Vec<SupersededConflict>,
    pub(super) policy_conflict: Option<PolicyConflict>,
}

/// The result of folding a group.
pub(super) struct FoldOutcome {
    /// The resource, if any edit changed it.
    pub(super) changed: Option<Resource>,
    pub(super) uploads: Vec<Upload>,
    pub(super) conflicts: Vec<ConflictWrite>,
    pub(super) policy_conflict: Option<PolicyConflict>,
    pub(super) superseded: Vec<SupersededConflict>,
    pub(super) carried: CarriedState,
}

impl<'a> Fold<'a> {
    pub(super) fn new(
        group: &'a Group,
        stored: &'a CurrentState,
        found: Lookups<'a>,
        sender: Sender<'a>,
        rules: &'a ResourceType,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            key: &group.key,
            found,
            sender,
            now,
            rules,
            resource: stored.resource.clone(),
            payload: stored
                .resource
                .as_ref()
                .map(|resource| Tree::new(&resource.payload)),
            is_serialized: true,
            response_bytes_left: response::PAYLOADS_BYTES_MAX,
            applied: 0,
            carried: group.carried.clone(),
            uploads: Vec::new(),
            known_conflicts: stored.conflicts.clone(),
            writes: Vec::new(),
            superseded: Vec::new(),
            policy_conflict: None,
        }
    }

    pub(super) fn finish(mut self) -> FoldOutcome {
        self.serialize_payload();

        let Self {
            resource,
            applied,
            uploads,
            writes,
            policy_conflict,
            superseded,
            carried,
            ..
        } = self;

        let mut changed = resource.filter(|_| applied > 0);
        if let Some(resource) = changed.as_mut().filter(|_| self.sender.is_replay) {
            // The device received an error for the edit, so its pulls must deliver the change.
            resource.run.echo_to_author = true;
        }

        FoldOutcome {
            changed,
            uploads,
            conflicts: writes,
            policy_conflict,
            superseded,
            carried,
        }
    }

    /// Returns whether a newly opened conflict has to be stored before the next edit is decided. A
    /// policy decision is written in the row's transaction and refers to the conflicts before it.
    pub(super) fn must_be_stored(&self) -> bool {
        let records_decisions =
            matches!(self.rules.policy, Policy::ClientWins | Policy::ServerWins);
        records_decisions && self.writes.iter().any(|write| write.expected_edits == 0)
    }

    /// Records the failure of an invalid item and returns its result.
    pub(super) fn rejected(&mut self, result: &ItemResult) -> ItemResult {
        self.note_failure(result.is_retryable());
        result.clone()
    }

    /// Serializes the payload with the applied edits into the resource.
    fn serialize_payload(&mut self) {
        if let (false, Some(resource), Some(payload)) =
            (self.is_serialized, &mut self.resource, &self.payload)
        {
            resource.payload = payload.to_json();
        }
        self.is_serialized = true;
    }

    /// Returns the resource with the edits applied so far.
    pub(super) fn current(&mut self) -> Option<Resource> {
        self.serialize_payload();
        self.resource.clone()
    }

    /// Evaluates an edit, applies it or passes it to its conflict or policy, and returns its
    /// result.
    pub(super) fn edit(&mut self, edit: &'a Edit) -> Result<ItemResult, ConflictsNeeded> {
        let evaluation = evaluate(
            edit,
            self.resource.as_ref(),
            self.payload.as_mut(),
            self.sender.author,
            self.rules,
        );
        if let Evaluation::Remembered(applied) = evaluation {
            return self.recorded(edit, applied);
        }

        if let Some(result) = self.deferred(edit) {
            return Ok(result);
        }

        let is_blocked = self.is_blocked(edit, &evaluation);
        if let Evaluation::Unchanged { is_seen } = evaluation
            && !is_blocked
        {
            return Ok(self.unchanged(edit, is_seen));
        }

        let uploads = match self.verify_media(edit) {
            Ok(uploads) => uploads,
            Err(UnverifiedMedia {
                rejection,
                is_retryable,
            }) => return Ok(self.fail(edit, rejection, is_retryable)),
        };

        let result = match evaluation {
            Evaluation::Conflict(code, error) => self.on_conflict(edit, code, error, is_blocked)?,
            _ if is_blocked => self.follow_blocking(edit)?,
            Evaluation::NotFound => match self.join_conflict_of_create(edit)? {
                Some(result) => result,
                None => return Ok(self.not_found(edit)),
            },
            Evaluation::Apply(next) => self.apply(edit, next, false)?,
            Evaluation::Reject(rejection) => return Ok(self.fail(edit, rejection, false)),
            Evaluation::Remembered(_) | Evaluation::Unchanged { .. } => self.ok(edit),
        };

        self.uploads.extend(uploads);
        Ok(result)
    }

    /// Returns whether the edit with this evaluation follows an earlier item of the batch into its
    /// conflict.
    fn is_blocked(&self, edit: &Edit, evaluation: &Evaluation<'_>) -> bool {
        match evaluation {
            // The edit may revert a change that is part of the conflict, so it joins the conflict
            // to take effect after an admin accepts it.
            Evaluation::Unchanged { .. } => {
                self.carried.batch_conflict.is_some() && edit.action != Action::Create
            }
            _ => self.blocking(edit).is_some(),
        }
    }

    /// Verifies the media keys of an edit that is applied or stored in a conflict, and returns the
    /// uploads that it adds.
    fn verify_media(&mut self, edit: &Edit) -> Result<Vec<Upload>, UnverifiedMedia> {
        let current_fields = match &mut self.payload {
            Some(payload) if !edit.media.is_empty() => payload.pick(&self.rules.media),
            _ => Fields::new(),
        };
        media::verify(
            edit,
            self.key,
            &current_fields,
            self.rules,
            self.found.media,
        )
    }
}
