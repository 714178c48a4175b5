//! A dry run (§7): what would happen, with nothing written. Whether a unique value is free is
//! looked up, where a real run tries.

use std::collections::{HashMap, HashSet};

use tidemark_core::{resource::ResourceKey, unique::UniqueKey};

use super::{
    commit::Outcome,
    waves::{Decided, Waves},
};
use crate::failure::Failure;

impl Waves<'_> {
    /// What committing the wave would come to. `holders` learns who would hold the unique values
    /// afterwards, `freed` which are held no longer.
    pub(super) async fn foresee(
        &self,
        wave: &[Decided],
        holders: &mut HashMap<UniqueKey, ResourceKey>,
        freed: &mut HashSet<UniqueKey>,
    ) -> Result<Vec<Outcome>, Failure> {
        let claims: Vec<UniqueKey> = wave
            .iter()
            .flat_map(|decided| &decided.decision.unique.claims)
            .cloned()
            .collect();
        let unknown: Vec<UniqueKey> = claims
            .into_iter()
            .filter(|key| !holders.contains_key(key))
            .collect();
        let standing = self.platform.tables.unique_keys.holders(&unknown).await?;
        let mut outcomes = Vec::with_capacity(wave.len());
        for Decided {
            group, decision, ..
        } in wave
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
                outcomes.push(Outcome::Written);
            } else {
                outcomes.push(Outcome::Lost(taken));
            }
        }
        Ok(outcomes)
    }
}
