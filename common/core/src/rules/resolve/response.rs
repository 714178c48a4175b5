//! The response to a resolve request.

use crate::{
    model::{
        conflict::{Conflict, ConflictOutcome, ConflictStatus},
        resource::Resource,
    },
    wire::resolve::ResolveResponse,
};

/// Returns the response to a resolve request: the `outcome` of `conflict`, whose resource is now
/// `current`. A repeated request returns the first outcome. The resource's content is included only
/// if its version is still that of the outcome.
pub fn response(
    conflict: Conflict,
    outcome: ConflictOutcome,
    current: Option<Resource>,
) -> ResolveResponse {
    let version = current
        .as_ref()
        .map_or(0, |resource| resource.server_version);
    let unchanged = current.filter(|_| version == outcome.server_version);

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
        server_deleted: unchanged.as_ref().is_some_and(|resource| resource.deleted),
        server_payload_omitted: unchanged.is_none() && outcome.server_version > 0,
        server_payload: unchanged.map(|resource| resource.payload),
    }
}
