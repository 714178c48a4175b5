//! The content of a resource after its conflict is resolved.

use crate::model::{
    conflict::{Conflict, ConflictEdit},
    edit::Action,
    json::{
        self, Fields, Json, payload_digest,
        tree::{Patch, Tree},
    },
    principal::Author,
    resolve::{Picks, ResolveChoice, ResolveRejection},
    resource::Resource,
};

use super::compose;

/// The content of a resource.
#[derive(Debug, Clone)]
pub(super) struct ResolvedContent {
    /// The payload; for a deleted resource, the last one.
    pub(super) payload: Json,
    pub(super) deleted: bool,
    /// Whether an admin provided the payload, or the picks of its fields.
    pub(super) is_merged: bool,
}

impl ResolvedContent {
    /// Returns the content that `choice` results in; `None` if there is no resource and none is
    /// created.
    pub(super) fn decided(
        conflict: &Conflict,
        current: Option<&Resource>,
        choice: &ResolveChoice,
    ) -> Result<Option<Self>, ResolveRejection> {
        let stored = current.map(|resource| Self {
            payload: resource.payload.clone(),
            deleted: resource.deleted,
            is_merged: false,
        });

        match choice {
            ResolveChoice::AcceptServer => Ok(stored),
            ResolveChoice::ManualMerge { payload, .. } => Ok(Some(Self {
                payload: payload.clone(),
                deleted: false,
                is_merged: true,
            })),
            ResolveChoice::AcceptClient => Self::applied(edits_to_apply(conflict, current), stored),
            ResolveChoice::FieldPick(picks) => {
                Self::picked(edits_to_apply(conflict, current), stored, picks).map(Some)
            }
        }
    }

    /// Composes the content of the stored one and of the one that the device's edits result in.
    fn picked<'e>(
        edits: impl Iterator<Item = &'e ConflictEdit> + Clone,
        stored: Option<Self>,
        picks: &Picks,
    ) -> Result<Self, ResolveRejection> {
        if edits.clone().any(|edit| edit.action == Action::Delete) {
            return Err(ResolveRejection::NotPickable);
        }

        let server = fields_of(stored.as_ref());
        let client = fields_of(Self::applied(edits, stored)?.as_ref());
        Ok(Self {
            payload: compose(&server, &client, picks),
            deleted: false,
            is_merged: true,
        })
    }

    /// Applies the device's edits, in order, to the stored content.
    fn applied<'e>(
        edits: impl Iterator<Item = &'e ConflictEdit>,
        stored: Option<Self>,
    ) -> Result<Option<Self>, ResolveRejection> {
        let edits: Vec<&ConflictEdit> = edits.collect();
        if edits.is_empty() {
            return Ok(stored);
        }

        let mut payload = stored.as_ref().map(|stored| Tree::new(&stored.payload));
        let mut deleted = stored.as_ref().is_some_and(|stored| stored.deleted);

        for edit in edits {
            match (edit.action, &mut payload) {
                (Action::Create, payload) => *payload = Some(Tree::new(&edit.payload)),
                // An update of a deleted resource restores it, merged over its last payload.
                (Action::Update, Some(payload)) => payload.apply(&Patch::read(&edit.payload)),
                (Action::Delete, Some(_)) => (),
                (Action::Update | Action::Delete, None) => {
                    return Err(ResolveRejection::NoResource);
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

/// Returns the fields of a content, or none if there is no content.
fn fields_of(content: Option<&ResolvedContent>) -> Fields {
    content
        .and_then(|content| json::fields(&content.payload))
        .unwrap_or_default()
}

/// Returns the edits of the conflict that are not applied yet. An edit that was sent again by
/// itself may have been applied in the meantime (§3.5).
pub(super) fn edits_to_apply<'a>(
    conflict: &'a Conflict,
    current: Option<&'a Resource>,
) -> impl Iterator<Item = &'a ConflictEdit> + Clone {
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
