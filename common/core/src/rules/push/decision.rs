//! The decision about a group of edits: what is written, and the results.

use std::collections::HashMap;

use crate::{
    model::{
        catalog::Policy,
        conflict::{ConflictSummary, ConflictWrite, SupersededConflict},
        resource::{Resource, ResourceKey},
        result::ItemResult,
    },
    rules::{
        media::Upload,
        push::{group::CarriedState, media::MediaVerification},
        unique::{UniqueChange, UniqueKey},
    },
};

/// The stored state of a group's resource.
#[derive(Debug, Clone, Default)]
pub struct CurrentState {
    /// The row of the resource, if it exists.
    pub resource: Option<Resource>,
    /// This device's conflicts about the resource; `None` if they have not been read.
    pub conflicts: Option<Vec<ConflictSummary>>,
}

/// The results of lookups of other rows and of objects.
#[derive(Debug, Clone, Copy)]
pub struct Lookups<'a> {
    /// The resources that hold unique values, for values that a failed write attempt found to be
    /// taken.
    pub holders: &'a HashMap<UniqueKey, ResourceKey>,
    /// The verification results of the media keys that the batch names.
    pub media: &'a MediaVerification,
}

/// The decision about a group, or about its first items. At least one item is decided.
#[derive(Debug, Default)]
pub struct Decision {
    /// The results of the group's items or of its first items. The remaining items are decided
    /// against the rows that these wrote.
    pub results: Vec<ItemResult>,
    /// The row to write, if any item changed it.
    pub write: Option<ResourceWrite>,
    /// The unique values to claim and free in the same transaction.
    pub unique: UniqueChange,
    /// The uploads that were verified for the group's items.
    pub uploads: Vec<Upload>,
    /// The conflicts to store after the row is written.
    pub conflicts: Vec<ConflictWrite>,
    /// A conflict that a policy resolved, to be recorded in the same transaction.
    pub policy_conflict: Option<PolicyConflict>,
    /// Conflicts that a create of the group supersedes, to be resolved in the same transaction.
    pub superseded: Vec<SupersededConflict>,
    /// The effect of these items on the items of the group that are decided later.
    pub carried: CarriedState,
}

/// A row to write, on the condition that the stored row is unchanged since it was loaded.
#[derive(Debug, Clone)]
pub struct ResourceWrite {
    /// The version that was loaded; `None` if there was no row.
    pub expected_version: Option<u64>,
    /// The new content of the row.
    pub resource: Resource,
}

/// A conflict that a policy resolved when the edit was pushed (§5).
#[derive(Debug, Clone)]
pub struct PolicyConflict {
    /// The policy that resolved the conflict.
    pub policy: Policy,
    /// The conflict with its outcome.
    pub conflict: ConflictWrite,
    /// The resource after the decision.
    pub after: Resource,
}

/// A group cannot be decided yet: an edit conflicts, and the existing conflicts of this device have
/// not been read.
#[derive(Debug, PartialEq, Eq)]
pub struct ConflictsNeeded;
