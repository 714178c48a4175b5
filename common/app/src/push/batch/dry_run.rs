//! A dry run (§7): determines the results of a batch and writes nothing. Unique values are looked
//! up, whereas a real run attempts the transaction.

use std::collections::{HashMap, HashSet};

use tidemark_aws::Error;
use tidemark_core::{model::resource::ResourceKey, rules::unique::UniqueKey};

use super::{commit::Outcome, decide::DecidedGroup, rounds::BatchRun};

impl BatchRun<'_> {
    /// Returns the outcomes that committing the round would have. Adds the unique values that it
    /// would claim to `holders`, and the values that it would free to `freed`.
    pub(super) async fn simulate(
        &self,
        round: &[DecidedGroup],
        holders: &mut HashMap<UniqueKey, ResourceKey>,
        freed: &mut HashSet<UniqueKey>,
    ) -> Result<Vec<Outcome>, Error> {
        let claims: Vec<UniqueKey> = round
            .iter()
            .flat_map(|decided| &decided.decision.unique.claims)
            .cloned()
            .collect();
        let unknown: Vec<UniqueKey> = claims
            .into_iter()
            .filter(|key| !holders.contains_key(key))
            .collect();
        let current_holders = self.context.tables.unique_keys.holders(&unknown).await?;

        let mut outcomes = Vec::with_capacity(round.len());
        for DecidedGroup {
            group, decision, ..
        } in round
        {
            let by_others = |key: &&UniqueKey| {
                !freed.contains(*key)
                    && current_holders
                        .get(*key)
                        .is_some_and(|holder| *holder != group.key)
            };

            let taken: HashMap<_, _> = decision
                .unique
                .claims
                .iter()
                .filter(by_others)
                .filter_map(|key| Some((key.clone(), current_holders.get(key)?.clone())))
                .collect();

            if taken.is_empty() {
                freed.extend(decision.unique.frees.iter().cloned());
                holders.retain(|key, _| !decision.unique.frees.contains(key));
                holders.extend(
                    decision
                        .unique
                        .claims
                        .iter()
                        .map(|key| (key.clone(), group.key.clone())),
                );
                outcomes.push(Outcome::Committed);
            } else {
                outcomes.push(Outcome::UniqueHeld(taken));
            }
        }

        Ok(outcomes)
    }
}
