//! The conflicts of devices, as far as counting them needs it: from the index by status, the newest
//! of a tenant, in one read for all devices of a page.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::try_join_all;
use tidemark_core::{
    channel::Channel,
    conflict::{ConflictOutcome, ConflictStatus},
    ids,
    limits::{DEVICE_CONFLICTS_MAX, DEVICE_DECISIONS_MAX, OPEN_LISTED_MAX},
    principal::Author,
    resource::ResourceKey,
};

use super::{
    Conflicts, OutcomeRow, keys,
    list::{IndexEntry, IndexOrder},
    row::StoredRow,
};
use crate::{
    failure::Failure,
    tables::{Row, from_row, key as row_key},
};

/// A decision about a conflict of a device.
#[derive(Debug, Clone)]
pub struct DeviceConflict {
    /// What it is about.
    pub resource: ResourceKey,
    /// How it ended.
    pub outcome: ConflictOutcome,
}

/// The newest conflicts of a device.
#[derive(Debug, Clone, Default)]
pub struct NewestConflicts {
    /// How many of them are open.
    pub open: usize,
    /// Those that are decided.
    pub decided: Vec<DeviceConflict>,
    /// Whether there may be older ones.
    pub has_more: bool,
}

impl Conflicts {
    /// The newest conflicts of each of these devices (user, device), in their order. They are found
    /// among the newest of the shards of the tenant's conflicts that the devices are in: at most
    /// [`OPEN_LISTED_MAX`] open ones and [`DEVICE_CONFLICTS_MAX`] decided ones of each shard, and
    /// of those of earlier builds, [`DEVICE_DECISIONS_MAX`] decided ones in all. The index may lag
    /// behind by a moment.
    ///
    /// # Errors
    /// An outage.
    pub async fn newest_of_devices(
        &self,
        tenant: &str,
        devices: &[(&str, &str)],
    ) -> Result<Vec<NewestConflicts>, Failure> {
        let hash = |(user, device_id): &(&str, &str)| {
            ids::conflict_device(tenant, &Author::device(user, device_id))
        };
        let hashes: Vec<String> = devices.iter().map(hash).collect();
        let shards: BTreeSet<u8> = hashes.iter().map(|hash| keys::shard(hash)).collect();
        let places = |status: ConflictStatus| {
            let sharded = shards
                .iter()
                .map(move |shard| keys::shard_key(tenant, status, *shard));
            sharded.chain([keys::legacy_status_key(tenant, status)])
        };
        let read = |status: ConflictStatus, limit: usize| {
            let legacy = keys::legacy_status_key(tenant, status);
            // Those of earlier builds do not say in their keys whose they are: each has to be read.
            let limit = move |shard: &String| {
                if *shard == legacy {
                    limit.min(DEVICE_CONFLICTS_MAX)
                } else {
                    limit
                }
            };
            let reads = places(status).map(move |shard| {
                let limit = limit(&shard);
                self.indexed(tenant, shard, IndexOrder::Newest, None, limit)
            });
            try_join_all(reads)
        };
        let (open, decided) = tokio::try_join!(
            read(ConflictStatus::Open, OPEN_LISTED_MAX),
            read(ConflictStatus::Resolved, DEVICE_CONFLICTS_MAX)
        )?;
        let mut newest = vec![NewestConflicts::default(); devices.len()];
        let places: HashMap<String, usize> = hashes
            .iter()
            .enumerate()
            .map(|(index, hash)| (keys::partition(tenant, hash), index))
            .collect();
        let is_cut: Vec<bool> = open
            .iter()
            .zip(&decided)
            .map(|((_, open), (_, decided))| *open || *decided)
            .collect();
        let order: Vec<Option<u8>> = shards
            .iter()
            .map(|shard| Some(*shard))
            .chain([None])
            .collect();
        for (shard, is_cut) in order.iter().zip(is_cut) {
            let of_shard = |hash: &String| shard.is_none_or(|shard| keys::shard(hash) == shard);
            let cut = newest
                .iter_mut()
                .zip(&hashes)
                .filter(|(_, hash)| of_shard(hash));
            cut.for_each(|(newest, _)| newest.has_more |= is_cut);
        }
        let (mine, legacy) = of_these(
            open.into_iter().flat_map(|(entries, _)| entries),
            tenant,
            &places,
        );
        mine.iter().for_each(|(index, _)| newest[*index].open += 1);
        let (mut mine, more_legacy) = of_these(
            decided.into_iter().flat_map(|(entries, _)| entries),
            tenant,
            &places,
        );
        mine.sort_by(|(_, one), (_, other)| other.cmp(one));
        for (index, _) in mine.drain(DEVICE_DECISIONS_MAX.min(mine.len())..) {
            newest[index].has_more = true;
        }
        let entries = mine
            .into_iter()
            .map(|(_, entry)| entry)
            .chain(legacy)
            .chain(more_legacy);
        let rows = self
            .0
            .batch_get_as(entries.map(|it| row_key(it.pk, it.sk)).collect(), false)
            .await?;
        for row in rows
            .into_iter()
            .filter_map(|row| read_row(row, devices, &places))
        {
            match row {
                (index, Some(decided)) => newest[index].decided.push(decided),
                (index, None) => newest[index].open += 1,
            }
        }
        Ok(newest)
    }
}

/// The entries of these devices, with the place of the device, and those of earlier builds.
fn of_these(
    entries: impl Iterator<Item = IndexEntry>,
    tenant: &str,
    places: &HashMap<String, usize>,
) -> (Vec<(usize, IndexEntry)>, Vec<IndexEntry>) {
    let (legacy, entries): (Vec<_>, Vec<_>) =
        entries.partition(|entry| entry.pk == tenant && entry.sk.starts_with("conf-"));
    let mine = entries
        .into_iter()
        .filter_map(|entry| Some((*places.get(&entry.pk)?, entry)));
    (mine.collect(), legacy)
}

/// Which device a row is of, and how it was decided, if it was. One that does not read is logged
/// and left out, like one of another device.
fn read_row(
    row: Row,
    devices: &[(&str, &str)],
    places: &HashMap<String, usize>,
) -> Option<(usize, Option<DeviceConflict>)> {
    let read = || {
        let row: StoredRow = from_row("conflict", row)?;
        let of_device = || {
            devices
                .iter()
                .position(|device| *device == (row.user.as_str(), row.device_id.as_str()))
        };
        let is_open = row.status == ConflictStatus::Open.as_str();
        // An open one that its key told of is counted.
        let index = match places.get(&row.pk) {
            Some(index) => Some(*index).filter(|_| !is_open),
            None => of_device(),
        };
        let Some(index) = index else { return Ok(None) };
        let channel = Channel::parse(&row.channel)
            .ok_or_else(|| Failure::unreadable("conflict", "channel"))?;
        let outcome = row
            .outcome
            .filter(|_| !is_open)
            .map(OutcomeRow::read)
            .transpose()?;
        let resource = ResourceKey {
            channel,
            resource_type: row.resource_type,
            id: row.resource_id,
        };
        Ok(Some((
            index,
            outcome.map(|outcome| DeviceConflict { resource, outcome }),
        )))
    };
    let read: Result<_, Failure> = read();
    if let Err(failure) = &read {
        tracing::error!(%failure, "a conflict does not read");
    }
    read.ok().flatten()
}
