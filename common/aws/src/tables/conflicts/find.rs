//! Finding the conflicts that a push has to know: by keys, without a query, however many there were
//! before.

use std::collections::{HashMap, HashSet};

use futures_util::future::try_join_all;
use tidemark_core::{
    conflict::{ConflictSlot, ConflictStatus, ConflictSummary},
    ids,
    limits::RESOLVED_CONFLICTS_MAX,
    protocol::push::ItemCode,
    push::intake::Sender,
    resource::{EditId, ResourceKey},
};

use super::{Conflicts, hex, keys, read::distinct, row::StoredRow};
use crate::{
    failure::Failure,
    tables::{Row, from_row, key as row_key, text},
};

/// The conflicts of a device about some resources.
#[derive(Debug, Default)]
pub struct DeviceConflicts {
    /// By resource, without payloads, the oldest first. Resources without one are left out.
    pub standing: HashMap<ResourceKey, Vec<ConflictSummary>>,
    /// Resources with a conflict whose row cannot be read: what conflicts about them cannot be
    /// stored.
    pub unreadable: HashSet<ResourceKey>,
}

/// What is known of a resource while its conflicts are looked up.
struct Search<'a> {
    resource: &'a ResourceKey,
    edits: &'a [EditId],
    /// Hash of the resource.
    hash: String,
    first: Option<StoredRow>,
}

impl Conflicts {
    /// For each of these resources the conflicts of the sender's device that a push has to know:
    /// its open conflicts, and each conflict that holds one of the named edits.
    ///
    /// Known are the first conflict of the device about a resource, the last few that were opened
    /// after it ([`RESOLVED_CONFLICTS_MAX`]), and each that one of the named edits opened. One round
    /// trip; a second one for resources with several.
    ///
    /// # Errors
    /// An outage, or a row of an earlier build that does not read.
    pub async fn of_device(
        &self,
        sender: Sender<'_>,
        wanted: &[(&ResourceKey, Vec<EditId>)],
    ) -> Result<DeviceConflicts, Failure> {
        if wanted.is_empty() {
            return Ok(DeviceConflicts::default());
        }
        let tenant = &sender.principal.tenant;
        let device = ids::conflict_device(tenant, sender.author);
        let hashes: Vec<String> = wanted
            .iter()
            .map(|(resource, _)| ids::conflict_resource(resource))
            .collect();
        let firsts = distinct(
            hashes
                .iter()
                .map(|hash| keys::first(tenant, &device, hash))
                .collect(),
        );
        let (rows, has_legacy) =
            tokio::try_join!(self.0.batch_get(firsts), self.has_legacy(tenant))?;
        let mut firsts: HashMap<String, Row> = rows
            .into_iter()
            .filter_map(|row| Some((text(&row, "sk")?.to_owned(), row)))
            .collect();
        let mut searches = Vec::with_capacity(wanted.len());
        let mut unreadable = HashSet::new();
        for ((resource, edits), hash) in wanted.iter().zip(hashes) {
            let first = text_of_first(tenant, &device, &hash).and_then(|sk| firsts.remove(&sk));
            match first.map(|row| from_row("conflict", row)).transpose() {
                Ok(first) => searches.push(Search {
                    resource,
                    edits,
                    hash,
                    first,
                }),
                Err(failure) => note_unreadable(resource, &failure, &mut unreadable),
            }
        }
        let mut further = Vec::new();
        for search in &searches {
            further.extend(search.further(sender, &device, has_legacy));
        }
        let legacy = searches
            .iter()
            .filter(|search| has_legacy && search.first.is_none());
        let legacy = legacy.map(async |search| {
            let standing = self.legacy_about(sender, search.resource).await?;
            Ok::<_, Failure>((search.resource.clone(), standing))
        });
        let (rows, legacy) =
            tokio::try_join!(self.0.batch_get(distinct(further)), try_join_all(legacy))?;
        let rows: HashMap<[String; 2], Row> = rows
            .into_iter()
            .filter_map(|row| Some((key_of(&row)?, row)))
            .collect();
        let mut found: HashMap<ResourceKey, Vec<ConflictSummary>> = legacy.into_iter().collect();
        for search in searches {
            let resource = search.resource;
            match search.standing(sender, &device, &rows) {
                Ok(standing) => found.entry(resource.clone()).or_default().extend(standing),
                Err(failure) => note_unreadable(resource, &failure, &mut unreadable),
            }
        }
        found.retain(|_, standing| !standing.is_empty());
        Ok(DeviceConflicts {
            standing: found,
            unreadable,
        })
    }
}

