//! Processes a batch in rounds. A round contains the groups that can be decided concurrently. An
//! item that references a create of the batch waits for the result of the create. If several
//! resources touch one unique value, they are decided in their order. A group whose condition fails
//! is retried, with a bounded number of attempts.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use tidemark_core::{
    limits::COMMIT_ATTEMPTS_MAX,
    protocol::push::{ItemCode, ItemResult, Status},
    push::{
        decide::Decision,
        intake::{CarriedState, Group, Rejection, Sender},
        media::Evidence,
        order,
        references::{self, EarlierCreates},
    },
    resource::{Resource, ResourceKey},
    unique::UniqueKey,
};

use super::{Mode, commit::CommitOutcome, rows::Rows};
use crate::{context::Context, failure::Failure};

/// The state shared by all rounds of a batch.
pub(super) struct Rounds<'a> {
    pub(super) context: &'a Context,
    pub(super) sender: Sender<'a>,
    pub(super) now: DateTime<Utc>,
    pub(super) mode: Mode,
    pub(super) earlier: EarlierCreates,
    pub(super) media: Evidence,
}

/// A group of edits with the decision about it.
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

/// The state that the rounds of a batch have read or learned so far.
pub(super) struct BatchKnowledge {
    pub(super) rows: Rows,
    /// The unique values of rows and items.
    values: order::Values,
    /// The known holders of unique values, from failed transactions.
    pub(super) holders: HashMap<UniqueKey, ResourceKey>,
    /// The unique values that a dry run has freed.
    freed: HashSet<UniqueKey>,
    /// The resources with conflicts of this device that must be read before an edit about them is
    /// decided.
    pub(super) conflicted: HashSet<ResourceKey>,
}

impl BatchKnowledge {
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
            self.conflicted.insert(group.key.clone());
        }
        match decision.write {
            Some(write) => {
                let may_have_changed = mode == Mode::Apply;
                self.rows
                    .put_written(&group.key, write.resource, may_have_changed);
            }
            None => self.rows.put_back(&group.key, row),
        }
    }
}

impl Rounds<'_> {
    /// Processes `groups` until each item has a result. `rows` are the rows that were read for
    /// them, `conflicted` the resources with creates that are part of a conflict of this device.
    pub(super) async fn run(
        &self,
        mut groups: Vec<Group>,
        rows: Rows,
        conflicted: HashSet<ResourceKey>,
        settled: &mut BTreeMap<usize, ItemResult>,
    ) -> Result<(), Failure> {
        // An item that was applied before is not evaluated again, because its edit may have left
        // the deduplication window of its row since.
        for group in &mut groups {
            group.items.retain(|item| {
                settled
                    .get(&item.index())
                    .is_none_or(|settled| settled.status != Status::Ok)
            });
        }
        groups.retain(|group| group.indexes().any(|index| !settled.contains_key(&index)));

        let (values, holders, freed) = Default::default();
        let mut learned = BatchKnowledge {
            rows,
            values,
            holders,
            freed,
            conflicted,
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

            let (round, waiting) = Box::pin(self.next(groups, &mut learned, settled)).await?;
            let outcomes = match self.mode {
                Mode::Apply => Box::pin(self.commit(&round)).await?,
                Mode::DryRun => {
                    self.simulate(&round, &mut learned.holders, &mut learned.freed)
                        .await?
                }
            };

            let (next, is_contended) =
                self.settle_round(round, outcomes, waiting, &mut learned, settled);
            groups = next;
            contended_rounds += u32::from(is_contended);
            if contended_rounds == COMMIT_ATTEMPTS_MAX {
                settle(
                    settled,
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
    async fn next(
        &self,
        groups: Vec<Group>,
        learned: &mut BatchKnowledge,
        settled: &mut BTreeMap<usize, ItemResult>,
    ) -> Result<(Vec<DecidedGroup>, Vec<Group>), Failure> {
        let (ready, mut waiting) = self.ready(groups, settled);
        let readable = self.read(ready, learned, settled).await?;

        let (now, later) = order::split(
            readable,
            &waiting,
            &learned.rows.loaded.rows,
            &mut learned.values,
            self.sender,
        );
        waiting.extend(later);

        let (optimistic, read): (Vec<_>, Vec<_>) = now
            .into_iter()
            .partition(|group| learned.rows.is_optimistic(&group.key));
        let (mut round, unverified) = self.decide_optimistic(optimistic, learned);
        round.extend(self.decide(read, learned, settled).await?);
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
    async fn read(
        &self,
        groups: Vec<Group>,
        learned: &mut BatchKnowledge,
        settled: &mut BTreeMap<usize, ItemResult>,
    ) -> Result<Vec<Group>, Failure> {
        let (tables, tenant) = (&self.context.tables, &self.sender.principal.tenant);
        let keys = groups.iter().map(|group| &group.key);
        learned.rows.read(&tables.resources, tenant, keys).await?;

        let unreadable = &learned.rows.loaded.unreadable;
        let (unreadable, readable): (Vec<_>, Vec<_>) = groups
            .into_iter()
            .partition(|group| unreadable.contains(&group.key));
        settle(
            settled,
            unreadable
                .iter()
                .flat_map(|group| reject(group, ItemCode::Unavailable)),
        );
        Ok(readable)
    }

    /// Records the outcomes of a round. Returns the groups that remain to be decided, and whether a
    /// condition failed without revealing a new holder of a unique value.
    fn settle_round(
        &self,
        round: Vec<DecidedGroup>,
        outcomes: Vec<CommitOutcome>,
        mut waiting: Vec<Group>,
        learned: &mut BatchKnowledge,
        settled: &mut BTreeMap<usize, ItemResult>,
    ) -> (Vec<Group>, bool) {
        let mut is_contended = false;
        let mut contended_keys: HashSet<ResourceKey> = HashSet::new();

        for (mut decided, outcome) in round.into_iter().zip(outcomes) {
            let key = &decided.group.key;
            let rest = waiting.iter_mut().find(|rest| rest.key == *key);

            match outcome {
                CommitOutcome::Written => {
                    settle(settled, decided.decision.results.drain(..));
                    learned.record_written(decided, rest, self.mode);
                }
                CommitOutcome::Unavailable => {
                    settle(settled, reject(&decided.group, ItemCode::Unavailable));
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
                    is_contended |= found
                        .keys()
                        .all(|value| learned.holders.contains_key(value));
                    learned.holders.extend(found);
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
    fn ready(
        &self,
        groups: Vec<Group>,
        settled: &BTreeMap<usize, ItemResult>,
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
            .partition(|group| references::is_ready(group, settled));
        if ready.is_empty() && !waiting.is_empty() {
            ready.push(waiting.remove(0));
        }

        let replace = |group| {
            references::replace(group, settled, &self.earlier, |index| {
                ids.get(&index).cloned()
            })
        };
        (ready.into_iter().map(replace).collect(), waiting)
    }
}

pub(super) fn settle(
    settled: &mut BTreeMap<usize, ItemResult>,
    responses: impl Iterator<Item = ItemResult>,
) {
    for response in responses {
        settled.entry(response.index).or_insert(response);
    }
}

/// Returns a retryable error for each item of a group that could not be committed.
pub(super) fn reject(group: &Group, code: ItemCode) -> impl Iterator<Item = ItemResult> {
    group.rejected_for_now(Rejection::new(
        code,
        "another writer changed this resource concurrently, or it cannot be written now: send the item again",
    ))
}
