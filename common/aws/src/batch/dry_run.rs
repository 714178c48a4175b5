//! A dry run (§7): what would happen, with nothing written. Whether a unique value is free is
//! looked up, where a real run tries.

use std::collections::{HashMap, HashSet};

use tidemark_core::{resource::ResourceKey, unique::UniqueKey};

use super::{
    commit::CommitOutcome,
    rounds::{DecidedGroup, Rounds},
};
use crate::failure::Failure;

impl Rounds<'_> {
    /// What committing the wave would come to. `holders` learns who would hold the unique values
    /// afterwards, `freed` which are held no longer.
    pub(super) async fn simulate(
        &self,
        round: &[DecidedGroup],
        holders: &mut HashMap<UniqueKey, ResourceKey>,
        freed: &mut HashSet<UniqueKey>,
    ) -> Result<Vec<CommitOutcome>, Failure> {
        let claims: Vec<UniqueKey> = round
            .iter()
            .flat_map(|decided| &decided.decision.unique.claims)
            .cloned()
            .collect();
        let unknown: Vec<UniqueKey> = claims
            .into_iter()
            .filter(|key| !holders.contains_key(key))
            .collect();
        let standing = self.context.tables.unique_keys.holders(&unknown).await?;
        let mut outcomes = Vec::with_capacity(round.len());
        for DecidedGroup {
            group, decision, ..
        } in round
        {
            let by_others = |key: &&UniqueKey| {
                !freed.contains(*key)
                    && standing
                        .get(*key)
                        .is_some_and(|holder| *holder != group.key)
            };
            let taken: HashMap<_, _> = decision
                .unique
                .claims
                .iter()
                .filter(by_others)
                .filter_map(|key| Some((key.clone(), standing.get(key)?.clone())))
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
                outcomes.push(CommitOutcome::Written);
            } else {
                outcomes.push(CommitOutcome::Lost(taken));
            }
        }
        Ok(outcomes)
    }
}
