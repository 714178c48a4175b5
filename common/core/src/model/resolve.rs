//! The command of an admin that resolves a conflict (§5.2), and the reasons to reject it.

mod rejection;

use crate::model::{
    conflict::ConflictOutcome,
    json::{self, Json},
    resolution::Resolution,
};

pub use rejection::{MediaRejection, ResolveRejection};

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
