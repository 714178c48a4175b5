//! What the stream of `conflicts` says of a decision.

use serde::Deserialize;
use tidemark_core::{conflict::ConflictStatus, protocol::notifications::ConflictResolved};

use super::{OutcomeRow, keys};
use crate::failure::Failure;

/// As much of a row as tells whether it is a conflict that was decided. The parts of a conflict
/// have no status.
#[derive(Debug, Deserialize)]
struct StatusRow {
    sk: String,
    status: Option<String>,
    /// Other conflicts were opened since: what this change wrote is where they stand, and the
    /// decision was told before.
    #[serde(default)]
    followed: bool,
}

#[derive(Debug, Deserialize)]
struct ResolvedRow {
    pk: String,
    id: String,
    user: String,
    device_id: String,
    channel: String,
    resource_type: String,
    resource_id: String,
    outcome: OutcomeRow,
}

/// What a row of the table tells, as a change left it; `None` where that is no decided conflict. A
/// decision is the last change of a conflict: edits join, and outcomes are given, only while it is
/// open. What the row says of later conflicts may change after it.
///
/// # Errors
/// The row does not read.
pub(crate) fn decided(row: serde_dynamo::Item) -> Result<Option<ConflictResolved>, Failure> {
    let unreadable = |error: serde_dynamo::Error| Failure::unreadable("conflict", error);
    let StatusRow {
        sk,
        status,
        followed,
    } = serde_dynamo::from_item(row.clone()).map_err(unreadable)?;
    if followed || status.as_deref() != Some(ConflictStatus::Resolved.as_str()) {
        return Ok(None);
    }
    let slot = keys::slot_of(&sk).ok_or_else(|| Failure::unreadable("key of a conflict", &sk))?;
    let row: ResolvedRow = serde_dynamo::from_item(row).map_err(unreadable)?;
    let outcome = row.outcome.read()?;
    Ok(Some(ConflictResolved {
        conflict_id: row.id,
        tenant: keys::tenant_of(&row.pk, slot)?,
        user: row.user,
        device_id: row.device_id,
        channel: row.channel,
        resource_type: row.resource_type,
        resource_id: row.resource_id,
        resolution: outcome.resolution,
        resolved_by: outcome.resolved_by,
        resolved_at: outcome.resolved_at,
        server_version: outcome.server_version,
    }))
}
