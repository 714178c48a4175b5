//! A batch that is sent again (§3.6): how it was answered the first time.

use tidemark_aws::{Failure, Platform, tables::sync_batches::AnsweredBatch};
use tidemark_core::{
    principal::Principal,
    protocol::push::{ItemResult, PushRequest},
};

/// How this batch was answered before; `None` for a batch that was not, or that the client gave no id.
pub(crate) async fn load(
    platform: &Platform,
    principal: &Principal,
    push: &PushRequest,
    batch_id: &str,
) -> Result<Option<AnsweredBatch>, Failure> {
    if push.batch_id.is_none() {
        return Ok(None);
    }
    let Some(mut answered) = platform.tables.sync_batches.load(principal, &push.device_id, batch_id).await? else {
        return Ok(None);
    };
    let payloads = answered.results.iter_mut().map(|result| restore_payload(platform, principal, result));
    futures_util::future::try_join_all(payloads).await?;
    Ok(Some(answered))
}

/// Results are stored without payloads: a conflict's stands in the conflict, unless a later edit joined it on a newer version.
async fn restore_payload(platform: &Platform, principal: &Principal, result: &mut ItemResult) -> Result<(), Failure> {
    let Some(id) = &result.conflict_id else { return Ok(()) };
    let conflict = platform.tables.conflicts.get(&principal.tenant, id).await?;
    if let Some(conflict) =
        conflict.filter(|conflict| Some(conflict.server_version) == result.server_version && !conflict.server_deleted)
    {
        result.server_payload = Some(conflict.server_payload);
        result.server_payload_omitted = false;
    }
    Ok(())
}
