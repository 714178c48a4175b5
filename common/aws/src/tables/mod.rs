//! The tables, one file each: keys, conditions and expressions stand beside the table they belong
//! to, with the invariant each protects.

pub mod audit_log;
pub mod changes;
pub mod conflicts;
pub mod devices;
pub mod resources;
mod statements;
pub mod submission_media;
pub mod sync_batches;
pub mod sync_items;
pub mod transaction;
pub mod unique_keys;
mod versions;

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    error::ProvideErrorMetadata,
    operation::{
        put_item::{PutItemError, builders::PutItemFluentBuilder},
        query::builders::QueryFluentBuilder,
    },
    types::{AttributeValue, KeysAndAttributes, ReturnConsumedCapacity, TransactWriteItem},
};
use serde::{Serialize, de::DeserializeOwned};
use tidemark_core::resource::{PayloadLocation, Resource, ResourceKey};

pub use audit_log::AuditLog;
pub use changes::Changes;
pub use conflicts::Conflicts;
pub use devices::Devices;
pub use resources::Resources;
pub use submission_media::SubmissionMedia;
pub use sync_batches::SyncBatches;
pub use sync_items::SyncItems;
pub use unique_keys::UniqueKeys;
pub use versions::ResourceVersions;

pub use transaction::{Reason, TransactionOutcome};

use self::conflicts::versions::Version;
use crate::{failure::Failure, random::Random, settings::Settings};

/// A row as DynamoDB has it.
pub type Row = HashMap<String, AttributeValue>;

/// Keys one BatchGetItem may name.
const BATCH_GET_KEYS_MAX: usize = 100;
/// Times a call is made, or a part of one, that is throttled inside an answer of 200 or as a
/// cancelled transaction, where the SDK does not retry it.
const THROTTLED_ATTEMPTS_MAX: u32 = 7;

/// Every table.
#[derive(Debug, Clone)]
pub struct Tables {
    /// Resources.
    pub resources: Resources,
    /// The change log.
    pub changes: Changes,
    /// Results of batches.
    pub sync_batches: SyncBatches,
    /// Raw items of batches.
    pub sync_items: SyncItems,
    /// Conflicts.
    pub conflicts: Conflicts,
    /// Verified uploads.
    pub submission_media: SubmissionMedia,
    /// Devices.
    pub devices: Devices,
    /// Unique values.
    pub unique_keys: UniqueKeys,
    /// The audit log.
    pub audit_log: AuditLog,
    client: Client,
    random: Random,
}

impl Tables {
    /// The tables of a deployment.
    pub fn new(client: Client, settings: &Settings, random: Random) -> Self {
        let names = &settings.tables;
        let table = |name: &String| Table {
            client: client.clone(),
            name: name.clone(),
            random: random.clone(),
        };
        Self {
            resources: Resources(table(&names.resources)),
            changes: Changes {
                table: table(&names.changes),
                retention: settings.log_retention,
            },
            sync_batches: SyncBatches {
                table: table(&names.sync_batches),
                retention: settings.batch_retention,
            },
            sync_items: SyncItems {
                table: table(&names.sync_items),
                retention: settings.batch_retention,
            },
            conflicts: Conflicts(table(&names.conflicts)),
            submission_media: SubmissionMedia(table(&names.submission_media)),
            devices: Devices(table(&names.devices)),
            unique_keys: UniqueKeys(table(&names.unique_keys)),
            audit_log: AuditLog(table(&names.audit_log)),
            client,
            random,
        }
    }

    /// The same with another source of random numbers.
    pub(crate) fn with_random(&self, settings: &Settings, random: Random) -> Self {
        Self::new(self.client.clone(), settings, random)
    }

    /// Keeps the last payloads of resources that are to be written deleted, where their rows will
    /// not hold them. This comes before the rows are written, so that no crash loses a payload; a
    /// retry keeps the same again.
    ///
    /// # Errors
    /// An outage.
    pub async fn keep_last_payloads<'a>(
        &self,
        tenant: &str,
        writes: impl IntoIterator<Item = (&'a ResourceKey, &'a Resource)>,
    ) -> Result<(), Failure> {
        let mut versions = Vec::new();
        for (key, resource) in writes {
            if let Some(PayloadLocation { number, .. }) = resources::to_keep(tenant, key, resource)?
            {
                versions.push(Version {
                    resource: key,
                    number,
                    payload: &resource.payload,
                    fields: Some(&resource.fields),
                });
            }
        }
        if versions.is_empty() {
            Ok(())
        } else {
            self.conflicts.keep_versions(tenant, &versions).await
        }
    }

    /// The resource with its last payload, where that is kept apart.
    ///
    /// # Errors
    /// An outage, or a payload that is not there.
    pub async fn whole(
        &self,
        tenant: &str,
        key: &ResourceKey,
        mut resource: Resource,
    ) -> Result<Resource, Failure> {
        if let Some(kept) = resource.kept {
            let version = self.conflicts.version(tenant, key, kept.number).await?;
            let missing =
                || Failure::unreadable("resource", format!("last payload of {}", key.sort_key()));
            (resource.payload, resource.fields) = version.ok_or_else(missing)?;
        }
        Ok(resource)
    }

    /// Writes all of `items`, of any tables, or none. What a table throttled, and nothing else
    /// prevented, is tried again: the SDK does not retry a transaction that was cancelled.
    ///
    /// # Errors
    /// An outage.
    pub async fn transact(
        &self,
        items: Vec<TransactWriteItem>,
    ) -> Result<TransactionOutcome, Failure> {
        for attempt in 1..THROTTLED_ATTEMPTS_MAX {
            let transacted =
                transaction::transact(&self.client, "transact_write_items", items.clone()).await?;
            if !transacted.was_throttled() {
                return Ok(transacted);
            }
            tokio::time::sleep(self.random.throttled(attempt)).await;
        }
        transaction::transact(&self.client, "transact_write_items", items).await
    }
}

