//! What a resource holds once its conflict is decided.

use super::{ResolveChoice, request::payload_digest};
use crate::{
    conflict::{Conflict, ConflictEdit},
    json::{
        Json,
        tree::{Patch, Tree},
    },
    principal::Author,
    protocol::{
        Action,
        problem::{Problem, ProblemCode},
    },
    resource::Resource,
};

/// A resource's content.
#[derive(Debug, Clone)]
pub(super) struct ResolvedContent {
    /// Of a deleted resource the last one.
    pub(super) payload: Json,
    pub(super) deleted: bool,
    /// It is an admin's own.
    pub(super) is_merged: bool,
}

impl ResolvedContent {
    /// What `response` leaves; `None` where there is no resource and none is made.
    pub(super) fn decided(
        conflict: &Conflict,
        current: Option<&Resource>,
        response: &ResolveChoice,
    ) -> Result<Option<Self>, Problem> {
        let standing = current.map(|resource| Self {
            payload: resource.payload.clone(),
            deleted: resource.deleted,
            is_merged: false,
        });
        match response {
            ResolveChoice::AcceptServer => Ok(standing),
            ResolveChoice::ManualMerge { payload, .. } => Ok(Some(Self {
                payload: payload.clone(),
                deleted: false,
                is_merged: true,
            })),
            ResolveChoice::AcceptClient => {
                Self::applied(edits_to_apply(conflict, current), standing)
            }
        }
    }

    /// The device's edits on what stands, in turn.
    fn applied<'e>(
        edits: impl Iterator<Item = &'e ConflictEdit>,
        standing: Option<Self>,
    ) -> Result<Option<Self>, Problem> {
        let edits: Vec<&ConflictEdit> = edits.collect();
        if edits.is_empty() {
            return Ok(standing);
        }
        let mut payload = standing
            .as_ref()
            .map(|standing| Tree::new(&standing.payload));
        let mut deleted = standing.as_ref().is_some_and(|standing| standing.deleted);
        for edit in edits {
            match (edit.action, &mut payload) {
                (Action::Create, payload) => *payload = Some(Tree::new(&edit.payload)),
                // An update of a deleted resource brings it back, over its last payload.
                (Action::Update, Some(payload)) => payload.apply(&Patch::read(&edit.payload)),
                (Action::Delete, Some(_)) => (),
                (Action::Update | Action::Delete, None) => {
                    let detail = "there is no resource any more that the edit could be applied to: decide with manual_merge or \
                                  accept_server";
                    return Err(Problem::new(ProblemCode::Unprocessable, detail));
                }
            }
            deleted = edit.action == Action::Delete;
        }
        Ok(payload.map(|payload| Self {
            payload: payload.to_json(),
            deleted,
            is_merged: false,
        }))
    }
}

/// The edits of the conflict that are still to be applied: one that was sent again by itself may
/// have been applied meanwhile (§3.5).
pub(super) fn edits_to_apply<'a>(
    conflict: &'a Conflict,
    current: Option<&'a Resource>,
) -> impl Iterator<Item = &'a ConflictEdit> {
    let device = Author::device(&conflict.user, &conflict.device_id);
    let made = move |resource: &Resource, edit: &ConflictEdit| {
        let creation = &resource.creation;
        edit.action == Action::Create
            && creation.author == device
            && creation.digest == payload_digest(&edit.payload)
    };
    let is_applied = move |edit: &ConflictEdit| {
        current
            .is_some_and(|resource| resource.edits.find(edit.id).is_some() || made(resource, edit))
    };
    conflict.edits.iter().filter(move |edit| !is_applied(edit))
}
