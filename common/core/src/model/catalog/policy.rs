//! The policies by which conflicts are resolved automatically (§5.4).

use crate::model::keyword::keywords;

/// The conflict policy: how edits of two devices on the same version are resolved (§5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// An admin resolves the conflict.
    #[default]
    Manual,
    /// Edits of different top-level fields merge.
    FieldMerge,
    /// The device's edit is applied.
    ClientWins,
    /// The device's edit is dropped.
    ServerWins,
}

keywords!(
    Policy, "policy",
    Manual => "manual",
    FieldMerge => "field_merge",
    ClientWins => "client_wins",
    ServerWins => "server_wins",
);
