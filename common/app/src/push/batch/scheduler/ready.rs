//! Selects the groups whose references can be replaced (§3.10).

use std::collections::{BTreeMap, HashMap};

use tidemark_core::{
    model::{resource::ResourceKey, result::ItemResult},
    rules::push::{
        group::Group,
        references::{any, is_ready, replace},
    },
};

use super::Scheduler;

impl Scheduler<'_> {
    /// Returns the resources of the groups that do not wait for a create of this batch. Their rows
    /// must be cached when [`Self::next_round`] is called.
    pub(in crate::push::batch) fn ready_keys(
        &self,
        results: &BTreeMap<usize, ItemResult>,
    ) -> impl Iterator<Item = &ResourceKey> {
        let groups = self.pending.iter().zip(self.ready(results));
        groups.filter_map(|(group, is_ready)| is_ready.then_some(&group.key))
    }

    /// Returns whether each pending group is ready: every create of the batch that it references
    /// has a result. Breaks reference cycles: if no group is ready, the first one is, and its
    /// references are replaced with the ids that the creates request.
    fn ready(&self, results: &BTreeMap<usize, ItemResult>) -> Vec<bool> {
        let groups = self.pending.iter();
        let mut ready: Vec<bool> = groups.map(|group| is_ready(group, results)).collect();

        if !ready.contains(&true)
            && let Some(first) = ready.first_mut()
        {
            *first = true;
        }
        ready
    }

    /// Takes the pending groups. Returns the ready groups, with their references replaced, and the
    /// groups that wait for a create of this batch.
    pub(super) fn take_ready(
        &mut self,
        results: &BTreeMap<usize, ItemResult>,
    ) -> (Vec<Group>, Vec<Group>) {
        let ready = self.ready(results);
        let groups = std::mem::take(&mut self.pending);
        if !any(&groups) {
            return (groups, Vec::new());
        }

        let ids: HashMap<usize, String> = groups
            .iter()
            .flat_map(|group| group.indexes().map(|index| (index, group.key.id.clone())))
            .collect();
        let id_of = |index| ids.get(&index).cloned();

        let (mut now, mut waiting) = (Vec::with_capacity(groups.len()), Vec::new());
        for (group, is_ready) in groups.into_iter().zip(ready) {
            if is_ready {
                now.push(replace(group, results, &self.earlier, id_of));
            } else {
                waiting.push(group);
            }
        }
        (now, waiting)
    }
}
