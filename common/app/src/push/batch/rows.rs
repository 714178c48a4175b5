//! The rows on which a batch is decided. Each row is read once unless a write must be decided
//! again: rows that were read and not used yet, and rows that this batch wrote, are cached for the
//! items that are decided later.

use std::collections::HashSet;

use tidemark_aws::{
    Error,
    tables::resources::{LoadedRows, Resources},
};
use tidemark_core::model::resource::{Resource, ResourceKey};

use crate::push::Mode;

/// The rows by resource, with the consistency of each.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) loaded: LoadedRows,
    /// The resources whose row, or its absence, is cached.
    known: HashSet<ResourceKey>,
    /// The resources whose stored conflicts must be read before an edit of them is decided.
    pub(super) needs_conflicts: HashSet<ResourceKey>,
    /// Whether other writers may change a row that this batch wrote. A dry run writes no row.
    are_writes_shared: bool,
}

impl Rows {
    /// Creates a cache with the rows that were read for the resources `known`. The resources
    /// `conflicting_creates` have creates that are part of a conflict of the device.
    pub(super) fn new(
        loaded: LoadedRows,
        known: HashSet<ResourceKey>,
        conflicting_creates: HashSet<ResourceKey>,
        mode: Mode,
    ) -> Self {
        Self {
            loaded,
            known,
            needs_conflicts: conflicting_creates,
            are_writes_shared: mode == Mode::Apply,
        }
    }

    /// Reads the rows of `keys` that are not cached, strongly consistently.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if the key of
    /// a row cannot be parsed.
    pub(super) async fn read(
        &mut self,
        resources: &Resources,
        tenant: &str,
        keys: impl Iterator<Item = &ResourceKey>,
    ) -> Result<(), Error> {
        let missing: Vec<&ResourceKey> = keys.filter(|key| !self.known.contains(*key)).collect();
        if missing.is_empty() {
            return Ok(());
        }

        let LoadedRows {
            rows, unreadable, ..
        } = resources.load(tenant, missing.iter().copied()).await?;

        self.loaded.rows.extend(rows);
        self.loaded.unreadable.extend(unreadable);
        self.known.extend(missing.into_iter().cloned());
        Ok(())
    }

    /// Returns whether the row comes from an optimistic read, which only a conditional write
    /// validates.
    pub(super) fn is_optimistic(&self, key: &ResourceKey) -> bool {
        self.loaded.optimistic.contains(key)
    }

    /// Takes the row of a resource, or `None` if it does not exist. The row is read again unless it
    /// is put back.
    pub(super) fn take(&mut self, key: &ResourceKey) -> Option<Resource> {
        self.known.remove(key);
        self.loaded.optimistic.remove(key);
        self.loaded.rows.remove(key)
    }

    /// Puts back an unchanged row that was read strongly consistently.
    pub(super) fn put_back(&mut self, key: &ResourceKey, row: Option<Resource>) {
        self.known.insert(key.clone());
        self.loaded.rows.extend(row.map(|row| (key.clone(), row)));
    }

    /// Caches a row that this batch wrote. Unless this is a dry run, another writer may have
    /// changed it since, so the condition of the next write of it must validate it.
    pub(super) fn put_written(&mut self, key: &ResourceKey, row: Resource) {
        self.put_back(key, Some(row));
        if self.are_writes_shared {
            self.loaded.optimistic.insert(key.clone());
        }
    }
}
