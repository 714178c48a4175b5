//! The rows that a batch is decided on. Each is read once for as long as no write has to be decided
//! again: what was read and not used yet, and what this batch wrote itself, is kept for the items
//! that are decided later.

use std::collections::HashSet;

use tidemark_core::resource::{Resource, ResourceKey};

use crate::{
    failure::Failure,
    tables::resources::{LoadedRows, Resources},
};

/// Rows by resource, with what is known of each.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) loaded: LoadedRows,
    /// The resources whose row, or absence, is at hand.
    known: HashSet<ResourceKey>,
}

impl Rows {
    /// The rows that were read for these resources.
    pub(super) fn new(loaded: LoadedRows, known: HashSet<ResourceKey>) -> Self {
        Self { loaded, known }
    }

    /// Reads those of `keys` that are not at hand, strongly consistently.
    ///
    /// # Errors
    /// An outage.
    pub(super) async fn read(
        &mut self,
        resources: &Resources,
        tenant: &str,
        keys: impl Iterator<Item = &ResourceKey>,
    ) -> Result<(), Failure> {
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

    /// Whether only a write on the condition that the row is as it was read shows that it is so.
    pub(super) fn is_optimistic(&self, key: &ResourceKey) -> bool {
        self.loaded.optimistic.contains(key)
    }

    /// Takes the row of a resource; `None` where there is none. It is read again, unless it is put
    /// back.
    pub(super) fn take(&mut self, key: &ResourceKey) -> Option<Resource> {
        self.known.remove(key);
        self.loaded.optimistic.remove(key);
        self.loaded.rows.remove(key)
    }

    /// Puts back a row that was read strongly and is as it was.
    pub(super) fn put_back(&mut self, key: &ResourceKey, row: Option<Resource>) {
        self.known.insert(key.clone());
        self.loaded.rows.extend(row.map(|row| (key.clone(), row)));
    }

    /// Keeps a row that this batch wrote. Another writer may have changed it since, so the next
    /// decision about it has to prove it again.
    pub(super) fn put_written(&mut self, key: &ResourceKey, row: Resource, may_have_changed: bool) {
        self.put_back(key, Some(row));
        if may_have_changed {
            self.loaded.optimistic.insert(key.clone());
        }
    }
}
