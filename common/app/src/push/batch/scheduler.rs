//! Schedules the groups of a batch: selects the groups that are decided in the next round, records
//! the outcomes of a round, and gives up groups whose writes fail repeatedly. The module does no
//! I/O.
//!
//! An item that references a create of the batch waits for the result of the create. Items of
//! different resources that may claim or free the same unique value are decided in batch order, in
//! separate rounds. A group whose condition failed is decided again in the next round.
//!
//! # Bound
//! An attempt to write a group has one of three effects, if a batch has `n` items (at most 50)
//! about `g` resources:
//!
//! - It gives at least one item its result: at most `n` attempts.
//! - It fails and is counted. After [`COMMIT_ATTEMPTS_MAX`] failed attempts of a resource its
//!   remaining items are rejected as `contended`: at most `10 g` attempts. Items of other resources
//!   that waited for them are decided then.
//! - It fails and reveals a new holder of a unique value, so the next decision differs. At most `n`
//!   of these attempts are not counted.
//!
//! A batch therefore makes at most `10 g + 2 n` attempts. A round without an attempt replaces
//! optimistic reads: at most one for each row, and one after each write of it.

mod outcomes;
mod ready;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use tidemark_core::{
    model::{
        limits::COMMIT_ATTEMPTS_MAX,
        resource::ResourceKey,
        result::{ItemCode, ItemResult},
    },
    rules::{
        push::{edit::Sender, group::Group, order, references::EarlierCreates},
        unique::UniqueKey,
    },
};

use super::{
    results::{record_results, reject},
    rows::Rows,
};

/// The groups of a batch that have to be decided, and what failed attempts have revealed.
pub(super) struct Scheduler<'a> {
    sender: Sender<'a>,
    /// The creates of earlier batches to which references may point.
    earlier: EarlierCreates,
    /// The groups that are not part of the current round; one for each resource between rounds.
    pending: Vec<Group>,
    /// The known holders of unique values, from failed attempts.
    pub(super) holders: HashMap<UniqueKey, ResourceKey>,
    /// The number of failed attempts to write each resource.
    attempts: HashMap<ResourceKey, u32>,
    /// The number of attempts that may still fail without being counted.
    uncounted_left: usize,
    /// The highest number of attempts of a group that failed in the last round, 0 if none did.
    contention: u32,
    /// Cache of the parsed unique values of rows and items.
    values: order::Values,
}

impl<'a> Scheduler<'a> {
    /// Schedules the items of `groups`. An item that `results` reports as applied is not evaluated
    /// again: its edit may no longer be in the deduplication window. Neither is an item that an
    /// admin corrected: the correction is another edit, which does not identify the item as sent.
    pub(super) fn new(
        groups: Vec<Group>,
        earlier: EarlierCreates,
        sender: Sender<'a>,
        results: &BTreeMap<usize, ItemResult>,
    ) -> Self {
        let mut pending = groups;
        for group in &mut pending {
            group.items.retain(|item| {
                let result = results.get(&item.index());
                result.is_none_or(|result| !result.is_settled())
            });
        }
        pending.retain(|group| group.indexes().any(|index| !results.contains_key(&index)));

        Self {
            sender,
            earlier,
            uncounted_left: pending.iter().map(|group| group.items.len()).sum(),
            pending,
            holders: HashMap::new(),
            attempts: HashMap::new(),
            contention: 0,
            values: order::Values::default(),
        }
    }

    /// Returns the number of failed attempts for which the caller backs off before the next round.
    /// The first retry of a group is immediate, because its condition most often fails after an
    /// optimistic read.
    pub(super) fn backoff(&self) -> Option<u32> {
        (self.contention > 1 && !self.pending.is_empty()).then_some(self.contention)
    }

    /// Returns the groups, or parts of groups, that are decided now, or `None` if every item has a
    /// result. Rejects the groups whose rows cannot be decoded.
    pub(super) fn next_round(
        &mut self,
        rows: &Rows,
        results: &mut BTreeMap<usize, ItemResult>,
    ) -> Option<Vec<Group>> {
        if self.pending.is_empty() {
            return None;
        }

        let (mut groups, waiting) = self.take_ready(results);
        groups.retain(|group| {
            let is_readable = !rows.loaded.unreadable.contains(&group.key);
            if !is_readable {
                record_results(results, reject(group, ItemCode::Unavailable));
            }
            is_readable
        });

        let (now, later) = order::split(
            groups,
            &waiting,
            &rows.loaded.rows,
            &mut self.values,
            self.sender,
        );
        self.pending = waiting;
        self.pending.extend(later);
        Some(now)
    }

    /// Returns groups, or parts of groups, that the current round does not decide to the pending
    /// groups.
    pub(super) fn defer(&mut self, groups: Vec<Group>) {
        self.pending.extend(groups);
        self.pending = order::join(std::mem::take(&mut self.pending));
    }

    /// Rejects the pending groups that used up their attempts.
    fn give_up(&mut self, results: &mut BTreeMap<usize, ItemResult>) {
        self.pending.retain(|group| {
            let attempts = self.attempts.get(&group.key).copied().unwrap_or_default();
            if attempts >= COMMIT_ATTEMPTS_MAX {
                record_results(results, reject(group, ItemCode::Contended));
            }
            attempts < COMMIT_ATTEMPTS_MAX
        });
    }
}
