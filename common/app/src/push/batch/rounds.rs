//! Processes a batch in rounds. A round contains the groups that can be decided concurrently. An
//! item that references a create of the batch waits for the result of the create. Items of
//! different resources that may claim or free the same unique value are decided in batch order, in
//! separate rounds. If a condition fails, its group is decided again in the next round. After
//! [`COMMIT_ATTEMPTS_MAX`] rounds with such a failure, every item that has no result yet is
//! rejected as `contended`, also if its own group did not fail.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use tidemark_core::{
    model::{
        limits::COMMIT_ATTEMPTS_MAX,
        resource::{Resource, ResourceKey},
    },
    rules::{
        push::{
            decide::Decision,
            intake::{CarriedState, Group, Rejection, Sender},
            media::MediaVerification,
            order,
            references::{self, EarlierCreates},
        },
        unique::UniqueKey,
    },
    wire::push::{ItemCode, ItemResult, Status},
};

use super::{commit::CommitOutcome, rows::Rows};
use crate::push::Mode;
use tidemark_aws::{context::Context, error::Error};

/// The state shared by all rounds of a batch.
pub(super) struct BatchRun<'a> {
    pub(super) context: &'a Context,
    pub(super) sender: Sender<'a>,
    pub(super) now: DateTime<Utc>,
    pub(super) mode: Mode,
    pub(super) earlier: EarlierCreates,
    pub(super) media: MediaVerification,
}

/// A group whose decision is ready to be committed.
pub(super) struct DecidedGroup {
    pub(super) group: Group,
    pub(super) decision: Decision,
    /// The row on which the decision is based.
    pub(super) row: Option<Resource>,
}

impl DecidedGroup {
    /// Splits off the items that the decision does not cover.
    fn split_undecided(&mut self) -> Option<Group> {
        let Group {
            key,
            items,
            carried,
        } = &mut self.group;
        let undecided = items.split_off(self.decision.results.len());
        (!undecided.is_empty()).then(|| Group {
            key: key.clone(),
            items: undecided,
            carried: carried.clone(),
        })
    }
}

/// The rows, unique values and conflicts that are known so far; updated after each round.
pub(super) struct BatchState {
    pub(super) rows: Rows,
    /// Cache of the parsed unique values of rows and items.
    values: order::Values,
    /// The known holders of unique values, from failed transactions.
    pub(super) holders: HashMap<UniqueKey, ResourceKey>,
    /// The unique values that a dry run has freed.
    freed: HashSet<UniqueKey>,
    /// The resources whose stored conflicts must be read before an edit of them is decided.
    pub(super) needs_conflicts: HashSet<ResourceKey>,
}

impl BatchState {
    /// Records that a decision was written. `rest` are the items of its group that remain to be
    /// decided, against the row that the decision wrote.
    fn record_written(&mut self, written: DecidedGroup, rest: Option<&mut Group>, mode: Mode) {
        let DecidedGroup {
            group,
            decision,
            row,
        } = written;
        self.holders
            .retain(|value, _| !decision.unique.frees.contains(value));
        let Some(rest) = rest else {
            return;
        };

        rest.carried = decision.carried;
        if !decision.conflicts.is_empty() {
            self.needs_conflicts.insert(group.key.clone());
        }
        match decision.write {
            Some(write) => {
                let is_shared = mode == Mode::Apply;
                self.rows.put_written(&group.key, write.resource, is_shared);
            }
            None => self.rows.put_back(&group.key, row),
        }
    }
}

