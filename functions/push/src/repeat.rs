//! A batch that is sent again (§3.6): how it was answered the first time, and what of that still
//! holds.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use tidemark_aws::{Context, Failure, tables::sync_batches::CompletedBatch};
use tidemark_core::{
    ids::BatchId,
    protocol::push::{ItemResult, PushRequest, Status},
    push::response,
    resource::ResourceKey,
};

/// How this batch was answered before; `None` for a batch that was not, or that the client gave no
/// id.
pub(crate) async fn load(
    context: &Context,
    tenant: &str,
    push: &PushRequest,
    batch_id: &BatchId,
    digest: &[u8],
) -> Result<Option<CompletedBatch<'static>>, Failure> {
    if push.batch_id.is_none() {
        return Ok(None);
    }
    context
        .tables
        .sync_batches
        .load(tenant, batch_id, digest)
        .await
}

/// Completes the results of the items `repeated`, which were given before. They are stored without
/// payloads: one that is current is read from its resource, and where the resource has moved on
/// since, the result says that its payload is omitted. `keys` names the resource of each item, as
/// far as the caller may use its channel.
///
/// One round trip, and none where every result is an error.
///
/// # Errors
/// An outage.
pub(crate) async fn complete(
    context: &Context,
    tenant: &str,
    keys: &BTreeMap<usize, ResourceKey>,
    repeated: &BTreeSet<usize>,
    results: &mut [ItemResult],
) -> Result<(), Failure> {
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
            .filter(|key| !loaded.unreadable.contains(*key));
        let current = key.map(|key| loaded.rows.get(key));
        response::complete_again(result, current, resolution);
    }
    Ok(())
}
