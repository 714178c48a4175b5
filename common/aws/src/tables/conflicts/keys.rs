//! Where the rows of conflicts stand.

use tidemark_core::{
    conflict::{ConflictSlot, ConflictStatus},
    ids::ConflictId,
    json, key,
    limits::CONFLICT_SHARDS,
};

use crate::{
    failure::Failure,
    tables::{Row, key as row_key},
};

/// What the keys of conflicts begin with. Those of earlier builds begin with `conf-`, whose
/// partitions are named by the tenant alone: no row of one kind is taken for one of the other,
/// whatever tenants are called.
const CONFLICT: &str = "c#";
/// What the keys of payloads apart begin with.
const PART: &str = "p#";
/// The key of the count of a device's open conflicts.
pub(super) const COUNT: &str = "count";

/// The partition of a device's conflicts.
pub(super) fn partition(tenant: &str, device: &str) -> String {
    key::join([tenant, device])
}

/// The key of the first conflict of a device about a resource.
pub(super) fn first(tenant: &str, device: &str, resource: &str) -> Row {
    row_key(partition(tenant, device), format!("{CONFLICT}{resource}"))
}

/// The key of the row that the conflict `id` stands in.
pub(super) fn of(tenant: &str, id: &str, slot: ConflictSlot) -> Result<Row, Failure> {
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

/// The keys of all rows that the conflict `id` may stand in.
pub(super) fn candidates(tenant: &str, id: &str) -> Result<[Row; 3], Failure> {
    Ok([
        of(tenant, id, ConflictSlot::First)?,
        of(tenant, id, ConflictSlot::Own)?,
        of(tenant, id, ConflictSlot::Legacy)?,
    ])
}

/// Which kind of row has this sort key; `None` for one that is no conflict's.
pub(super) fn slot_of(sort_key: &str) -> Option<ConflictSlot> {
    match sort_key.strip_prefix(CONFLICT) {
        Some(rest) if rest.contains('#') => Some(ConflictSlot::Own),
        Some(_) => Some(ConflictSlot::First),
        None => sort_key
            .starts_with("conf-")
            .then_some(ConflictSlot::Legacy),
    }
}

/// Whose a row is.
pub(super) fn tenant_of(partition: &str, slot: ConflictSlot) -> Result<String, Failure> {
    if slot == ConflictSlot::Legacy {
        return Ok(partition.to_owned());
    }
    let [tenant, _] = key::split(partition)
        .ok_or_else(|| Failure::unreadable("partition of a conflict", partition))?;
    Ok(tenant)
}

/// The sort key of payloads of the conflict `id` that stand apart.
pub(super) fn part(id: &str, name: &str) -> Result<String, Failure> {
    let ConflictId { resource, edit, .. } = parse(id)?;
    Ok(format!("{PART}{resource}#{edit}#{name}"))
}

/// The partition of the index by status that the conflict `id` stands in.
pub(super) fn status_key(
    tenant: &str,
    id: &str,
    slot: ConflictSlot,
    status: ConflictStatus,
) -> Result<String, Failure> {
    Ok(match slot {
        ConflictSlot::Legacy => legacy_status_key(tenant, status),
        _ => shard_key(tenant, status, shard(parse(id)?.device)),
    })
}

/// The partition of the index by status that this shard of a tenant's conflicts stands in.
pub(super) fn shard_key(tenant: &str, status: ConflictStatus, shard: u8) -> String {
    key::join([tenant, status.as_str(), &shard.to_string()])
}

/// The partition of the index by status that conflicts of earlier builds stand in.
pub(super) fn legacy_status_key(tenant: &str, status: ConflictStatus) -> String {
    key::join([tenant, status.as_str()])
}

/// The shard of a device's conflicts.
pub(super) fn shard(device: &str) -> u8 {
    json::digest([device])[0] % CONFLICT_SHARDS
}

pub(super) fn parse(id: &str) -> Result<ConflictId<'_>, Failure> {
    ConflictId::parse(id).ok_or_else(|| Failure::unreadable("id of a conflict", id))
}