/// A table and the way to reach it.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) random: Random,
}

impl Table {
    /// A put of `row`; the caller adds the condition that protects it.
    fn put(&self, row: &impl Serialize) -> Result<PutItemFluentBuilder, Failure> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(to_row(row)?));
        Ok(put.return_consumed_capacity(ReturnConsumedCapacity::Total))
    }

    /// A strongly consistent query of one partition, whose key stands in the condition as `:pk`.
    fn query(&self, partition: String) -> QueryFluentBuilder {
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true);
        let query = query.expression_attribute_values(":pk", AttributeValue::S(partition));
        query.return_consumed_capacity(ReturnConsumedCapacity::Total)
    }

    /// A query of one partition of an index, which is named by this attribute. An index cannot be
    /// read strongly consistently.
    fn query_index(&self, index: &str, attribute: &str, partition: &str) -> QueryFluentBuilder {
        let query = self.client.query().table_name(&self.name).index_name(index);
        let query = query
            .key_condition_expression("#partition = :partition")
            .expression_attribute_names("#partition", attribute);
        let query = query
            .expression_attribute_values(":partition", AttributeValue::S(partition.to_owned()));
        query.return_consumed_capacity(ReturnConsumedCapacity::Total)
    }

    /// Reads rows by key, strongly consistently, in parallel calls of 100 keys; keys without a row
    /// are left out.
    async fn batch_get(&self, keys: Vec<Row>) -> Result<Vec<Row>, Failure> {
        self.batch_get_as(keys, true).await
    }

    /// The same, strongly consistently or for half the price.
    async fn batch_get_as(&self, keys: Vec<Row>, is_consistent: bool) -> Result<Vec<Row>, Failure> {
        let calls = keys
            .chunks(BATCH_GET_KEYS_MAX)
            .map(|keys| self.batch_get_call(keys.to_vec(), is_consistent));
        Ok(futures_util::future::try_join_all(calls)
            .await?
            .into_iter()
            .flatten()
            .collect())
    }

    /// One call, repeated for the keys DynamoDB left over: an answer holds 16 MB at most, and may
    /// be throttled in part.
    async fn batch_get_call(
        &self,
        mut keys: Vec<Row>,
        is_consistent: bool,
    ) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::with_capacity(keys.len());
        let mut stalled = 0;
        while !keys.is_empty() {
            let wanted = KeysAndAttributes::builder()
                .consistent_read(is_consistent)
                .set_keys(Some(keys));
            let wanted = wanted
                .build()
                .map_err(|error| Failure::unreadable("keys", error))?;
            let response = self
                .client
                .batch_get_item()
                .request_items(&self.name, wanted)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(|error| Failure::outage("batch_get_item", error))?;
            let found = response
                .responses
                .and_then(|mut tables| tables.remove(&self.name))
                .unwrap_or_default();
            stalled = if found.is_empty() { stalled + 1 } else { 0 };
            rows.extend(found);
            keys = response
                .unprocessed_keys
                .and_then(|mut tables| tables.remove(&self.name))
                .map(|left| left.keys)
                .unwrap_or_default();
            if !keys.is_empty() && stalled > 0 {
                if stalled == THROTTLED_ATTEMPTS_MAX {
                    return Err(Failure::Outage(format!(
                        "batch_get_item on {}: throttled",
                        self.name
                    )));
                }
                tokio::time::sleep(self.random.throttled(stalled)).await;
            }
        }
        Ok(rows)
    }
}

/// All rows that a query finds: an answer holds 1 MB of them.
async fn query_all(attempt: &str, query: QueryFluentBuilder) -> Result<Vec<Row>, Failure> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let response = query.clone().set_exclusive_start_key(after).send().await;
        let response = response.map_err(|error| Failure::outage(attempt, error))?;
        rows.extend(response.items.unwrap_or_default());
        after = response.last_evaluated_key;
        if after.is_none() {
            return Ok(rows);
        }
    }
}

/// The text of an attribute, where it has one.
fn text<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    row.get(name)?.as_s().ok().map(String::as_str)
}

fn key(pk: impl Into<String>, sk: impl Into<String>) -> Row {
    Row::from([
        ("pk".to_owned(), AttributeValue::S(pk.into())),
        ("sk".to_owned(), AttributeValue::S(sk.into())),
    ])
}

fn to_row(row: &impl Serialize) -> Result<Row, Failure> {
    serde_dynamo::to_item(row).map_err(|error| Failure::undecoded("row to write", error))
}

fn from_row<T: DeserializeOwned>(what: &str, row: Row) -> Result<T, Failure> {
    serde_dynamo::from_item(row).map_err(|error| Failure::undecoded(what, error))
}

/// Whether a call failed because its condition did not hold.
fn is_condition_failure(error: &impl ProvideErrorMetadata) -> bool {
    error.code() == Some("ConditionalCheckFailedException")
}

/// The row that stood in the way of a put which asked for it.
fn in_the_way(error: &PutItemError) -> Option<&Row> {
    let PutItemError::ConditionalCheckFailedException(failed) = error else {
        return None;
    };
    failed.item()
}

/// Seconds since 1970, for a row's `expires_at`.
fn expiry(now: chrono::DateTime<chrono::Utc>, retention: chrono::Duration) -> i64 {
    (now + retention).timestamp()
}

/// A moment as rows have it: milliseconds since 1970.
fn moment(milliseconds: i64) -> Result<chrono::DateTime<chrono::Utc>, Failure> {
    chrono::DateTime::from_timestamp_millis(milliseconds)
        .ok_or_else(|| Failure::unreadable("moment", milliseconds))
}
