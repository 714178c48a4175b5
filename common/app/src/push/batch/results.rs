//! The results of the items of a batch, by index.

use std::collections::BTreeMap;

use tidemark_core::{
    model::result::{ItemCode, ItemResult, Rejection},
    rules::push::group::Group,
};

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
