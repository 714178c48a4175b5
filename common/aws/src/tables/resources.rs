//! `resources`: tenant#channel / type#id. The source of truth: the change log is built from the
//! stream of this table. Each write is conditional on the version that was loaded, and each
//! accepted change increments the version (optimistic concurrency), so that no concurrent change is
//! lost.

mod resolution;
mod row;
mod tombstone;

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::{AttributeValue, BatchStatementRequest, ConditionCheck, Put};
use tidemark_core::{
    model::{
        channel::Scope,
        principal::Principal,
        resource::{PayloadLocation, Resource, ResourceKey},
    },
    rules::{pull::page::SnapshotItem, push::decision::ResourceWrite},
};

use self::row::{
    CHANGED, CREATED, DELETED, SHOWN, SnapshotRow, StoredVersion, TOMBSTONE, changed, created,
    deleted, number, read_row,
};
pub(crate) use self::row::{ResourceRow, identify};
use super::{Row, Table, key, statements::statement, transaction::TransactionItem};
use crate::error::Error;

pub use super::statements::WriteOutcome;

/// Client for the table `resources`.
#[derive(Debug, Clone)]
pub struct Resources(pub(super) Table);

/// The result of loading resource rows.
#[derive(Debug, Default)]
pub struct LoadedRows {
    /// The rows that could be decoded.
    pub rows: HashMap<ResourceKey, Resource>,
    /// The keys of rows that exist and cannot be decoded.
    pub unreadable: HashSet<ResourceKey>,
    /// The keys whose rows may differ from the loaded state because of an eventually consistent
    /// read, or that were not read and are assumed to be absent. A conditional write must validate
    /// them.
    pub optimistic: HashSet<ResourceKey>,
}

impl Resources {
    /// Loads the rows of `keys` in a tenant with strongly consistent reads. Keys without a row are
    /// omitted.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if the key of
    /// a row cannot be parsed.
    pub async fn load(
        &self,
        tenant: &str,
        keys: impl IntoIterator<Item = &ResourceKey>,
    ) -> Result<LoadedRows, Error> {
        self.load_as(tenant, keys, true).await
    }

    /// Loads the rows of `keys` in a tenant with eventually consistent reads, at half the cost. The
    /// rows may be stale, which is sufficient if a conditional write validates them.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if the key of
    /// a row cannot be parsed.
    pub async fn load_optimistic(
        &self,
        tenant: &str,
        keys: &HashSet<&ResourceKey>,
    ) -> Result<LoadedRows, Error> {
        let loaded = self.load_as(tenant, keys.iter().copied(), false).await?;
        Ok(LoadedRows {
            optimistic: keys.iter().copied().cloned().collect(),
            ..loaded
        })
    }

    /// Loads the versions of `keys` in a tenant with strongly consistent reads. Keys without a row
    /// are omitted. The other attributes of a row need not be decodable.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if the key of
    /// a row cannot be parsed.
    pub async fn versions(
        &self,
        tenant: &str,
        keys: impl IntoIterator<Item = &ResourceKey>,
    ) -> Result<HashMap<ResourceKey, u64>, Error> {
        let rows = self.0.batch_get(row_keys(tenant, keys)).await?;
        let mut versions = HashMap::with_capacity(rows.len());
        for row in rows {
            let (key, version) =
                read_row(&self.0, row, |row: StoredVersion| Ok(row.server_version))?;
            versions.extend(version.map(|version| (key, version)));
        }
        Ok(versions)
    }

    async fn load_as(
        &self,
        tenant: &str,
        keys: impl IntoIterator<Item = &ResourceKey>,
        is_consistent: bool,
    ) -> Result<LoadedRows, Error> {
        let keys = row_keys(tenant, keys);
        let mut loaded = LoadedRows::default();
        for row in self.0.batch_get_as(keys, is_consistent).await? {
            match read_row(&self.0, row, ResourceRow::read)? {
                (key, Some(resource)) => {
                    loaded.rows.insert(key, resource);
                }
                (key, None) => {
                    loaded.unreadable.insert(key);
                }
            }
        }
        Ok(loaded)
    }

    /// Returns the snapshot items of at most `limit` rows of a channel in key order, after the sort
    /// key `after`, with a strongly consistent read, and whether there may be more. The item of a
    /// row that cannot be decoded is `None`.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if the key of
    /// a row cannot be parsed.
    pub async fn list(
        &self,
        scope: &Scope,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(ResourceKey, Option<SnapshotItem>)>, bool), Error> {
        let response = self
            .0
            .query(scope.partition())
            .key_condition_expression("pk = :pk")
            .projection_expression(SHOWN)
            .set_exclusive_start_key(after.map(|after| key(scope.partition(), after)))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| Error::failed_call("query on resources", error))?;

