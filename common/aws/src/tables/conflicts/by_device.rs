//! Loads the newest conflicts of devices for counting them. One read of the index by status covers
//! all devices of a page.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::try_join_all;
use tidemark_core::model::{
    channel::Channel,
    conflict::{ConflictOutcome, ConflictStatus, ListOrder},
    ids,
    limits::{DEVICE_CONFLICTS_MAX, DEVICE_DECISIONS_MAX, OPEN_LISTED_MAX},
    principal::Author,
    resource::ResourceKey,
};

use super::{
    Conflicts, OutcomeRow,
    index::{IndexEntry, IndexQuery, Shard, ShardPage},
    keys,
    row::StoredRow,
};
use crate::{
    error::Error,
    tables::{Row, Table, from_row, key as row_key},
};

/// A resolved conflict of a device.
#[derive(Debug, Clone)]
pub struct DeviceConflict {
    /// The resource that the conflict is about.
    pub resource: ResourceKey,
    /// How the conflict was resolved.
    pub outcome: ConflictOutcome,
}

/// The newest conflicts of one device.
#[derive(Debug, Clone, Default)]
pub struct NewestConflicts {
    /// Number of open conflicts among them.
    pub open: usize,
    /// The resolved conflicts among them.
    pub resolved: Vec<DeviceConflict>,
    /// Whether the device may have older conflicts.
    pub has_more: bool,
}

impl Conflicts {
    /// Returns the newest conflicts of each of these devices (user, device), in their order. They
    /// are selected from the newest conflicts of the shards that contain the devices: at most
    /// [`OPEN_LISTED_MAX`] open and [`DEVICE_CONFLICTS_MAX`] resolved conflicts per shard, the same
    /// of the legacy shard, and [`DEVICE_DECISIONS_MAX`] resolved conflicts in total. The index is
    /// eventually consistent.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable.
    pub async fn newest_of_devices(
        &self,
        tenant: &str,
        devices: &[(&str, &str)],
    ) -> Result<Vec<NewestConflicts>, Error> {
        let page = DevicePage::new(tenant, devices);
        let (open, resolved) = tokio::try_join!(
            self.newest_entries(&page, ConflictStatus::Open, OPEN_LISTED_MAX),
            self.newest_entries(&page, ConflictStatus::Resolved, DEVICE_CONFLICTS_MAX)
        )?;

        let mut newest = vec![NewestConflicts::default(); devices.len()];
        page.mark_incomplete(&open, &resolved, &mut newest);

        let (open, legacy_open) = page.split_entries(open);
        open.iter().for_each(|(index, _)| newest[*index].open += 1);

        let (mut resolved, legacy_resolved) = page.split_entries(resolved);
        resolved.sort_by(|(_, one), (_, other)| other.cmp(one));
        for (index, _) in resolved.drain(DEVICE_DECISIONS_MAX.min(resolved.len())..) {
            newest[index].has_more = true;
        }

        let entries = resolved
            .into_iter()
            .map(|(_, entry)| entry)
            .chain(legacy_open)
            .chain(legacy_resolved);
        let rows = self
            .0
            .batch_get_as(entries.map(|it| row_key(it.pk, it.sk)).collect(), false)
            .await?;

        for row in rows
            .into_iter()
            .filter_map(|row| page.read_row(&self.0, row))
        {
            match row {
                (index, Some(resolved)) => newest[index].resolved.push(resolved),
                (index, None) => newest[index].open += 1,
            }
        }
        Ok(newest)
    }

    /// Returns the newest index entries with a status of each shard of the page, at most `limit` of
    /// a shard.
    async fn newest_entries(
        &self,
        page: &DevicePage<'_>,
        status: ConflictStatus,
        limit: usize,
    ) -> Result<Vec<ShardPage>, Error> {
        let tenant = page.tenant;
        let shards: Vec<Shard> = page
            .shards
            .iter()
            .map(|number| Shard::numbered(tenant, status, *number))
            .chain([Shard::legacy(tenant, status)])
            .collect();

        let reads = shards.iter().map(async |shard| {
            // The keys of legacy conflicts do not identify the device, so each row must be read.
            let limit = if shard.is_legacy() {
                limit.min(DEVICE_CONFLICTS_MAX)
            } else {
                limit
            };
            let query = IndexQuery::first(ListOrder::Newest, limit);
            self.indexed(shard, &query).await
        });
        try_join_all(reads).await
    }
}

