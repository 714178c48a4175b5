//! The ways to resolve a conflict, and the resolutions that a resource records (§5).

use crate::model::keyword::keywords;

/// How a conflict was resolved (§5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// The server's state stays.
    AcceptServer,
    /// The device's edits are applied to the server's current state.
    AcceptClient,
    /// A payload that the admin provides replaces both.
    ManualMerge,
}

keywords!(
    Resolution, "resolution",
    AcceptServer => "accept_server",
    AcceptClient => "accept_client",
    ManualMerge => "manual_merge",
);

/// A resolution as the resource stores it, and as pulled changes carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictResolution {
    /// The id of the conflict.
    pub id: String,
    /// How the conflict was resolved.
    pub resolution: Resolution,
    /// The version of the resource that the resolution made.
    pub server_version: u64,
}

impl ConflictResolution {
    /// Converts it to the form that a pulled change contains.
    pub fn into_change_resolution(self) -> ChangeResolution {
        ChangeResolution {
            id: self.id,
            resolution: self.resolution,
        }
    }

    /// Returns the stored resolutions that made versions after `old_version`, in the form that a
    /// pulled change contains.
    pub fn resolved_since(
        old_version: Option<u64>,
        resolutions: Vec<Self>,
    ) -> Vec<ChangeResolution> {
        let since = |resolved: &Self| resolved.server_version > old_version.unwrap_or_default();
        resolutions
            .into_iter()
            .filter(since)
            .map(Self::into_change_resolution)
            .collect()
    }
}

/// A resolved conflict, as reported with a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeResolution {
    /// The id of the conflict.
    pub id: String,
    /// The way in which the conflict was resolved.
    pub resolution: Resolution,
}
