//! Finds the conflicts that a push needs by key, without a query, at a cost that does not depend on
//! the number of earlier conflicts.

use std::collections::{HashMap, HashSet};

use futures_util::future::try_join_all;
use tidemark_core::{
    model::{
        conflict::{ConflictSlot, ConflictStatus, ConflictSummary},
        ids,
        limits::RESOLVED_CONFLICTS_MAX,
        resource::{EditId, ResourceKey},
        result::ItemCode,
    },
    rules::push::edit::Sender,
};

use super::{Conflicts, hex, keys, read::distinct, row::StoredRow};
use crate::{
    error::Error,
    tables::{Row, from_row, key as row_key, text},
};

/// The conflicts of a device about some resources.
#[derive(Debug, Default)]
pub struct DeviceConflicts {
    /// Summaries by resource, without payloads, the oldest first. Resources without conflicts are
    /// omitted.
    pub summaries: HashMap<ResourceKey, Vec<ConflictSummary>>,
    /// Resources with a conflict that cannot be decoded. New conflicts about them cannot be stored.
    pub unreadable: HashSet<ResourceKey>,
}

/// Rows by partition and sort key.
type RowsByKey = HashMap<[String; 2], Row>;

/// The intermediate state of the lookup for one resource.
struct Search<'a> {
    resource: &'a ResourceKey,
    edits: &'a [EditId],
    /// The hash that identifies the resource in keys of conflicts.
    hash: String,
    first: Option<StoredRow>,
}

impl Conflicts {
    /// Returns, for each of these resources, the conflicts of the sender's device that a push
    /// needs: the open conflicts, and each conflict that contains one of the given edits.
    ///
    /// The result covers the first conflict of the device about a resource, the last
    /// [`RESOLVED_CONFLICTS_MAX`] that were opened after it, and each conflict that one of the
    /// given edits opened. The lookup takes one round trip, and a second one for resources with
    /// several conflicts.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a legacy
    /// row cannot be decoded.
    pub async fn of_device(
        &self,
        sender: Sender<'_>,
        wanted: &[(&ResourceKey, Vec<EditId>)],
    ) -> Result<DeviceConflicts, Error> {
        if wanted.is_empty() {
            return Ok(DeviceConflicts::default());
        }

        let tenant = &sender.principal.tenant;
        let device = ids::conflict_device(tenant, sender.author);
        let hashes: Vec<String> = wanted
            .iter()
            .map(|(resource, _)| ids::conflict_resource(resource))
            .collect();

        let (firsts, has_legacy) = tokio::try_join!(
            self.first_rows(tenant, &device, &hashes),
            self.has_legacy(tenant)
        )?;
        let mut unreadable = HashSet::new();
        let mut searches = Vec::with_capacity(wanted.len());
        for ((resource, edits), (hash, first)) in wanted.iter().zip(hashes.into_iter().zip(firsts))
        {
            match first.map(|row| from_row("conflict", row)).transpose() {
                Ok(first) => searches.push(Search {
                    resource,
                    edits,
                    hash,
                    first,
                }),
                Err(failure) => self.record_unreadable(resource, &failure, &mut unreadable),
            }
        }

        let (rows, mut summaries) = self.further(sender, &device, &searches, has_legacy).await?;
        for search in searches {
            let resource = search.resource;
            match search.summaries(sender, &device, &rows) {
                Ok(found) => summaries.entry(resource.clone()).or_default().extend(found),
                Err(failure) => self.record_unreadable(resource, &failure, &mut unreadable),
            }
        }

        summaries.retain(|_, summaries| !summaries.is_empty());
        Ok(DeviceConflicts {
            summaries,
            unreadable,
        })
    }

    /// Logs and counts a conflict that cannot be decoded, and records its resource.
    fn record_unreadable(
        &self,
        resource: &ResourceKey,
        failure: &Error,
        unreadable: &mut HashSet<ResourceKey>,
    ) {
        tracing::error!(%failure, resource = %resource.id, "stored conflict cannot be decoded");
        self.0.count_corrupt();
        unreadable.insert(resource.clone());
    }

    /// Loads the rows of the first conflicts about the resources with these hashes, in their order.
    /// A repeated hash has its row once.
    async fn first_rows(
        &self,
        tenant: &str,
        device: &str,
        hashes: &[String],
    ) -> Result<Vec<Option<Row>>, Error> {
        let keys = hashes
            .iter()
            .map(|hash| keys::first(tenant, device, hash))
            .collect();
        let mut rows: HashMap<String, Row> = self
            .0
            .batch_get(distinct(keys))
            .await?
            .into_iter()
            .filter_map(|row| Some((text(&row, "sk")?.to_owned(), row)))
            .collect();

        Ok(hashes
            .iter()
            .map(|hash| rows.remove(&first_sort_key(tenant, device, hash)?))
            .collect())
    }

