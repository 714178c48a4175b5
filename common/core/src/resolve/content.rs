//! What a resource holds once its conflict is decided.

use super::Answer;
use crate::{
    conflict::{Conflict, ConflictEdit},
    json::Json,
    patch,
    protocol::{
        Action,
        problem::{Problem, ProblemCode},
    },
    resource::Resource,
};

/// A resource's content.
#[derive(Debug, Clone)]
pub(super) struct Content {
    /// Of a deleted resource the last one.
    pub(super) payload: Json,
    pub(super) deleted: bool,
    /// It is an admin's own.
    pub(super) is_merged: bool,
}

impl Content {
    /// What `answer` leaves; `None` where there is no resource and none is made.
    pub(super) fn decided(conflict: &Conflict, current: Option<&Resource>, answer: &Answer) -> Result<Option<Self>, Problem> {
        let standing =
            current.map(|resource| Self { payload: resource.payload.clone(), deleted: resource.deleted, is_merged: false });
        match answer {
            Answer::AcceptServer => Ok(standing),
            Answer::ManualMerge { payload, .. } => Ok(Some(Self { payload: payload.clone(), deleted: false, is_merged: true })),
            Answer::AcceptClient => edits_to_apply(conflict, current).try_fold(standing, Self::apply),
        }
    }

    /// The device's next edit. An update of a deleted resource brings it back, over its last payload.
    fn apply(before: Option<Self>, edit: &ConflictEdit) -> Result<Option<Self>, Problem> {
        let content = match (edit.action, before) {
            (Action::Create, _) => Self { payload: edit.payload.clone(), deleted: false, is_merged: false },
            (Action::Update, Some(before)) => {
                Self { payload: patch::merge(&before.payload, &edit.payload).0, deleted: false, is_merged: false }
            }
            (Action::Delete, Some(before)) => Self { deleted: true, ..before },
            (Action::Update | Action::Delete, None) => {
                let detail = "there is no resource any more that the edit could be applied to: decide with manual_merge or \
                              accept_server";
                return Err(Problem::new(ProblemCode::Unprocessable, detail));
            }
        };
        Ok(Some(content))
    }
}

/// The edits of the conflict that are still to be applied: one that was sent again by itself may have been applied meanwhile (§3.5).
pub(super) fn edits_to_apply<'a>(
    conflict: &'a Conflict,
    current: Option<&'a Resource>,
) -> impl Iterator<Item = &'a ConflictEdit> {
    let is_applied = move |edit: &ConflictEdit| current.is_some_and(|resource| resource.edits.find(edit.id).is_some());
    conflict.edits.iter().filter(move |edit| !is_applied(edit))
}