/// The devices whose conflicts are read.
struct DevicePage<'a> {
    tenant: &'a str,
    /// User and device id of each device.
    devices: &'a [(&'a str, &'a str)],
    /// The hash of each device in keys of conflicts.
    hashes: Vec<String>,
    /// The shards of the index that contain the devices.
    shards: BTreeSet<u8>,
    /// The index of each device by the partition of its conflicts.
    indexes: HashMap<String, usize>,
}

impl<'a> DevicePage<'a> {
    fn new(tenant: &'a str, devices: &'a [(&'a str, &'a str)]) -> Self {
        let hash = |(user, device_id): &(&str, &str)| {
            ids::conflict_device(tenant, &Author::device(user, device_id))
        };
        let hashes: Vec<String> = devices.iter().map(hash).collect();

        Self {
            tenant,
            devices,
            shards: hashes.iter().map(|hash| keys::shard(hash)).collect(),
            indexes: hashes
                .iter()
                .enumerate()
                .map(|(index, hash)| (keys::partition(tenant, hash), index))
                .collect(),
            hashes,
        }
    }

    /// Marks the devices whose shards have more entries than were read. The last shard contains the
    /// legacy conflicts of all devices.
    fn mark_incomplete(
        &self,
        open: &[ShardPage],
        resolved: &[ShardPage],
        newest: &mut [NewestConflicts],
    ) {
        let shards = self.shards.iter().map(|shard| Some(*shard)).chain([None]);
        let is_cut = open
            .iter()
            .zip(resolved)
            .map(|(open, resolved)| open.end.is_some() || resolved.end.is_some());

        for (shard, is_cut) in shards.zip(is_cut) {
            let of_shard = |hash: &String| shard.is_none_or(|shard| keys::shard(hash) == shard);
            let cut = newest
                .iter_mut()
                .zip(&self.hashes)
                .filter(|(_, hash)| of_shard(hash));
            cut.for_each(|(newest, _)| newest.has_more |= is_cut);
        }
    }

    /// Splits index entries into those of these devices, each with the device's index, and legacy
    /// entries.
    fn split_entries(&self, shards: Vec<ShardPage>) -> (Vec<(usize, IndexEntry)>, Vec<IndexEntry>) {
        let (legacy, entries): (Vec<_>, Vec<_>) = shards
            .into_iter()
            .flat_map(|page| page.entries)
            .partition(|entry| entry.pk == self.tenant && entry.sk.starts_with("conf-"));
        let known = entries
            .into_iter()
            .filter_map(|entry| Some((*self.indexes.get(&entry.pk)?, entry)));
        (known.collect(), legacy)
    }

    /// Decodes a row that was read and returns the index of its device, with the outcome if the
    /// conflict is resolved. Returns `None` for a row of another device. Logs and counts a row that
    /// cannot be decoded, and returns `None` for it.
    fn read_row(&self, table: &Table, row: Row) -> Option<(usize, Option<DeviceConflict>)> {
        self.decode(row)
            .inspect_err(|failure| {
                tracing::error!(%failure, "stored conflict cannot be decoded");
                table.count_corrupt();
            })
            .ok()
            .flatten()
    }

    fn decode(&self, row: Row) -> Result<Option<(usize, Option<DeviceConflict>)>, Error> {
        let row: StoredRow = from_row("conflict", row)?;
        let position_of_device = || {
            self.devices
                .iter()
                .position(|device| *device == (row.user.as_str(), row.device_id.as_str()))
        };
        let is_open = row.status == ConflictStatus::Open.as_str();

        // An open conflict whose key identifies the device has been counted already.
        let index = match self.indexes.get(&row.pk) {
            Some(index) => Some(*index).filter(|_| !is_open),
            None => position_of_device(),
        };
        let Some(index) = index else { return Ok(None) };

        let channel =
            Channel::parse(&row.channel).ok_or_else(|| Error::unreadable("conflict", "channel"))?;
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
    }
}
