//! The ways to resolve a conflict that a request names.

use crate::model::{keyword::keywords, resolution::Resolution};

/// How a request resolves a conflict (§5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestedResolution {
    /// The server's state stays.
    AcceptServer,
    /// The device's edits are applied to the server's current state.
    AcceptClient,
    /// A payload that the request contains replaces both.
    ManualMerge,
    /// For each field that the request names, one of both sides or another value is chosen. It is
    /// recorded as a manual merge.
    FieldPick,
}

keywords!(
    RequestedResolution, "resolution",
    AcceptServer => "accept_server",
    AcceptClient => "accept_client",
    ManualMerge => "manual_merge",
    FieldPick => "field_pick",
);

impl RequestedResolution {
    /// Returns the resolution that a conflict resolved in this way records.
    pub const fn recorded(self) -> Resolution {
        match self {
            Self::AcceptServer => Resolution::AcceptServer,
            Self::AcceptClient => Resolution::AcceptClient,
            Self::ManualMerge | Self::FieldPick => Resolution::ManualMerge,
        }
    }
}
