//! The command of an admin that resolves a conflict (§5.2), and the reasons to reject it.

use crate::model::{
    conflict::ConflictOutcome,
    json::{self, Json},
    limits::MEDIA_KEYS_MAX,
    resolution::Resolution,
    result::{ItemCode, Rejection},
};

/// A command to resolve a conflict.
#[derive(Debug, Clone)]
pub struct ResolveCommand {
    /// The way to resolve the conflict.
    pub choice: ResolveChoice,
    /// The version that the admin reviewed; 0 if there was no resource.
    pub expected_server_version: Option<u64>,
    /// The admin's note for the audit log.
    pub note: Option<String>,
}

impl ResolveCommand {
    /// Returns whether the command repeats an earlier resolution. The note and the expected version
    /// are not compared.
    pub fn repeats(&self, outcome: &ConflictOutcome) -> bool {
        self.choice.resolution() == outcome.resolution
            && self.choice.merged_digest() == outcome.merged_digest
    }
}

/// The way in which a conflict is resolved.
#[derive(Debug, Clone)]
pub enum ResolveChoice {
    /// The server's content is kept.
    AcceptServer,
    /// The device's edits are applied to the server's content.
    AcceptClient,
    /// This payload replaces both contents.
    ManualMerge {
        /// The merged payload, without `id`.
        payload: Json,
        /// Digest of the payload's canonical text.
        digest: [u8; 16],
    },
}

impl ResolveChoice {
    /// Returns a manual merge with this payload, which has no `id`.
    pub fn manual_merge(payload: Json) -> Self {
        Self::ManualMerge {
            digest: json::payload_digest(&payload),
            payload,
        }
    }

    /// Returns the resolution that corresponds to the choice.
    pub const fn resolution(&self) -> Resolution {
        match self {
            Self::AcceptServer => Resolution::AcceptServer,
            Self::AcceptClient => Resolution::AcceptClient,
            Self::ManualMerge { .. } => Resolution::ManualMerge,
        }
    }

    /// Returns the digest of a manual merge's payload; `None` for another choice.
    pub const fn merged_digest(&self) -> Option<[u8; 16]> {
        match self {
            Self::ManualMerge { digest, .. } => Some(*digest),
            _ => None,
        }
    }
}

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
    /// The content to be stored breaks a rule of §2.
    #[error("{}", .rejection.error)]
    Content {
        /// The resolution that stores the content.
        resolution: Resolution,
        /// The rule that the content breaks.
        rejection: Rejection,
    },
    /// The content to be stored names media keys that it may not name (§6.3).
    #[error("{}: {reason}", media_place(*.resolution, .field))]
    Media {
        /// The resolution that stores the content.
        resolution: Resolution,
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

/// Names a media field for people. Only a manual merge has a payload that the name can refer to.
fn media_place(resolution: Resolution, field: &str) -> String {
    match resolution {
        Resolution::ManualMerge => format!("payload.{field}"),
        _ => format!("{field} of the conflict's edits"),
    }
}
