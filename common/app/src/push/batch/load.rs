//! Plans what must be read before a batch is decided, and evaluates what was read: the rows that
//! the items change, the conflicts of the device about creates, and the creates of earlier batches
//! to which the items refer. It does no I/O.

use std::collections::{BTreeSet, HashMap, HashSet};

use tidemark_aws::tables::{conflicts::DeviceConflicts, resources::LoadedRows};
use tidemark_core::{
    model::{
        conflict::ConflictSummary,
        resource::{EditId, ResourceKey},
    },
    rules::push::{
        conflict,
        edit::{Sender, TempId},
        group::Group,
        references::{self, EarlierCreates},
    },
};

use crate::push::Mode;

/// The keys that a batch reads before its groups are decided.
///
/// Optimistic reads: a row that is updated on the condition that it is unchanged needs no strongly
/// consistent read, and the row of a create is not read at all. If the condition fails, the row is
/// read and decided on again. A dry run writes nothing, and the items of a replay were sent before,
/// so both read strongly consistently.
pub(super) struct BatchReads<'a> {
    /// The resources to which the items refer and which earlier batches may have created.
    referred: HashSet<&'a ResourceKey>,
    /// The temp ids by which the items refer to earlier batches.
    pub(super) temp_ids: BTreeSet<&'a TempId>,
    /// The rows to read strongly consistently.
    pub(super) certain: HashSet<&'a ResourceKey>,
    /// The rows to read eventually consistently.
    pub(super) optimistic: HashSet<&'a ResourceKey>,
    /// The rows of creates, which are assumed to be absent.
    assumed_absent: Vec<&'a ResourceKey>,
    /// The resources of creates that may be part of a conflict of the device.
    creates: Vec<&'a ResourceKey>,
    /// The resources whose conflicts are looked up, each with the edits to find.
    pub(super) conflicts: Vec<(&'a ResourceKey, Vec<EditId>)>,
}

impl<'a> BatchReads<'a> {
    /// Determines what `groups` need.
    pub(super) fn of(groups: &'a [Group], sender: Sender<'_>, mode: Mode) -> Self {
        let referred: HashSet<&ResourceKey> = references::to_earlier_batches(groups)
            .flat_map(|reference| &reference.earlier)
            .collect();
        let temp_ids = references::to_earlier_batches(groups)
            .map(|reference| &reference.temp_id)
            .collect();

        let is_validated_by_write = mode == Mode::Apply && !sender.is_replay;
        let (validated, other): (Vec<&Group>, Vec<&Group>) = groups
            .iter()
            .partition(|group| is_validated_by_write && !referred.contains(&group.key));
        let (created, changed): (Vec<&Group>, Vec<&Group>) = validated
            .into_iter()
            .partition(|group| group.begins_with_create());
        let key = |group: &'a Group| &group.key;
        let certain = referred
            .iter()
            .copied()
            .chain(other.into_iter().map(key))
            .collect();

        let mut conflicts = conflict::conflicts_of_creates(groups, sender);
        let creates: Vec<&ResourceKey> = conflicts.iter().map(|(create, _)| *create).collect();
        let others = referred.iter().filter(|key| !creates.contains(key));
        conflicts.extend(others.map(|key| (*key, Vec::new())));

        Self {
            temp_ids,
            certain,
            optimistic: changed.into_iter().map(key).collect(),
            assumed_absent: created.into_iter().map(key).collect(),
            creates,
            conflicts,
            referred,
        }
    }

    /// Returns the resources with creates that are part of a conflict of the device.
    pub(super) fn conflicting_creates(&self, conflicts: &DeviceConflicts) -> HashSet<ResourceKey> {
        self.creates
            .iter()
            .copied()
            .filter(|key| has_conflicting_create(&conflicts.summaries, key))
            .cloned()
            .collect()
    }

    /// Returns the state of the creates to which the items refer. `certain` are the rows that were
    /// read strongly consistently, `failed` the creates that failed with an error.
    pub(super) fn earlier_creates(
        &self,
        certain: &LoadedRows,
        conflicts: &DeviceConflicts,
        failed: HashMap<TempId, bool>,
    ) -> EarlierCreates {
        let made: HashSet<ResourceKey> = certain
            .rows
            .keys()
            .chain(&certain.unreadable)
            .cloned()
            .collect();

        let summaries = &conflicts.summaries;
        let conflicting_creates = self
            .referred
            .iter()
            .copied()
            .filter(|key| !made.contains(*key) && has_conflicting_create(summaries, key))
            .map(|key| {
                let is_open = summaries[key].iter().any(ConflictSummary::is_open_create);
                (key.clone(), is_open)
            })
            .collect();

        EarlierCreates {
            made,
            rejected: conflicting_creates,
            failed,
        }
    }

    /// Merges the rows of both reads, and marks the rows of creates as assumed to be absent.
    pub(super) fn merge(&self, certain: LoadedRows, possibly_stale: LoadedRows) -> LoadedRows {
        let mut loaded = certain;
        loaded.rows.extend(possibly_stale.rows);
        loaded.unreadable.extend(possibly_stale.unreadable);
        loaded.optimistic.extend(possibly_stale.optimistic);
        loaded
            .optimistic
            .extend(self.assumed_absent.iter().copied().cloned());
        loaded
    }
}

/// Returns whether a create of this resource is part of a conflict of the device.
fn has_conflicting_create(
    summaries: &HashMap<ResourceKey, Vec<ConflictSummary>>,
    key: &ResourceKey,
) -> bool {
    summaries
        .get(key)
        .is_some_and(|conflicts| conflicts.iter().any(|conflict| conflict.opened_by_create))
}
