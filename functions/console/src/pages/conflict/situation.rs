//! What a conflict is about, which determines what a person can decide.

use tidemark_app::conflicts::ConflictReview;
use tidemark_core::model::{edit::Action, result::ItemCode};

/// The situation in which a conflict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Situation {
    /// The conflict is resolved.
    Resolved,
    /// The server and the device have content that can be merged by field.
    Merge,
    /// The device deletes a resource that changed in the meantime.
    DeletedByDevice,
    /// The device changes a resource that is deleted.
    DeletedOnServer,
    /// There is no resource, and the device's edits could not create or change it.
    NoResource,
    /// The device creates a resource with an id that another one has.
    IdTaken,
    /// Another resource holds a unique value that the device's edits store.
    UniqueValueTaken,
}

impl Situation {
    pub(super) fn of(review: &ConflictReview) -> Self {
        let conflict = &review.conflict;
        let mut edits = conflict.edits.iter();
        match (conflict.code, &review.current) {
            _ if conflict.outcome.is_some() => Self::Resolved,
            _ if edits.any(|edit| edit.action == Action::Delete) => Self::DeletedByDevice,
            (ItemCode::UniqueViolation, _) => Self::UniqueValueTaken,
            (_, None) => Self::NoResource,
            (ItemCode::IdTaken, _) => Self::IdTaken,
            (_, Some(current)) if current.deleted => Self::DeletedOnServer,
            _ => Self::Merge,
        }
    }

    /// Returns the situation as a sentence; `None` if the page shows the fields instead.
    pub(super) const fn sentence(self) -> Option<&'static str> {
        match self {
            Self::Resolved | Self::Merge => None,
            Self::DeletedByDevice => Some(
                "The device deleted the resource. The server's content changed in the meantime, \
                 and the device had not received that change.",
            ),
            Self::DeletedOnServer => Some(
                "The device changed the resource. It was deleted on the server in the meantime.",
            ),
            Self::NoResource => Some("The server does not have the resource."),
            Self::IdTaken => Some(
                "The device created a resource with an id that another resource has already. \
                 They may be two different things, so their fields are not compared.",
            ),
            Self::UniqueValueTaken => Some(
                "The device stored a value that must be unique, and another resource holds it.",
            ),
        }
    }

    /// Returns what happens if the device's edits are dropped.
    pub(super) const fn kept(self) -> &'static str {
        match self {
            Self::DeletedByDevice => "Keep the resource: the device's delete is dropped.",
            Self::DeletedOnServer => "Leave it deleted: the device's edits are dropped.",
            Self::NoResource => "Drop the device's edits.",
            Self::IdTaken => "Keep the server's resource: the device's is dropped.",
            Self::UniqueValueTaken | Self::Merge | Self::Resolved => {
                "Keep the server's state: the device's edits are dropped."
            }
        }
    }

    /// Returns what happens if the device's edits are applied.
    pub(super) const fn applied(self) -> &'static str {
        match self {
            Self::DeletedByDevice => "Delete the resource.",
            Self::DeletedOnServer => "Restore the resource with the device's edits.",
            Self::NoResource => "Store the resource as the device created it.",
            Self::IdTaken => "Replace the server's content by the device's.",
            Self::UniqueValueTaken | Self::Merge | Self::Resolved => "Apply the device's edits.",
        }
    }
}
