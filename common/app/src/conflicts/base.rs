//! Finds the base of a conflict (§5.1): in its edits, in the conflict itself, or in the change log.

use tidemark_aws::{Context, Error};
use tidemark_core::{
    model::{
        conflict::{BaseSource, Conflict, ConflictBase},
        json::Json,
        limits::BASE_SEGMENTS_MAX,
        position::Position,
        principal::Principal,
        resource::ResourceKey,
    },
    rules::base::{BaseScan, from_edits, scan, version},
};

use crate::delivery::ReadAllowance;

/// Returns the base of a conflict that the caller may read; `None` if it is unknown.
///
/// The log is read only for a caller who may read the channel: the user who made the edits may have
/// left its group since.
///
/// A segment that cannot be decoded is logged and counted, and the base is unknown: a decision about
/// the conflict does not need it.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable.
pub(super) async fn base(
    context: &Context,
    principal: &Principal,
    conflict: &Conflict,
    allowance: &ReadAllowance,
) -> Result<Option<ConflictBase>, Error> {
    if let Some(payload) = from_edits(&conflict.edits) {
        let source = BaseSource::Device;
        return Ok(Some(ConflictBase { payload, source }));
    }
    let Some(version) = version(conflict) else {
        return Ok(None);
    };

    let payload = if version == conflict.server_version {
        let payload = conflict.server_payload.clone();
        payload.filter(|_| !conflict.server_deleted)
    } else if principal.may_read(&conflict.resource.channel) {
        let found = in_log(context, principal, &conflict.resource, version, allowance).await;
        known(context, &conflict.id, found)?
    } else {
        None
    };

    let source = BaseSource::Log;
    Ok(payload.map(|payload| ConflictBase { payload, source }))
}

/// Returns what a search of the log found; `None` if a row of the log cannot be decoded, which is
/// logged and counted.
fn known(
    context: &Context,
    conflict_id: &str,
    found: Result<Option<Json>, Error>,
) -> Result<Option<Json>, Error> {
    match found {
        Err(failure @ Error::Corrupt { .. }) => {
            tracing::error!(%failure, conflict_id, "base of a conflict cannot be decoded");
            context.meter.count_failure(&failure);
            Ok(None)
        }
        found => found,
    }
}

/// Returns the payload of a version from the change log. Reads at most [`BASE_SEGMENTS_MAX`]
/// segments back from the head, and the bytes of `allowance`.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if the head or a
/// segment cannot be decoded.
async fn in_log(
    context: &Context,
    principal: &Principal,
    resource: &ResourceKey,
    version: u64,
    allowance: &ReadAllowance,
) -> Result<Option<Json>, Error> {
    if allowance.is_exhausted() {
        return Ok(None);
    }
    let changes = &context.tables.changes;
    let scope = principal.scope(&resource.channel);
    let heads = changes.heads(std::slice::from_ref(&scope)).await?;
    let mut end = heads
        .into_iter()
        .flatten()
        .next()
        .map_or(Position::START, |head| head.position);

    let mut segments_left = BASE_SEGMENTS_MAX;
    while segments_left > 0 && end != Position::START && !allowance.is_exhausted() {
        let limit = i32::try_from(segments_left).unwrap_or(i32::MAX);
        let read = changes.packed_segments_back(&scope, end, limit).await?;
        if read.is_empty() {
            break; // older segments have expired
        }

        segments_left = segments_left.saturating_sub(read.len());
        for packed in read {
            let segment = packed.unpack()?.segment;
            allowance.spend(segment.bytes());
            match scan(&segment, resource, version) {
                BaseScan::Found(payload) => return Ok(Some(payload)),
                BaseScan::Absent => return Ok(None),
                BaseScan::Continue(before) => end = before,
            }
            if allowance.is_exhausted() {
                break;
            }
        }
    }
    Ok(None)
}