    /// Loads the rows that the searches need in addition to the first rows, and the summaries of
    /// legacy conflicts about resources without a first row.
    async fn further(
        &self,
        sender: Sender<'_>,
        device: &str,
        searches: &[Search<'_>],
        has_legacy: bool,
    ) -> Result<(RowsByKey, HashMap<ResourceKey, Vec<ConflictSummary>>), Error> {
        let further = searches
            .iter()
            .flat_map(|search| search.further(sender, device, has_legacy))
            .collect();

        let legacy = searches
            .iter()
            .filter(|search| has_legacy && search.first.is_none());
        let legacy = legacy.map(async |search| {
            let summaries = self.legacy_about(sender, search.resource).await?;
            Ok::<_, Error>((search.resource.clone(), summaries))
        });

        let (rows, legacy) =
            tokio::try_join!(self.0.batch_get(distinct(further)), try_join_all(legacy))?;
        let rows = rows
            .into_iter()
            .filter_map(|row| Some((key_of(&row)?, row)))
            .collect();
        Ok((rows, legacy.into_iter().collect()))
    }
}

impl Search<'_> {
    /// Returns the keys of the rows that must be read in addition to the first row.
    fn further(&self, sender: Sender<'_>, device: &str, has_legacy: bool) -> Vec<Row> {
        let Some(first) = &self.first else {
            return Vec::new();
        };

        let tenant = &sender.principal.tenant;
        let mut further: Vec<Row> = first
            .neighbors
            .iter()
            .map(|name| self.key_of(tenant, device, name))
            .collect();

        let unknown = self
            .edits
            .iter()
            .filter(|edit| !first.edits.contains(&hex(**edit)));
        let prefix = ids::legacy_conflict_prefix(tenant, self.resource, sender.author);

        for edit in unknown {
            // If fewer neighbors than the maximum are listed, the list is complete.
            if first.neighbors.len() >= RESOLVED_CONFLICTS_MAX {
                further.push(self.key_of(tenant, device, &hex(*edit)));
            }
            if has_legacy {
                further.push(row_key(tenant, format!("{prefix}{}", hex(*edit))));
            }
        }
        further
    }

    /// Returns the key of a conflict that a first row lists, by its edit or, for a legacy conflict,
    /// by its id.
    fn key_of(&self, tenant: &str, device: &str, name: &str) -> Row {
        match name.starts_with("conf-") {
            true => row_key(tenant, name),
            false => row_key(
                keys::partition(tenant, device),
                format!("c#{}#{name}", self.hash),
            ),
        }
    }

    /// Returns summaries of the conflicts that were found, the oldest first.
    fn summaries(
        self,
        sender: Sender<'_>,
        device: &str,
        rows: &RowsByKey,
    ) -> Result<Vec<ConflictSummary>, Error> {
        let (legacy, newer) = self.listed(&sender.principal.tenant, device, rows)?;
        let older = self.unlisted(sender, device, rows)?;
        let first = self.first.map(StoredRow::summary).transpose()?;

        Ok(legacy
            .into_iter()
            .chain(older)
            .chain(first)
            .chain(newer)
            .collect())
    }

    /// Returns the names of the conflicts that the first row lists.
    fn neighbors(&self) -> &[String] {
        self.first
            .as_ref()
            .map_or(&[], |first| first.neighbors.as_slice())
    }

    /// Returns summaries of the conflicts that the first row lists: the legacy conflicts, and the
    /// conflicts that were opened after the first one.
    fn listed(
        &self,
        tenant: &str,
        device: &str,
        rows: &RowsByKey,
    ) -> Result<(Vec<ConflictSummary>, Vec<ConflictSummary>), Error> {
        let mut legacy = Vec::new();
        let mut newer = Vec::new();

        for name in self.neighbors() {
            let found = key_of(&self.key_of(tenant, device, name)).and_then(|key| rows.get(&key));
            match (found, name.starts_with("conf-")) {
                (Some(row), true) => legacy.push(summary(row)?),
                (None, true) => {}
                (Some(row), false) => newer.push(summary(row)?),
                // A push stopped after it announced the conflict and before it wrote the conflict.
                // The next conflict must be ordered after this entry.
                (None, false) => {
                    newer.push(announced(format!("conf-{device}{}-{name}", self.hash)))
                }
            }
        }
        Ok((legacy, newer))
    }

    /// Returns summaries of the conflicts that the edits opened and that the first row does not
    /// list.
    fn unlisted(
        &self,
        sender: Sender<'_>,
        device: &str,
        rows: &RowsByKey,
    ) -> Result<Vec<ConflictSummary>, Error> {
        let (tenant, listed) = (&sender.principal.tenant, self.neighbors());
        let prefix = ids::legacy_conflict_prefix(tenant, self.resource, sender.author);

        let mut older = Vec::new();
        for edit in self.edits {
            let name = hex(*edit);
            let id = format!("{prefix}{name}");
            let own = Some(name)
                .filter(|name| self.first.is_some() && !listed.contains(name))
                .and_then(|name| rows.get(&key_of(&self.key_of(tenant, device, &name))?));
            let old = Some(id)
                .filter(|id| !listed.contains(id))
                .and_then(|id| rows.get(&[tenant.clone(), id]));

            for row in own.into_iter().chain(old) {
                older.push(summary(row)?);
            }
        }
        Ok(older)
    }
}

fn summary(row: &Row) -> Result<ConflictSummary, Error> {
    from_row::<StoredRow>("conflict", row.clone())?.summary()
}

/// Returns a placeholder for a conflict that was announced and never written. It contains no edits,
/// and no edit joins it.
fn announced(id: String) -> ConflictSummary {
    ConflictSummary {
        id,
        slot: ConflictSlot::Own,
        status: ConflictStatus::Resolved,
        resolution: None,
        server_version: 0,
        edits: Vec::new(),
        opened_by_create: false,
        code: ItemCode::VersionMismatch,
    }
}

fn first_sort_key(tenant: &str, device: &str, hash: &str) -> Option<String> {
    text(&keys::first(tenant, device, hash), "sk").map(ToOwned::to_owned)
}

fn key_of(row: &Row) -> Option<[String; 2]> {
    Some([text(row, "pk")?.to_owned(), text(row, "sk")?.to_owned()])
}
