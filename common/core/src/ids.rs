//! Ids that follow from what they name (§3.1, §5), so that a retry finds its first self and no lookup table is needed.

use uuid::Uuid;

use crate::{channel::Channel, json, principal::Author, resource::ResourceKey};

/// The id of a create that names none: derived from (tenant, channel, user, device, type, client_temp_id).
pub fn derived_resource(
    prefix: &str,
    tenant: &str,
    channel: &Channel,
    author: &Author,
    resource_type: &str,
    client_temp_id: &str,
) -> String {
    let parts = ["resource", tenant, &channel.to_string(), author.as_str(), resource_type, client_temp_id];
    format!("{prefix}-{}", derive(&parts).simple())
}

/// The server's id of a batch that came with the client's `batch_id`; it names tenant, user and device too (§3.6).
pub fn derived_batch(tenant: &str, author: &Author, batch_id: &str) -> String {
    format!("batch-{}", derive(&["batch", tenant, author.as_str(), batch_id]).simple())
}

/// The id of a batch that came without one.
pub fn fresh_batch(unique: Uuid) -> String {
    format!("batch-{}", unique.simple())
}

/// What the ids of all conflicts of one device about one resource begin with.
pub fn conflict_prefix(tenant: &str, resource: &ResourceKey, author: &Author) -> String {
    let parts = ["conflict", tenant, &resource.channel.to_string(), &resource.resource_type, &resource.id, author.as_str()];
    format!("conf-{}-", derive(&parts).simple())
}

/// A name-based UUID over the parts, none of which can run into its neighbour.
fn derive(parts: &[&str]) -> Uuid {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &json::digest(&parts))
}
