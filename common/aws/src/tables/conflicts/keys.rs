//! Keys of the rows of conflicts.

use tidemark_core::model::{
    conflict::{ConflictSlot, ConflictStatus},
    ids::ConflictId,
    json, key,
    limits::CONFLICT_SHARDS,
};

use crate::{
    error::Error,
    tables::{Row, key as row_key},
};

/// Prefix of the keys of conflicts. Keys of legacy conflicts begin with `conf-`, and their
/// partition is the tenant alone, so that rows of both kinds cannot be confused for any tenant
/// name.
const CONFLICT: &str = "c#";
/// Prefix of the keys of payloads that are stored in rows of their own.
const PART: &str = "p#";
/// Sort key of the counter of the conflicts that a device opened. Resolutions do not decrease it.
pub(super) const COUNT: &str = "count";

/// Returns the partition of a device's conflicts.
pub(super) fn partition(tenant: &str, device: &str) -> String {
    key::join([tenant, device])
}

/// Returns the key of the first conflict of a device about a resource.
pub(super) fn first(tenant: &str, device: &str, resource: &str) -> Row {
    row_key(partition(tenant, device), format!("{CONFLICT}{resource}"))
}

/// Returns the key of the row that contains the conflict `id`.
pub(super) fn of(tenant: &str, id: &str, slot: ConflictSlot) -> Result<Row, Error> {
    let ConflictId {
        device,
        resource,
        edit,
    } = parse(id)?;
    Ok(match slot {
        ConflictSlot::First => first(tenant, device, resource),
        ConflictSlot::Own => row_key(
            partition(tenant, device),
            format!("{CONFLICT}{resource}#{edit}"),
        ),
        ConflictSlot::Legacy => row_key(tenant, id),
    })
}

/// Returns the keys of all rows that may contain the conflict `id`.
pub(super) fn candidates(tenant: &str, id: &str) -> Result<[Row; 3], Error> {
    Ok([
        of(tenant, id, ConflictSlot::First)?,
        of(tenant, id, ConflictSlot::Own)?,
        of(tenant, id, ConflictSlot::Legacy)?,
    ])
}

/// Returns the kind of row with this sort key; `None` if it is not the key of a conflict.
pub(super) fn slot_of(sort_key: &str) -> Option<ConflictSlot> {
    match sort_key.strip_prefix(CONFLICT) {
        Some(rest) if rest.contains('#') => Some(ConflictSlot::Own),
        Some(_) => Some(ConflictSlot::First),
        None => sort_key
            .starts_with("conf-")
            .then_some(ConflictSlot::Legacy),
    }
}

/// Returns the tenant of a row from its partition.
pub(super) fn tenant_of(partition: &str, slot: ConflictSlot) -> Result<String, Error> {
    if slot == ConflictSlot::Legacy {
        return Ok(partition.to_owned());
    }
    let [tenant, _] = key::split(partition)
        .ok_or_else(|| Error::unreadable("partition of a conflict", partition))?;
    Ok(tenant)
}

/// Returns the sort key of a row that holds payloads of the conflict `id`.
pub(super) fn part(id: &str, name: &str) -> Result<String, Error> {
    let ConflictId { resource, edit, .. } = parse(id)?;
    Ok(format!("{PART}{resource}#{edit}#{name}"))
}

/// Returns the partition of the conflict `id` in the index by status.
pub(super) fn status_key(
    tenant: &str,
    id: &str,
    slot: ConflictSlot,
    status: ConflictStatus,
) -> Result<String, Error> {
    Ok(match slot {
        ConflictSlot::Legacy => legacy_status_key(tenant, status),
        _ => shard_key(tenant, status, shard(parse(id)?.device)),
    })
}

/// Returns the partition of a shard of a tenant's conflicts in the index by status.
pub(super) fn shard_key(tenant: &str, status: ConflictStatus, shard: u8) -> String {
    key::join([tenant, status.as_str(), &shard.to_string()])
}

/// Returns the partition of legacy conflicts in the index by status.
pub(super) fn legacy_status_key(tenant: &str, status: ConflictStatus) -> String {
    key::join([tenant, status.as_str()])
}

/// Returns the shard that contains a device's conflicts.
pub(super) fn shard(device: &str) -> u8 {
    json::digest([device])[0] % CONFLICT_SHARDS
}

/// Parses the id of a conflict. The ids that clients send are checked before, and the ids of new
/// conflicts are derived, so a malformed id comes from a stored item.
pub(super) fn parse(id: &str) -> Result<ConflictId<'_>, Error> {
    ConflictId::parse(id).ok_or_else(|| Error::unreadable("id of a conflict", id))
}
