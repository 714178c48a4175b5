//! Reads resolutions of conflicts from the stream of `conflicts`.

use serde::Deserialize;
use tidemark_core::{model::conflict::ConflictStatus, wire::notifications::ConflictResolved};

use super::{OutcomeRow, keys};
use crate::error::Error;

/// The attributes that determine whether a row is a resolved conflict. The parts of a conflict have
/// no status.
#[derive(Debug, Deserialize)]
struct StatusRow {
    sk: String,
    status: Option<String>,
    /// Set if a later conflict was opened and recorded in this row. The change then only updated
    /// the neighbors, and the resolution has been published already.
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

/// Returns the resolution that a changed row records; `None` if the row is not a resolved conflict
/// or changed for another reason. The resolution is the last change of a conflict itself: edits
/// join and outcomes are written only while it is open. Only the references to later conflicts may
/// change afterwards.
///
/// # Errors
/// Returns `Error::Corrupt` if the row cannot be decoded.
pub(crate) fn read_resolution(row: serde_dynamo::Item) -> Result<Option<ConflictResolved>, Error> {
    let unreadable = |error: serde_dynamo::Error| Error::unreadable("conflict", error);
    let StatusRow {
        sk,
        status,
        followed,
    } = serde_dynamo::from_item(row.clone()).map_err(unreadable)?;

    if followed || status.as_deref() != Some(ConflictStatus::Resolved.as_str()) {
        return Ok(None);
    }

    let slot = keys::slot_of(&sk).ok_or_else(|| Error::unreadable("key of a conflict", &sk))?;
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