        let more = response.last_evaluated_key.is_some();
        let rows = response
            .items
            .unwrap_or_default()
            .into_iter()
            .map(|row| read_row(&self.0, row, SnapshotRow::read));
        Ok((rows.collect::<Result<_, _>>()?, more))
    }

    /// Writes rows, each on the condition that it still has the version that was loaded, or that it
    /// still does not exist. Each write succeeds or fails on its own. The outcomes are in the order
    /// of `writes`.
    ///
    /// Two requests of 25 statements are sent concurrently. Together they use a tenth of the CPU of
    /// fifty single puts, at the same write units. Further statements are sent after them.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if the table is unavailable. Some writes may have been applied;
    /// a retry finds them in the deduplication window.
    pub async fn commit(
        &self,
        principal: &Principal,
        writes: &[(&ResourceKey, &ResourceWrite)],
    ) -> Result<Vec<WriteOutcome>, Error> {
        let texts = WriteStatements::new(&self.0.name);
        let bytes: Vec<usize> = writes
            .iter()
            .map(|(_, write)| write.resource.payload.get().len())
            .collect();

        let build = |index: usize| {
            let (key, write) = writes[index];
            texts.statement(&principal.tenant, key, write)
        };
        self.0.execute_all(&bytes, build).await
    }

    /// Returns the same conditional write as a transaction item.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if the row cannot be serialized, which does not happen.
    pub fn transaction_items(
        &self,
        scope: &Scope,
        resource: &ResourceKey,
        write: &ResourceWrite,
    ) -> Result<TransactionItem, Error> {
        let mut row = key(scope.partition(), resource.sort_key());

        let owned = |name: &&str| (*name).to_owned();
        if write.resource.deleted {
            row.extend(DELETED.iter().map(owned).zip(deleted(
                &scope.tenant,
                resource,
                &write.resource,
            )?));
        } else {
            let names = CHANGED.iter().chain(&CREATED).map(owned);
            row.extend(
                names.zip(
                    changed(&write.resource)?
                        .into_iter()
                        .chain(created(&write.resource.creation)),
                ),
            );
        }

        let put = Put::builder().table_name(&self.0.name).set_item(Some(row));
        let put = match write.expected_version {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(expected) => put
                .condition_expression("server_version = :expected")
                .expression_attribute_values(":expected", number(expected)),
        };

        TransactionItem::put(put)
    }

    /// Returns a transaction item that fails if a row with the key of `resource` exists.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if the item has no table or key, which does not happen.
    pub fn transact_absent(
        &self,
        scope: &Scope,
        resource: &ResourceKey,
    ) -> Result<TransactionItem, Error> {
        let check = ConditionCheck::builder()
            .table_name(&self.0.name)
            .set_key(Some(key(scope.partition(), resource.sort_key())))
            .condition_expression("attribute_not_exists(pk)");
        TransactionItem::check(check)
    }
}

/// The PartiQL statements that write a row.
struct WriteStatements {
    insert: String,
    insert_deleted: String,
    update: String,
    delete: String,
}

impl WriteStatements {
    fn new(table: &str) -> Self {
        let insert = |names: &mut dyn Iterator<Item = &&str>| {
            let fields: Vec<String> = ["pk", "sk"]
                .iter()
                .chain(names)
                .map(|name| format!("'{name}': ?"))
                .collect();
            // Fails with a duplicate-item error if the row exists.
            format!("INSERT INTO \"{table}\" VALUE {{{}}}", fields.join(", "))
        };

        let update = |set: &mut dyn Iterator<Item = &&str>,
                      removed: &mut dyn Iterator<Item = &&str>| {
            let set = set.map(|name| format!("SET \"{name}\" = ?"));
            let clauses: Vec<String> = set
                .chain(removed.map(|name| format!("REMOVE \"{name}\"")))
                .collect();
            // The version protects the whole row: every change increments it.
            format!(
                "UPDATE \"{table}\" {} WHERE pk = ? AND sk = ? AND server_version = ?",
                clauses.join(" ")
            )
        };

        let living = || CHANGED.iter().chain(&CREATED);

        Self {
            insert: insert(&mut living()),
            insert_deleted: insert(&mut DELETED.iter()),
            update: update(&mut living(), &mut [TOMBSTONE].iter()),
            delete: update(
                &mut DELETED.iter(),
                &mut living().filter(|name| !DELETED.contains(name)),
            ),
        }
    }

    fn statement(
        &self,
        tenant: &str,
        key: &ResourceKey,
        write: &ResourceWrite,
    ) -> Result<BatchStatementRequest, Error> {
        let at = [key.channel.partition(tenant), key.sort_key()].map(AttributeValue::S);
        let resource = &write.resource;

        let (insert, update, values): (_, _, Vec<_>) = if resource.deleted {
            (
                &self.insert_deleted,
                &self.delete,
                deleted(tenant, key, resource)?.into(),
            )
        } else {
            (
                &self.insert,
                &self.update,
                changed(resource)?
                    .into_iter()
                    .chain(created(&resource.creation))
                    .collect(),
            )
        };

        match write.expected_version {
            None => statement(insert, at.into_iter().chain(values).collect()),
            Some(expected) => statement(
                update,
                values
                    .into_iter()
                    .chain(at)
                    .chain([number(expected)])
                    .collect(),
            ),
        }
    }
}

/// Returns the keys of the rows of these resources.
fn row_keys<'a>(tenant: &str, keys: impl IntoIterator<Item = &'a ResourceKey>) -> Vec<Row> {
    let keys = keys.into_iter();
    keys.map(|it| key(it.channel.partition(tenant), it.sort_key()))
        .collect()
}

/// Returns where the last payload of a resource must be stored before the resource is deleted;
/// `None` if no separate row is needed.
pub(super) fn to_keep(
    tenant: &str,
    key: &ResourceKey,
    resource: &Resource,
) -> Result<Option<PayloadLocation>, Error> {
    match resource.deleted && resource.kept.is_none() {
        true => tombstone::kept_apart(tenant, key, resource),
        false => Ok(None),
    }
}
