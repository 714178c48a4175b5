//! The command of an admin that resolves a conflict (§5.2), and the reasons to reject it.

mod bulk;
mod pick;
mod rejection;
mod requested;

use crate::model::{
    conflict::ConflictOutcome,
    json::{self, Json},
};

pub use bulk::{BulkResolveCommand, BulkResolveStatus, ReviewedConflict};
pub use pick::{Pick, Picks};
pub use rejection::{MediaRejection, ResolveRejection};
pub use requested::RequestedResolution;

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
    /// Returns whether the command repeats an earlier resolution. The note is not compared, and the
    /// expected version only with picks, whose effect depends on it.
    pub fn repeats(&self, outcome: &ConflictOutcome) -> bool {
        match self.picked_digest() {
            Some(digest) => outcome.picked_digest == Some(digest),
            None => {
                self.choice.requested().recorded() == outcome.resolution
                    && self.choice.merged_digest() == outcome.merged_digest
            }
        }
    }

    /// Returns the digest of the picks and of the expected version; `None` for another choice.
    pub fn picked_digest(&self) -> Option<[u8; 16]> {
        match &self.choice {
            ResolveChoice::FieldPick(picks) => {
                Some(picks.digest(self.expected_server_version.unwrap_or_default()))
            }
            _ => None,
        }
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
    /// The named fields of the server's content are replaced by those picked. The command has an
    /// expected version.
    FieldPick(Picks),
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
    pub const fn requested(&self) -> RequestedResolution {
        match self {
            Self::AcceptServer => RequestedResolution::AcceptServer,
            Self::AcceptClient => RequestedResolution::AcceptClient,
            Self::ManualMerge { .. } => RequestedResolution::ManualMerge,
            Self::FieldPick(_) => RequestedResolution::FieldPick,
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
