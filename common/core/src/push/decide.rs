//! Deciding a batch, resource by resource (§3.5 to §3.9): the edits of a group are folded into one
//! write, what was refused goes into a conflict or is answered as an error, and what was made on a
//! refused copy is not applied.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{
    fold::Fold,
    intake::{CarriedState, Group, Item, Sender},
    media::Evidence,
};
use crate::{
    catalog::Policy,
    conflict::{ConflictSummary, ConflictWrite, SupersededConflict},
    media::Upload,
    protocol::push::ItemResult,
    resource::{Resource, ResourceKey},
    unique::{UniqueChange, UniqueKey},
};

/// What is stored about a group's resource.
#[derive(Debug, Clone, Default)]
pub struct CurrentState {
    /// The row, if there is one.
    pub resource: Option<Resource>,
    /// This device's conflicts about it; `None` while they were not read.
    pub conflicts: Option<Vec<ConflictSummary>>,
}

/// What was found out about other rows and objects.
#[derive(Debug, Clone, Copy)]
pub struct Lookups<'a> {
    /// Unique values of which a try showed that somebody holds them.
    pub holders: &'a HashMap<UniqueKey, ResourceKey>,
    /// What is known of the media keys that the batch names.
    pub media: &'a Evidence,
}

/// What becomes of a group, or of its first items. At least one of them is decided.
#[derive(Debug, Default)]
pub struct Decision {
    /// The answer to each of its items, or to those at its beginning: what follows is decided on
    /// what those left in the tables.
    pub results: Vec<ItemResult>,
    /// The row to write, if anything changed.
    pub write: Option<ResourceWrite>,
    /// The unique values that change hands with it, in the same transaction.
    pub unique: UniqueChange,
    /// Uploads that were verified for its items.
    pub uploads: Vec<Upload>,
    /// The conflicts to store once the row is written.
    pub conflicts: Vec<ConflictWrite>,
    /// What a policy decided, to be recorded in the same transaction.
    pub ruled: Option<PolicyConflict>,
    /// Conflicts that a create among its items takes the place of, to be resolved in the same
    /// transaction.
    pub superseded: Vec<SupersededConflict>,
    /// What its items mean for those of the group that are decided later.
    pub carried: CarriedState,
}

/// A row to write, on the condition that it still is what was loaded.
#[derive(Debug, Clone)]
pub struct ResourceWrite {
    /// The version that was loaded; `None` where there was no row.
    pub expected_version: Option<u64>,
    /// The row then.
    pub resource: Resource,
}

/// A conflict that a policy decided at once (§5).
#[derive(Debug, Clone)]
pub struct PolicyConflict {
    /// Which policy.
    pub policy: Policy,
    /// The conflict, resolved.
    pub conflict: ConflictWrite,
    /// The resource behind the decision.
    pub after: Resource,
}

/// Why a group cannot be decided yet: some of its edits conflict, and the conflicts this device has
/// already were not read.
#[derive(Debug, PartialEq, Eq)]
pub struct ConflictsNeeded;

/// Decides the edits of `group` against what is stored, at the moment `now`.
///
/// A pure function, and a fixed point: deciding the same group against its own outcome changes
/// nothing and answers the same.
///
/// # Errors
/// [`ConflictsNeeded`] when an edit conflicts and `stored.conflicts` is `None`.
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
        // What somebody else holds is not this resource's to free: it held the value before the
        // field was declared unique.
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
        ruled: outcome.ruled,
        superseded: outcome.superseded,
        carried: outcome.carried,
    })
}
