//! What an admin is told of a decision.

use crate::{
    conflict::{Conflict, ConflictOutcome, ConflictStatus},
    protocol::resolve::ResolveResponse,
    resource::Resource,
};

/// The answer to a decision: `outcome` of `conflict`, whose resource is `current` by now. A
/// repeated decision is answered with the first outcome; what the resource held then is told only
/// while it still does.
pub fn response(
    conflict: Conflict,
    outcome: ConflictOutcome,
    current: Option<Resource>,
) -> ResolveResponse {
    let version = current
        .as_ref()
        .map_or(0, |resource| resource.server_version);
    let stands = current.filter(|_| version == outcome.server_version);
    ResolveResponse {
        id: conflict.id,
        status: ConflictStatus::Resolved,
        resolution: outcome.resolution,
        resolved_by: outcome.resolved_by,
        resolved_at: outcome.resolved_at,
        note: outcome.note,
        resource_type: conflict.resource.resource_type,
        resource_id: conflict.resource.id,
        channel: conflict.resource.channel.to_string(),
        server_version: outcome.server_version,
        server_deleted: stands.as_ref().is_some_and(|resource| resource.deleted),
        server_payload_omitted: stands.is_none() && outcome.server_version > 0,
        server_payload: stands.map(|resource| resource.payload),
    }
}
