//! Actions of the audit log in words.

use tidemark_core::model::{
    audit::{AuditAction, Via},
    resolution::Resolution,
};

pub(super) const fn action(action: AuditAction) -> &'static str {
    match action {
        AuditAction::ConflictResolved => "resolved a conflict",
        AuditAction::ReplayStarted => "began to replay a batch",
        AuditAction::ReplayFinished => "replayed a batch",
        AuditAction::ItemCorrected => "corrected an item",
        AuditAction::AdminWrite => "wrote as an admin",
        AuditAction::Repair => "repaired a channel",
    }
}

pub(super) const fn resolution(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::AcceptServer => "kept the server's content",
        Resolution::AcceptClient => "applied the device's edits",
        Resolution::ManualMerge => "merged both",
    }
}

/// Returns the interface through which an action was made, unless it is the API.
pub(super) const fn interface(via: Via) -> Option<&'static str> {
    match via {
        Via::Api => None,
        Via::Invocation => Some("(operator)"),
        Via::Policy => Some("(automatically)"),
    }
}
