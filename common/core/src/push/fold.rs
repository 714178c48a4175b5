//! Folding the edits of a group into one write: each edit is judged against the resource as the
//! ones before it left it.

use std::{borrow::Cow, collections::BTreeSet};

use chrono::{DateTime, Utc};

use super::{
    content::Next,
    decide::{ConflictsNeeded, CurrentState, Lookups, PolicyConflict},
    evaluate::{EditOutcome, evaluate},
    intake::{CarriedState, Edit, Group, Sender},
    media,
    policy::{PolicyDecision, rule},
    response,
};
use crate::{
    catalog::{Policy, ResourceType},
    conflict::{ConflictSummary, ConflictWrite, Resolution, SupersededConflict},
    field_versions::changed_fields,
    json::{Fields, tree::Tree},
    limits::escaped_bytes,
    media::Upload,
    protocol::{
        Action,
        push::{ItemCode, ItemResult},
    },
    resource::{AppliedEdit, Creation, Resource, ResourceKey, Run},
};

/// A group being folded.
pub(super) struct Fold<'a> {
    pub(super) key: &'a ResourceKey,
    pub(super) found: Lookups<'a>,
    pub(super) sender: Sender<'a>,
    pub(super) now: DateTime<Utc>,
    pub(super) rules: &'a ResourceType,
    pub(super) resource: Option<Resource>,
    /// The payload of `resource`, as the edits left it.
    pub(super) payload: Option<Tree<'a>>,
    /// Whether the text in `resource` is that payload: it is written anew once somebody needs it.
    is_settled: bool,
    /// Bytes of payloads that the answers may still hold, escaped: what is more would not fit
    /// (§3.12).
    response_bytes_left: usize,
    /// Edits that changed something: what the version grew by.
    applied: usize,
    /// What the items before mean for those that follow.
    pub(super) carried: CarriedState,
    uploads: Vec<Upload>,
    /// This device's conflicts about the resource, those of this batch included.
    pub(super) standing: Option<Vec<ConflictSummary>>,
    pub(super) writes: Vec<ConflictWrite>,
    pub(super) superseded: Vec<SupersededConflict>,
    pub(super) ruled: Option<PolicyConflict>,
}

