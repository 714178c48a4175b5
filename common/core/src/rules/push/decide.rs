//! Decides a batch, one resource at a time (§3.5 to §3.9). The edits of a group are folded into one
//! write. Rejected edits go into a conflict or get an error result, and edits that were made on a
//! rejected copy are not applied.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{
    fold::Fold,
    intake::{CarriedState, Group, Item, Sender},
    media::MediaVerification,
};
use crate::{
    model::{
        catalog::Policy,
        conflict::{ConflictSummary, ConflictWrite, SupersededConflict},
        resource::{Resource, ResourceKey},
    },
    rules::{
        media::Upload,
        unique::{UniqueChange, UniqueKey},
    },
    wire::push::ItemResult,
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

/// Decides the edits of `group` against the `stored` state, at the time `now`.
///
/// The function is pure and idempotent: deciding the same group against its own outcome changes
/// nothing and returns the same results.
///
/// # Errors
/// Returns [`ConflictsNeeded`] if an edit conflicts and `stored.conflicts` is `None`.
pub fn decide(
    group: &Group,
    stored: &CurrentState,
    found: Lookups<'_>,
    sender: Sender<'_>,
    now: DateTime<Utc>,
) -> Result<Decision, ConflictsNeeded> {
    let Some(rules) = sender.catalog.get(&group.key.resource_type) else {
        return Ok(Decision::default()); // no group is made for a type the catalog lacks
    };

    let mut fold = Fold::new(group, stored, found, sender, rules, now);
    let mut results = Vec::with_capacity(group.items.len());
    for item in &group.items {
        if fold.must_be_stored() {
            break;
        }
        results.push(match item {
            Item::Edit(edit) => fold.edit(edit)?,
            Item::Rejected(response) => fold.rejected(response),
        });
    }

    let outcome = fold.finish();
    let expected_version = stored
        .resource
        .as_ref()
        .map(|resource| resource.server_version);
    let mut unique = UniqueChange::default();
    if let Some(after) = &outcome.changed {
        unique = UniqueChange::between(
            rules,
            &sender.principal.tenant,
            &group.key,
            stored.resource.as_ref(),
            Some(after),
        );
        // A value that another resource holds must not be freed: this resource had the value before
        // the field was declared unique.
        unique.frees.retain(|key| {
            found
                .holders
                .get(key)
                .is_none_or(|holder| *holder == group.key)
        });
    }

    Ok(Decision {
        results,
        write: outcome.changed.map(|resource| ResourceWrite {
            expected_version,
            resource,
        }),
        unique,
        uploads: outcome.uploads,
        conflicts: outcome.conflicts,
        policy_conflict: outcome.policy_conflict,
        superseded: outcome.superseded,
        carried: outcome.carried,
    })
}
