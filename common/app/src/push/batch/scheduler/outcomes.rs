//! Records the outcomes of a round in the scheduler, the cached rows and the results.

use std::collections::{BTreeMap, HashMap, HashSet};

use tidemark_core::{
    model::{
        resource::ResourceKey,
        result::{ItemCode, ItemResult},
    },
    rules::{push::group::CarriedState, unique::UniqueKey},
};

use super::{
    super::{
        commit::Outcome,
        decide::DecidedGroup,
        results::{record_results, reject},
        rows::Rows,
    },
    Scheduler,
};

impl Scheduler<'_> {
    /// Records the outcomes of a round, which are in the order of its groups. A group whose attempt
    /// failed is pending again, or is given up.
    pub(in crate::push::batch) fn apply_outcomes(
        &mut self,
        round: Vec<DecidedGroup>,
        outcomes: Vec<Outcome>,
        rows: &mut Rows,
        results: &mut BTreeMap<usize, ItemResult>,
    ) {
        self.contention = 0;
        let mut failed: HashSet<ResourceKey> = HashSet::new();
        let mut retried = Vec::new();

        for (decided, outcome) in round.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Committed => {
                    self.apply_committed(decided, rows, results);
                    continue;
                }
                Outcome::Throttled => {
                    self.apply_throttled(decided, results);
                    continue;
                }
                Outcome::ConditionFailed => self.count_attempt(&decided.group.key),
                Outcome::UniqueHeld(mut held) => {
                    // A holder whose own write failed in this round may be about to free the value,
                    // so it does not count as a holder yet.
                    held.retain(|_, holder| !failed.contains(holder));
                    self.apply_held(&decided.group.key, held);
                }
            }
            failed.insert(decided.group.key.clone());
            retried.push(decided.group);
        }

        self.defer(retried);
        self.give_up(results);
    }

    /// Records the results of a decision that is stored. The remaining items of its resource are
    /// decided on the row that it wrote.
    fn apply_committed(
        &mut self,
        decided: DecidedGroup,
        rows: &mut Rows,
        results: &mut BTreeMap<usize, ItemResult>,
    ) {
        let DecidedGroup {
            group,
            decision,
            row,
        } = decided;
        record_results(results, decision.results.into_iter());
        self.holders
            .retain(|value, _| !decision.unique.frees.contains(value));

        let Some(rest) = self.pending.iter_mut().find(|rest| rest.key == group.key) else {
            return;
        };
        rest.carried = decision.carried;
        if !decision.conflicts.is_empty() {
            rows.needs_conflicts.insert(group.key.clone());
        }
        match decision.write {
            Some(write) => rows.put_written(&group.key, write.resource),
            None => rows.put_back(&group.key, row),
        }
    }

    /// Rejects the items of a decision that DynamoDB cannot store now. The remaining items of its
    /// resource follow failed items.
    fn apply_throttled(
        &mut self,
        decided: DecidedGroup,
        results: &mut BTreeMap<usize, ItemResult>,
    ) {
        let DecidedGroup {
            group, decision, ..
        } = decided;
        record_results(results, reject(&group, ItemCode::Unavailable));

        if let Some(rest) = self.pending.iter_mut().find(|rest| rest.key == group.key) {
            rest.carried = CarriedState {
                failed: Some(true),
                ..decision.carried
            };
        }
    }

    /// Records the holders of unique values that made an attempt fail. An attempt that reveals a
    /// new holder is not counted, because the next one is not a repetition of it.
    fn apply_held(&mut self, key: &ResourceKey, held: HashMap<UniqueKey, ResourceKey>) {
        let is_new = held.keys().any(|value| !self.holders.contains_key(value));
        self.holders.extend(held);

        if is_new && self.uncounted_left > 0 {
            self.uncounted_left -= 1;
        } else {
            self.count_attempt(key);
        }
    }

    /// Counts a failed attempt to write a resource.
    fn count_attempt(&mut self, key: &ResourceKey) {
        let attempts = self.attempts.entry(key.clone()).or_default();
        *attempts += 1;
        self.contention = self.contention.max(*attempts);
    }
}