impl Search<'_> {
    /// The keys of the rows beside the first that have to be read.
    fn further(&self, sender: Sender<'_>, device: &str, has_legacy: bool) -> Vec<Row> {
        let Some(first) = &self.first else {
            return Vec::new();
        };
        let tenant = &sender.principal.tenant;
        let mut further: Vec<Row> = first
            .siblings
            .iter()
            .map(|name| self.key_of(tenant, device, name))
            .collect();
        let unknown = self
            .edits
            .iter()
            .filter(|edit| !first.edits.contains(&hex(**edit)));
        let prefix = ids::legacy_conflict_prefix(tenant, self.resource, sender.author);
        for edit in unknown {
            // Where all are named there is no other.
            if first.siblings.len() >= RESOLVED_CONFLICTS_MAX {
                further.push(self.key_of(tenant, device, &hex(*edit)));
            }
            if has_legacy {
                further.push(row_key(tenant, format!("{prefix}{}", hex(*edit))));
            }
        }
        further
    }

    /// The key of a conflict that a first row names: by its edit, or of an earlier build by its id.
    fn key_of(&self, tenant: &str, device: &str, name: &str) -> Row {
        match name.starts_with("conf-") {
            true => row_key(tenant, name),
            false => row_key(
                keys::partition(tenant, device),
                format!("c#{}#{name}", self.hash),
            ),
        }
    }

    /// The conflicts that were found, oldest first.
    fn standing(
        self,
        sender: Sender<'_>,
        device: &str,
        rows: &HashMap<[String; 2], Row>,
    ) -> Result<Vec<ConflictSummary>, Failure> {
        let tenant = &sender.principal.tenant;
        let named = self
            .first
            .as_ref()
            .map(|first| first.siblings.clone())
            .unwrap_or_default();
        let read = |row: &Row| from_row::<StoredRow>("conflict", row.clone())?.standing();
        let mut legacy = Vec::new();
        let mut older = Vec::new();
        let mut newer = Vec::new();
        for name in &named {
            let found = key_of(&self.key_of(tenant, device, name)).and_then(|key| rows.get(&key));
            match (found, name.starts_with("conf-")) {
                (Some(row), true) => legacy.push(read(row)?),
                (None, true) => {}
                (Some(row), false) => newer.push(read(row)?),
                // A push that died before it wrote the conflict: the next that opens one has to
                // follow this place.
                (None, false) => {
                    newer.push(announced(format!("conf-{device}{}-{name}", self.hash)))
                }
            }
        }
        let prefix = ids::legacy_conflict_prefix(tenant, self.resource, sender.author);
        for edit in self.edits {
            let name = hex(*edit);
            let own =
                Some(name.clone()).filter(|name| self.first.is_some() && !named.contains(name));
            let own = own.and_then(|name| rows.get(&key_of(&self.key_of(tenant, device, &name))?));
            let id = format!("{prefix}{name}");
            let old = Some(&id)
                .filter(|id| !named.contains(id))
                .and_then(|id| rows.get(&[tenant.clone(), id.clone()]));
            for row in own.into_iter().chain(old) {
                older.push(read(row)?);
            }
        }
        let first = self.first.map(StoredRow::standing).transpose()?;
        Ok(legacy
            .into_iter()
            .chain(older)
            .chain(first)
            .chain(newer)
            .collect())
    }
}

/// A conflict whose row was announced, and is not there: nothing stands in it, and nothing joins
/// it.
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

fn note_unreadable(
    resource: &ResourceKey,
    failure: &Failure,
    unreadable: &mut HashSet<ResourceKey>,
) {
    tracing::error!(%failure, resource = %resource.id, "a conflict does not read");
    unreadable.insert(resource.clone());
}

fn text_of_first(tenant: &str, device: &str, hash: &str) -> Option<String> {
    text(&keys::first(tenant, device, hash), "sk").map(ToOwned::to_owned)
}

fn key_of(row: &Row) -> Option<[String; 2]> {
    Some([text(row, "pk")?.to_owned(), text(row, "sk")?.to_owned()])
}
