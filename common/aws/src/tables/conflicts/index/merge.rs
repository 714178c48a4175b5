//! Merges the pages of the shards into a page of a list.

use std::{cmp::Ordering, collections::HashSet};

use tidemark_core::model::conflict::{ConflictStatus, ListOrder};

use super::{ConflictCursor, IndexEntry, Shard, ShardPage};

/// Merges the pages of shards. Returns at most `limit` entries in this order, and the cursor of the
/// next page if there may be more.
///
/// A shard that was not read to its end may contain entries after the last one that was examined.
/// The merged page therefore ends at the first such place of all shards, which need not be that of
/// an entry of the list.
pub(in crate::tables::conflicts) fn merge(
    pages: Vec<(Shard, ShardPage)>,
    order: ListOrder,
    limit: usize,
) -> (Vec<IndexEntry>, Option<ConflictCursor>) {
    let (mut found, mut ends) = (Vec::new(), Vec::new());
    for (shard, ShardPage { entries, end }) in pages {
        let in_shard = |entry| ShardEntry {
            entry,
            status: shard.status,
        };
        found.extend(entries.into_iter().map(in_shard));
        ends.extend(end.map(in_shard));
    }

    let horizon = ends.into_iter().min_by(|one, other| one.cmp(other, order));
    if let Some(horizon) = &horizon {
        found.retain(|it| it.cmp(horizon, order) != Ordering::Greater);
    }
    // The sort is stable: entries of one shard with the same time keep the order of the index.
    found.sort_by(|one, other| one.cmp(other, order));
    // While a resolution reaches the index, a conflict may be part of two shards.
    let mut seen = HashSet::new();
    found.retain(|it| seen.insert([it.entry.pk.clone(), it.entry.sk.clone()]));

    let is_cut = found.len() > limit;
    found.truncate(limit);
    let last = if is_cut {
        found.last().cloned()
    } else {
        horizon
    };
    (
        found.into_iter().map(|it| it.entry).collect(),
        last.map(|last| last.entry.cursor(last.status)),
    )
}

/// An entry with the status of its shard.
#[derive(Debug, Clone)]
struct ShardEntry {
    entry: IndexEntry,
    status: ConflictStatus,
}

impl ShardEntry {
    /// Compares the places of two entries in a list. Only legacy conflicts have equal times.
    fn cmp(&self, other: &Self, order: ListOrder) -> Ordering {
        let times = self.entry.detected_at.cmp(&other.entry.detected_at);
        let times = match order {
            ListOrder::Oldest => times,
            ListOrder::Newest => times.reverse(),
        };
        let rank = |it: &Self| it.status == ConflictStatus::Resolved;
        times.then_with(|| rank(self).cmp(&rank(other)))
    }
}