/// What a fold ends with.
pub(super) struct FoldOutcome {
    /// The resource, if anything changed.
    pub(super) changed: Option<Resource>,
    pub(super) uploads: Vec<Upload>,
    pub(super) conflicts: Vec<ConflictWrite>,
    pub(super) ruled: Option<PolicyConflict>,
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
            is_settled: true,
            response_bytes_left: response::PAYLOADS_BYTES_MAX,
            applied: 0,
            carried: group.carried.clone(),
            uploads: Vec::new(),
            standing: stored.conflicts.clone(),
            writes: Vec::new(),
            superseded: Vec::new(),
            ruled: None,
        }
    }

    pub(super) fn finish(mut self) -> FoldOutcome {
        self.settle();
        let Self {
            resource,
            applied,
            uploads,
            writes,
            ruled,
            superseded,
            carried,
            ..
        } = self;
        let mut changed = resource.filter(|_| applied > 0);
        if let Some(resource) = changed.as_mut().filter(|_| self.sender.is_replay) {
            // The device was told that it failed: its pulls bring the outcome.
            resource.run.is_optimistic = true;
        }
        FoldOutcome {
            changed,
            uploads,
            conflicts: writes,
            ruled,
            superseded,
            carried,
        }
    }

    /// Whether a conflict that was opened has to be stored before the next edit is decided: what a
    /// policy decides is written with the row, and refers to the conflicts before it.
    pub(super) fn must_be_stored(&self) -> bool {
        let records_rulings = matches!(self.rules.policy, Policy::ClientWins | Policy::ServerWins);
        records_rulings && self.writes.iter().any(|write| write.expected_edits == 0)
    }

    /// An item that is refused as it stands.
    pub(super) fn rejected(&mut self, response: &ItemResult) -> ItemResult {
        self.note_failure(response.is_retryable());
        response.clone()
    }

    /// Writes the payload that the edits left into the resource.
    fn settle(&mut self) {
        if let (false, Some(resource), Some(payload)) =
            (self.is_settled, &mut self.resource, &self.payload)
        {
            resource.payload = payload.to_json();
        }
        self.is_settled = true;
    }

    /// The resource as the edits left it.
    pub(super) fn settled(&mut self) -> Option<Resource> {
        self.settle();
        self.resource.clone()
    }

    /// Adds what the server holds to an answer, or says that it does not fit.
    pub(super) fn show(&mut self, response: &mut ItemResult) {
        let Some(bytes) = self.payload.as_ref().map(Tree::bytes) else {
            return;
        };
        if self
            .resource
            .as_ref()
            .is_none_or(|resource| resource.deleted)
        {
            return;
        }
        if bytes <= self.response_bytes_left {
            self.settle();
            let payload = self.resource.as_ref().map(|resource| &resource.payload);
            let left = payload.and_then(|payload| {
                self.response_bytes_left
                    .checked_sub(escaped_bytes(payload.get()))
            });
            if let (Some(left), Some(payload)) = (left, payload) {
                response.server_payload = Some(payload.clone());
                self.response_bytes_left = left;
                return;
            }
            // Nothing as large is written again to see whether it fits.
            self.response_bytes_left = self.response_bytes_left.min(bytes.saturating_sub(1));
        }
        response.server_payload_omitted = true;
    }

    pub(super) fn edit(&mut self, edit: &'a Edit) -> Result<ItemResult, ConflictsNeeded> {
        let verdict = evaluate(
            edit,
            self.resource.as_ref(),
            self.payload.as_mut(),
            self.sender.author,
            self.rules,
        );
        if let EditOutcome::Remembered(applied) = verdict {
            return self.recorded(edit, applied);
        }
        if let Some(response) = self.deferred(edit) {
            return Ok(response);
        }
        let is_blocked = match verdict {
            // It may take back what an edit in the conflict wants, and an admin who accepts the
            // conflict must find it there.
            EditOutcome::Unchanged { .. } => {
                self.carried.conflicted.is_some() && edit.action != Action::Create
            }
            _ => self.blocking(edit).is_some(),
        };
        if let EditOutcome::Unchanged { is_seen } = verdict
            && !is_blocked
        {
            return Ok(self.unchanged(edit, is_seen));
        }
        // Whether it is applied or kept for a decision: its uploads must be there.
        let standing = match &mut self.payload {
            Some(payload) if !edit.media.is_empty() => payload.pick(&self.rules.media),
            _ => Fields::new(),
        };
        let uploads = match media::verify(edit, self.key, &standing, self.rules, self.found.media) {
            Ok(uploads) => uploads,
            Err((rejection, is_retryable)) => return Ok(self.fail(edit, rejection, is_retryable)),
        };
        let response = match verdict {
            EditOutcome::Conflict(ItemCode::VersionMismatch, error) if !is_blocked => {
                self.rule(edit, error)?
            }
            EditOutcome::Conflict(code, error) => {
                self.conflict(edit, code, error, self.dropped_by().filter(|_| is_blocked))?
            }
            _ if is_blocked => {
                let error = "Made on a refused copy: an earlier item of this batch on the same resource conflicts";
                self.conflict(
                    edit,
                    ItemCode::VersionMismatch,
                    error.into(),
                    self.dropped_by(),
                )?
            }
            EditOutcome::NotFound => match self.join_rejected_create(edit)? {
                Some(response) => response,
                None => return Ok(self.not_found(edit)),
            },
            EditOutcome::Apply(next) => self.apply(edit, next, false)?,
            EditOutcome::Reject(rejection) => return Ok(self.fail(edit, rejection, false)),
            EditOutcome::Remembered(_) | EditOutcome::Unchanged { .. } => self.ok(edit),
        };
        self.uploads.extend(uploads);
        Ok(response)
    }

    /// The first answer again; where a policy wrote something else than was sent, with the payload,
    /// if it still is what stands.
    fn recorded(
        &mut self,
        edit: &Edit,
        applied: AppliedEdit,
    ) -> Result<ItemResult, ConflictsNeeded> {
        if let (Action::Update | Action::Delete, Some(resource)) = (edit.action, &mut self.resource)
        {
            resource.edits.renew(edit.id); // its own batch must not push it out
            self.carried.recorded += 1;
        }
        let mut response = ItemResult {
            server_version: Some(applied.server_version),
            merged: applied.is_merged,
            ..self.ok(edit)
        };
        if self.rules.policy == Policy::ClientWins && edit.action != Action::Create {
            let standing = self.standing.as_ref().ok_or(ConflictsNeeded)?;
            let decided = standing
                .iter()
                .find(|conflict| conflict.resolution.is_some() && conflict.holds(edit.id));
            (response.conflict_id, response.resolution) = (
                decided.map(|it| it.id.clone()),
                decided.and_then(|it| it.resolution),
            );
        }
        if let Some(resource) = self
            .resource
            .as_ref()
            .filter(|_| response.merged || response.conflict_id.is_some())
        {
            let stands = resource.server_version == applied.server_version;
            response.server_payload_omitted = !stands;
            if stands {
                self.show(&mut response);
            }
        }
        // A snapshot does not say what was deleted: a device that pulled one before it repeats its
        // edit would show the resource again.
        let is_gone = self.resource.as_ref().is_some_and(|resource| {
            resource.deleted && resource.server_version > applied.server_version
        });
        response.server_payload_omitted |= is_gone;
        Ok(response)
    }

    fn unchanged(&mut self, edit: &Edit, is_seen: bool) -> ItemResult {
        self.record_edit(edit, false); // kept only if the row is written for another edit
        // A device that has not received the version cannot hold it: then the payload comes with
        // it.
        let mut response = self.ok(edit);
        if !is_seen {
            self.show(&mut response);
        }
        response
    }

    /// An edit that conflicts goes to the policy of its type.
    fn rule(&mut self, edit: &'a Edit, error: String) -> Result<ItemResult, ConflictsNeeded> {
        // Only what exists conflicts.
        let (Some(resource), Some(payload)) = (&self.resource, &mut self.payload) else {
            return Err(ConflictsNeeded);
        };
        let ruling = rule(edit, resource, payload, self.sender.author, self.rules);
        if !matches!(ruling, PolicyDecision::Manual) {
            let standing = self.standing.as_ref().ok_or(ConflictsNeeded)?;
            if standing.iter().any(|conflict| conflict.holds(edit.id)) {
                return self.conflict(edit, ItemCode::VersionMismatch, error, None);
            }
        }
        let (next, is_merged) = match ruling {
            PolicyDecision::Manual => {
                return self.conflict(edit, ItemCode::VersionMismatch, error, None);
            }
            PolicyDecision::ServerWins => {
                return self.conflict(
                    edit,
                    ItemCode::VersionMismatch,
                    error,
                    Some(Policy::ServerWins),
                );
            }
            PolicyDecision::Merge(next) => (next, true),
            PolicyDecision::ClientWins(next) => (next, false),
        };
        if let Err(rejection) = next.check(self.payload.as_mut(), self.rules) {
            return Ok(self.fail(edit, rejection, false));
        }
        let before = if is_merged { None } else { self.settled() };
        let mut response = self.apply(edit, next, is_merged)?;
        let Some(resource) = self
            .resource
            .as_mut()
            .filter(|_| response.conflict_id.is_none())
        else {
            return Ok(response);
        };
        // The device does not know what it was written on: its pulls bring the outcome.
        resource.run.is_optimistic = true;
        response.merged = is_merged;
        if let (false, Some(before)) = (is_merged, before) {
            let id = self.record_ruling(edit, Policy::ClientWins, before);
            (response.conflict_id, response.resolution) =
                (Some(id), Some(Resolution::AcceptClient));
        }
        self.show(&mut response);
        Ok(response)
    }

    /// The policy that drops what follows a dropped edit.
    fn dropped_by(&self) -> Option<Policy> {
        Some(self.rules.policy).filter(|policy| *policy == Policy::ServerWins)
    }

    /// Applies an edit, unless it takes a unique value that somebody else holds.
    fn apply(
        &mut self,
        edit: &'a Edit,
        next: Next<'a>,
        is_merged: bool,
    ) -> Result<ItemResult, ConflictsNeeded> {
        if let Some(response) = self.rejected_before(edit)? {
            return Ok(response);
        }
        if edit.action != Action::Delete
            && let Some(response) = self.unique_violation(edit, &next)?
        {
            return Ok(response);
        }
        let before = self.resource.take();
        let is_first_create = before.is_none();
        if edit.action == Action::Create && !is_first_create && self.standing.is_none() {
            return Err(ConflictsNeeded); // it may supersede conflicts
        }
        self.resource = Some(match before {
            None => self.created(edit),
            Some(resource) => self.changed(edit, next, resource),
        });
        self.applied += 1;
        // The first create is remembered by the row itself.
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
            resource.claims.note(author, edit.client_version);
        }
        if self.rules.policy != Policy::ClientWins {
            resource.claims.note_gap();
        }
        if resource.run.author == *author {
            resource.run.client_version_max =
                resource.run.client_version_max.max(edit.client_version);
        } else {
            resource.run = Run {
                author: author.clone(),
                began: version,
                client_version_max: edit.client_version,
                is_optimistic: edit.base_version.is_none(),
            };
        }
        resource.run.is_optimistic |= edit.is_rewritten;
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

    /// Puts the next payload into `resource`; which fields changed.
    fn put(&mut self, next: Next<'a>, resource: &mut Resource) -> BTreeSet<Cow<'a, str>> {
        match (next, &mut self.payload) {
            (Next::Patched(patch, effect), Some(payload)) => {
                payload.apply(&patch);
                self.is_settled = false;
                effect.changed
            }
            (Next::Whole(whole), before) => {
                let before = before
                    .replace(Tree::new(whole))
                    .map(|before| before.to_json());
                resource.payload = whole.clone();
                self.is_settled = true;
                let changed = before
                    .map(|before| changed_fields(&before, whole))
                    .unwrap_or_default();
                changed.into_iter().map(Cow::Owned).collect()
            }
            (Next::Same | Next::Patched(..), _) => BTreeSet::new(),
        }
    }

    fn record_edit(&mut self, edit: &Edit, is_merged: bool) {
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
        self.is_settled = true;
        let author = self.sender.author.clone();
        let creation = Creation {
            author: author.clone(),
            client_temp_id: edit.client_temp_id.clone(),
            digest: edit.digest,
        };
        // What the device sent is not what is stored: its pulls bring it (§4.6).
        let run = Run {
            author,
            began: 1,
            client_version_max: 0,
            is_optimistic: edit.is_rewritten,
        };
        let mut resource = Resource::new(edit.payload.clone(), self.now, run, creation);
        if self.rules.policy == Policy::ClientWins {
            resource.claims.note_all_from_create();
        }
        resource
    }

    /// The answer to an edit that is applied or changes nothing, as the resource stands now.
    pub(super) fn ok(&self, edit: &Edit) -> ItemResult {
        let version = self
            .resource
            .as_ref()
            .map(|resource| resource.server_version);
        ItemResult::ok(
            edit.index,
            edit.client_temp_id.clone(),
            self.key.id.clone(),
            version,
        )
    }
}