impl BatchRun<'_> {
    /// Processes `groups` until each item has a result. `rows` are the rows that were read for
    /// them, `needs_conflicts` the resources with creates that are part of a conflict of this
    /// device.
    pub(super) async fn run(
        &self,
        mut groups: Vec<Group>,
        rows: Rows,
        needs_conflicts: HashSet<ResourceKey>,
        results: &mut BTreeMap<usize, ItemResult>,
    ) -> Result<(), Error> {
        // An item that `results` reports as applied is not evaluated again: its edit may no longer
        // be in the deduplication window.
        for group in &mut groups {
            group.items.retain(|item| {
                results
                    .get(&item.index())
                    .is_none_or(|result| result.status != Status::Ok)
            });
        }
        groups.retain(|group| group.indexes().any(|index| !results.contains_key(&index)));

        let (values, holders, freed) = Default::default();
        let mut state = BatchState {
            rows,
            values,
            holders,
            freed,
            needs_conflicts,
        };

        let mut contended_rounds = 0_u32;
        while !groups.is_empty() {
            if contended_rounds > 1 {
                tokio::time::sleep(
                    self.context
                        .random
                        .concurrent_update_backoff(contended_rounds),
                )
                .await;
            }

            let (round, waiting) = Box::pin(self.decide_round(groups, &mut state, results)).await?;
            let outcomes = match self.mode {
                Mode::Apply => Box::pin(self.commit(&round)).await?,
                Mode::DryRun => {
                    self.simulate(&round, &mut state.holders, &mut state.freed)
                        .await?
                }
            };

            let (next, is_contended) =
                self.finish_round(round, outcomes, waiting, &mut state, results);
            groups = next;
            contended_rounds += u32::from(is_contended);
            if contended_rounds == COMMIT_ATTEMPTS_MAX {
                record_results(
                    results,
                    groups
                        .iter()
                        .flat_map(|group| reject(group, ItemCode::Contended)),
                );
                return Ok(());
            }
        }
        Ok(())
    }

    /// Decides the groups that are ready. Returns the decided groups and the groups that wait for a
    /// later round.
    async fn decide_round(
        &self,
        groups: Vec<Group>,
        state: &mut BatchState,
        results: &mut BTreeMap<usize, ItemResult>,
    ) -> Result<(Vec<DecidedGroup>, Vec<Group>), Error> {
        let (ready, mut waiting) = self.take_ready(groups, results);
        let readable = self.load_rows(ready, state, results).await?;

        let (now, later) = order::split(
            readable,
            &waiting,
            &state.rows.loaded.rows,
            &mut state.values,
            self.sender,
        );
        waiting.extend(later);

        let (optimistic, read): (Vec<_>, Vec<_>) = now
            .into_iter()
            .partition(|group| state.rows.is_optimistic(&group.key));
        let (mut round, unverified) = self.decide_optimistic(optimistic, state);
        round.extend(self.decide(read, state, results).await?);
        round.sort_by_key(|decided| decided.group.indexes().min());
        waiting.extend(unverified);

        let undecided: Vec<Group> = round
            .iter_mut()
            .filter_map(DecidedGroup::split_undecided)
            .collect();
        if !undecided.is_empty() {
            waiting.extend(undecided);
            waiting = order::join(waiting);
        }
        Ok((round, waiting))
    }

    /// Reads the rows of `groups` that are not cached. Rejects the groups whose rows cannot be
    /// decoded, and returns the others.
    async fn load_rows(
        &self,
        groups: Vec<Group>,
        state: &mut BatchState,
        results: &mut BTreeMap<usize, ItemResult>,
    ) -> Result<Vec<Group>, Error> {
        let (tables, tenant) = (&self.context.tables, &self.sender.principal.tenant);
        let keys = groups.iter().map(|group| &group.key);
        state.rows.read(&tables.resources, tenant, keys).await?;

        let unreadable = &state.rows.loaded.unreadable;
        let (unreadable, readable): (Vec<_>, Vec<_>) = groups
            .into_iter()
            .partition(|group| unreadable.contains(&group.key));
        record_results(
            results,
            unreadable
                .iter()
                .flat_map(|group| reject(group, ItemCode::Unavailable)),
        );
        Ok(readable)
    }

    /// Records the outcomes of a round. Returns the groups that remain to be decided, and whether a
    /// condition failed without revealing a new holder of a unique value.
    fn finish_round(
        &self,
        round: Vec<DecidedGroup>,
        outcomes: Vec<CommitOutcome>,
        mut waiting: Vec<Group>,
        state: &mut BatchState,
        results: &mut BTreeMap<usize, ItemResult>,
    ) -> (Vec<Group>, bool) {
        let mut is_contended = false;
        let mut contended_keys: HashSet<ResourceKey> = HashSet::new();

        for (mut decided, outcome) in round.into_iter().zip(outcomes) {
            let key = &decided.group.key;
            let rest = waiting.iter_mut().find(|rest| rest.key == *key);

            match outcome {
                CommitOutcome::Written => {
                    record_results(results, decided.decision.results.drain(..));
                    state.record_written(decided, rest, self.mode);
                }
                CommitOutcome::Unavailable => {
                    record_results(results, reject(&decided.group, ItemCode::Unavailable));
                    if let Some(rest) = rest {
                        rest.carried = CarriedState {
                            failed: Some(true),
                            ..decided.decision.carried
                        };
                    }
                }
                CommitOutcome::ConditionFailed(mut found) => {
                    // A holder whose own commit failed in this round may be about to free the
                    // value, so it does not count as a holder yet.
                    found.retain(|_, holder| !contended_keys.contains(holder));
                    // A new holder changes the decision, so the retry is not a repetition of the
                    // same attempt.
                    is_contended |= found.keys().all(|value| state.holders.contains_key(value));
                    state.holders.extend(found);
                    contended_keys.insert(key.clone());
                    waiting.push(decided.group);
                }
            }
        }

        (order::join(waiting), is_contended)
    }

    /// Separates the groups whose references can be replaced from the groups that wait for a create
    /// of this batch. Breaks reference cycles: if no group is ready, the first is processed with
    /// the ids that the creates request.
    fn take_ready(
        &self,
        groups: Vec<Group>,
        results: &BTreeMap<usize, ItemResult>,
    ) -> (Vec<Group>, Vec<Group>) {
        if !references::any(&groups) {
            return (groups, Vec::new());
        }

        let ids: HashMap<usize, String> = groups
            .iter()
            .flat_map(|group| group.indexes().map(|index| (index, group.key.id.clone())))
            .collect();

        let (mut ready, mut waiting): (Vec<_>, Vec<_>) = groups
            .into_iter()
            .partition(|group| references::is_ready(group, results));
        if ready.is_empty() && !waiting.is_empty() {
            ready.push(waiting.remove(0));
        }

        let replace = |group| {
            references::replace(group, results, &self.earlier, |index| {
                ids.get(&index).cloned()
            })
        };
        (ready.into_iter().map(replace).collect(), waiting)
    }
}

/// Adds results. An item that has a result keeps it.
pub(super) fn record_results(
    results: &mut BTreeMap<usize, ItemResult>,
    new: impl Iterator<Item = ItemResult>,
) {
    for result in new {
        results.entry(result.index).or_insert(result);
    }
}

/// Returns a retryable error for each item of a group that gets no decision, or whose decision
/// cannot be written.
pub(super) fn reject(group: &Group, code: ItemCode) -> impl Iterator<Item = ItemResult> {
    let error = match code {
        ItemCode::Contended => {
            "other writers changed resources of this batch concurrently: send the item again"
        }
        _ => "this resource cannot be read or written now: send the item again",
    };
    group.rejected_for_now(Rejection::new(code, error))
}
