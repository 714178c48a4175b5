//! The reasons to reject a resolve command (§5.2).

use crate::model::{
    conflict::ConflictOutcome,
    json::Json,
    limits::MEDIA_KEYS_MAX,
    result::{ItemCode, Rejection},
};

use super::RequestedResolution;

/// The reason why a command is rejected. The text is the description for people.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResolveRejection {
    /// The conflict was resolved before in another way, with this outcome.
    #[error(
        "the conflict was already resolved in another way: edit the resource if that was wrong"
    )]
    AlreadyResolved(ConflictOutcome),
    /// The resource does not have the version that the admin reviewed.
    #[error(
        "the resource is now at version {server_version}: review it and resolve the conflict again"
    )]
    VersionChanged {
        /// The current version; 0 if there is no resource.
        server_version: u64,
        /// Whether the resource is deleted.
        server_deleted: bool,
        /// The current payload; `None` if there is no resource.
        server_payload: Option<Json>,
    },
    /// The catalog no longer has the type of the resource.
    #[error(
        "the catalog no longer has the type of this resource: accept_server leaves it as it is"
    )]
    TypeRemoved,
    /// An accepted edit updates or deletes a resource that does not exist.
    #[error(
        "the resource to which the edit applies no longer exists: resolve the conflict with \
         manual_merge or accept_server"
    )]
    NoResource,
    /// An edit of the conflict deletes the resource, so that its fields cannot be picked.
    #[error(
        "an edit of the conflict deletes the resource: resolve the conflict with accept_client, \
         accept_server or manual_merge"
    )]
    NotPickable,
    /// The content to be stored breaks a rule of §2.
    #[error("{}", .rejection.error)]
    Content {
        /// The resolution that stores the content.
        requested: RequestedResolution,
        /// The rule that the content breaks.
        rejection: Rejection,
    },
    /// The content to be stored names media keys that it may not name (§6.3).
    #[error("{}: {reason}", media_place(*.requested, .field))]
    Media {
        /// The resolution that stores the content.
        requested: RequestedResolution,
        /// The name of the media field.
        field: String,
        /// The reason why its value is rejected.
        reason: MediaRejection,
    },
}

/// The reason why the value of a media field is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaRejection {
    /// The value is neither a media key nor a list of them.
    #[error("must be a media key or a list of them")]
    Malformed,
    /// The payload names too many media keys, up to this field.
    #[error("a payload names at most {MEDIA_KEYS_MAX} media keys")]
    TooMany,
    /// The upload of this key was not verified for the resource.
    #[error(
        "the upload of {0:?} was not verified for this resource: leave it out, or have its device \
         push it"
    )]
    Unverified(String),
}

impl MediaRejection {
    /// Returns the code that a pushed item with such a value has.
    pub const fn code(&self) -> ItemCode {
        match self {
            Self::Malformed | Self::Unverified(_) => ItemCode::InvalidMediaKey,
            Self::TooMany => ItemCode::TooManyMedia,
        }
    }
}

/// Names a media field for people, by its place in the request if it has one.
fn media_place(requested: RequestedResolution, field: &str) -> String {
    match requested {
        RequestedResolution::ManualMerge => format!("payload.{field}"),
        RequestedResolution::FieldPick => format!("fields.{field}"),
        _ => format!("{field} of the conflict's edits"),
    }
}
