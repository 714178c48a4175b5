//! A batch that is sent again (§3.6): how it was answered the first time.

use std::collections::{BTreeSet, HashMap};

use tidemark_aws::{Failure, Platform, tables::sync_batches::AnsweredBatch};
use tidemark_core::{
    ids::BatchId,
    json::Json,
    protocol::push::{ItemResult, PushRequest},
};

/// How this batch was answered before; `None` for a batch that was not, or that the client gave no id.
pub(crate) async fn load(
    platform: &Platform,
    tenant: &str,
    push: &PushRequest,
    batch_id: &BatchId,
    digest: &[u8],
) -> Result<Option<AnsweredBatch<'static>>, Failure> {
    if push.batch_id.is_none() {
        return Ok(None);
    }
    let Some(mut answered) = platform.tables.sync_batches.load(tenant, batch_id, digest).await? else {
        return Ok(None);
    };
    let ids: BTreeSet<String> = answered.results.iter().filter_map(|result| result.conflict_id.clone()).collect();
    let payloads = platform.tables.conflicts.server_payloads(tenant, ids.into_iter().collect()).await?;
    for result in answered.results.to_mut() {
        restore_payload(result, &payloads);
    }
    Ok(Some(answered))
}

/// Results are stored without payloads: a conflict's stands in the conflict, unless a later edit joined it on a newer version.
fn restore_payload(result: &mut ItemResult, payloads: &HashMap<String, (u64, Json)>) {
    let Some((version, payload)) = result.conflict_id.as_ref().and_then(|id| payloads.get(id)) else { return };
    if Some(*version) == result.server_version {
        result.server_payload = Some(payload.clone());
        result.server_payload_omitted = false;
    }
}
