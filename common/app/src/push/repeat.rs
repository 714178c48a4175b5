//! A repeated batch (§3.6): selects the results of the first request that are final, and updates
//! the parts that may have changed since. [`crate::push`] lists all levels of deduplication.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use tidemark_aws::{Context, Error, tables::sync_batches::CompletedBatch};
use tidemark_core::{
    model::{
        resource::ResourceKey,
        result::{ItemResult, Status},
    },
    rules::push::response,
};

/// Returns the final results of an earlier request by index. Items with a retryable result are
/// decided again.
pub(super) fn final_results(earlier: CompletedBatch<'_>) -> BTreeMap<usize, ItemResult> {
    earlier
        .results
        .into_owned()
        .into_iter()
        .filter(|result| !result.is_retryable())
        .map(|result| (result.index, result))
        .collect()
}

/// Completes the stored results of the items `repeated`. Results are stored without payloads: a
/// payload that is still current is read from its resource. If the resource has changed since, the
/// result states that its payload is omitted. `keys` contains the resource of each item whose
/// channel the caller may access.
///
/// Costs one round trip, or none if every result is an error.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if the row of a
/// conflict cannot be decoded.
pub(super) async fn complete(
    context: &Context,
    tenant: &str,
    keys: &BTreeMap<usize, ResourceKey>,
    repeated: &BTreeSet<usize>,
    results: &mut [ItemResult],
) -> Result<(), Error> {
    let is_about_a_resource =
        |result: &ItemResult| result.status == Status::Ok || response::is_about_content(result);
    let mut results: Vec<&mut ItemResult> = results
        .iter_mut()
        .filter(|result| repeated.contains(&result.index) && is_about_a_resource(result))
        .collect();
    if results.is_empty() {
        return Ok(());
    }

    let wanted: HashSet<&ResourceKey> = results
        .iter()
        .filter_map(|result| keys.get(&result.index))
        .collect();
    let conflicts = results
        .iter()
        .filter(|result| result.resolution.is_none())
        .filter_map(|result| result.conflict_id.clone());
    let tables = &context.tables;

    let (loaded, resolutions) = tokio::try_join!(
        tables.resources.load(tenant, wanted),
        tables.conflicts.resolutions(tenant, conflicts.collect())
    )?;

    for result in &mut results {
        let resolution = result
            .conflict_id
            .as_ref()
            .and_then(|id| resolutions.get(id))
            .copied();
        let key = keys
            .get(&result.index)
            .filter(|key| !loaded.unreadable.contains(*key))
            // An admin may have corrected the id of the item, so that it is about another resource.
            .filter(|key| {
                result.correction.is_none() || result.server_id.as_ref() == Some(&key.id)
            });
        let current = key.map(|key| loaded.rows.get(key));
        response::complete_repeated(result, current, resolution);
    }
    Ok(())
}
