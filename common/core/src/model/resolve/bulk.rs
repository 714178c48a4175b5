//! The command of an admin that resolves several conflicts in the same way (§5.2).

use crate::model::keyword::keywords;

use super::ResolveCommand;

/// A command to resolve several conflicts, each in a transaction of its own.
#[derive(Debug, Clone)]
pub struct BulkResolveCommand {
    /// The conflicts, at most [`BULK_CONFLICTS_MAX`](crate::model::limits::BULK_CONFLICTS_MAX),
    /// each with another id.
    pub conflicts: Vec<ReviewedConflict>,
    /// The command for each of them, which has no expected version yet.
    pub command: ResolveCommand,
    /// Whether nothing is written.
    pub is_dry_run: bool,
}

/// A conflict that an admin reviewed.
#[derive(Debug, Clone)]
pub struct ReviewedConflict {
    /// The id of the conflict.
    pub id: String,
    /// The version of the resource that the admin reviewed; 0 if there was no resource.
    pub expected_server_version: u64,
}

/// The result of a bulk request for one conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkResolveStatus {
    /// In a dry run: the conflict would be resolved.
    Open,
    /// The conflict is resolved as requested, by this request or before.
    Resolved,
    /// The conflict cannot be resolved as requested.
    Rejected,
    /// The request ended before the conflict was processed.
    Deferred,
}

keywords!(
    BulkResolveStatus, "status",
    Open => "open",
    Resolved => "resolved",
    Rejected => "rejected",
    Deferred => "deferred",
);
