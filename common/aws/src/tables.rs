//! The DynamoDB tables, one module each. A module contains the keys, conditions and expressions of
//! its table, and documents the invariant that each condition protects.

pub mod audit_log;
pub mod changes;
pub mod conflicts;
pub mod devices;
pub mod format;
pub mod resources;
mod statements;
pub mod submission_media;
pub mod sync_batches;
pub mod sync_items;
pub mod transaction;
pub mod unique_keys;
mod versions;

use std::collections::HashMap;

use crate::tables::format::unpack;
use aws_sdk_dynamodb::{
    Client,
    error::ProvideErrorMetadata,
    operation::{
        put_item::{PutItemError, builders::PutItemFluentBuilder},
        query::builders::QueryFluentBuilder,
    },
    types::{AttributeValue, KeysAndAttributes, ReturnConsumedCapacity},
};
use serde::{Serialize, de::DeserializeOwned};
use tidemark_core::model::resource::{PayloadLocation, Resource, ResourceKey};

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

pub use transaction::{Reason, TransactionItem, TransactionOutcome};

use self::conflicts::versions::Version;
use crate::{
    error::Error,
    metrics::{Meter, Metric},
    random::Random,
    settings::Settings,
};

/// A row in the representation of the DynamoDB SDK.
pub type Row = HashMap<String, AttributeValue>;

/// Maximum number of keys in one BatchGetItem request.
const BATCH_GET_KEYS_MAX: usize = 100;
/// Maximum number of attempts for a request, or a part of it, that DynamoDB throttles inside a 200
/// response or as a cancelled transaction. The SDK does not retry these cases.
const THROTTLED_ATTEMPTS_MAX: u32 = 7;

/// Clients for all tables of a deployment.
#[derive(Debug, Clone)]
pub struct Tables {
    /// Table `resources`: the current resources.
    pub resources: Resources,
    /// Table `changes`: the change logs.
    pub changes: Changes,
    /// Table `sync_batches`: the results of batches.
    pub sync_batches: SyncBatches,
    /// Table `sync_items`: the raw items of batches.
    pub sync_items: SyncItems,
    /// Table `conflicts`: open and resolved conflicts.
    pub conflicts: Conflicts,
    /// Table `submission_media`: the verified uploads.
    pub submission_media: SubmissionMedia,
    /// Table `devices`: the acknowledgements of devices.
    pub devices: Devices,
    /// Table `unique_keys`: the holders of unique values.
    pub unique_keys: UniqueKeys,
    /// Table `audit_log`: the audit entries of tenants.
    pub audit_log: AuditLog,
    client: Client,
    random: Random,
    meter: Meter,
}

impl Tables {
    /// Creates the clients for the tables that `settings` names. They count corrupt items with
    /// `meter`.
    pub fn new(client: Client, settings: &Settings, random: Random, meter: Meter) -> Self {
        let names = &settings.tables;
        let table = |name: &String| Table {
            client: client.clone(),
            name: name.clone(),
            random: random.clone(),
            meter: meter.clone(),
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
            meter,
        }
    }

    /// Returns the same tables with another source of random numbers.
    pub(crate) fn with_random(&self, settings: &Settings, random: Random) -> Self {
        Self::new(self.client.clone(), settings, random, self.meter.clone())
    }

    /// Returns the same tables with the meter of another invocation.
    pub(crate) fn with_meter(&self, settings: &Settings, meter: Meter) -> Self {
        Self::new(self.client.clone(), settings, self.random.clone(), meter)
    }

    /// Stores the last payloads of resources that are about to be deleted, if their tombstone rows
    /// are too small to hold them. Must be called before the rows are written, so that no crash
    /// loses a payload. The operation is idempotent.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable.
    pub async fn keep_last_payloads<'a>(
        &self,
        tenant: &str,
        writes: impl IntoIterator<Item = (&'a ResourceKey, &'a Resource)>,
    ) -> Result<(), Error> {
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
            self.conflicts.put_versions(tenant, &versions).await
        }
    }

    /// Returns the resource with its last payload, which is loaded if it is stored in a row of its
    /// own.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if the payload
    /// is missing or cannot be decoded.
    pub async fn whole(
        &self,
        tenant: &str,
        key: &ResourceKey,
        mut resource: Resource,
    ) -> Result<Resource, Error> {
        if let Some(kept) = resource.kept {
            let version = self.conflicts.version(tenant, key, kept.number).await?;
            let missing =
                || Error::unreadable("resource", format!("last payload of {}", key.sort_key()));
            (resource.payload, resource.fields) = version.ok_or_else(missing)?;
        }
        Ok(resource)
    }

    /// Writes all of `items`, of any tables, or none of them. Retries a transaction that was
    /// cancelled only by throttling, because the SDK does not retry cancelled transactions.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable.
    pub async fn transact(&self, items: Vec<TransactionItem>) -> Result<TransactionOutcome, Error> {
        for attempt in 1..THROTTLED_ATTEMPTS_MAX {
            let transacted =
                transaction::transact(&self.client, "transact_write_items", &items).await?;
            if !transacted.was_throttled() {
                return Ok(transacted);
            }
            tokio::time::sleep(self.random.throttled(attempt)).await;
        }

        transaction::transact(&self.client, "transact_write_items", &items).await
    }
}

/// A table name with the client and the random source that its operations use.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) random: Random,
    meter: Meter,
}

impl Table {
    /// Counts a row that cannot be decoded and does not make the operation fail: it is skipped, or
    /// its key is returned.
    fn count_corrupt(&self) {
        self.meter.count(Metric::CorruptItems, 1);
    }

    /// Builds a put of `row`. The caller adds the condition that protects the row.
    fn put(&self, row: &impl Serialize) -> Result<PutItemFluentBuilder, Error> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(to_row(row)?));
        Ok(put.return_consumed_capacity(ReturnConsumedCapacity::Total))
    }

    /// Builds a strongly consistent query of one partition. The key condition refers to the
    /// partition key as `:pk`.
    fn query(&self, partition: String) -> QueryFluentBuilder {
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true);
        let query = query.expression_attribute_values(":pk", AttributeValue::S(partition));
        query.return_consumed_capacity(ReturnConsumedCapacity::Total)
    }

    /// Builds a query of one partition of an index, whose partition key is `attribute`. Queries of
    /// an index are eventually consistent.
    fn query_index(&self, index: &str, attribute: &str, partition: &str) -> QueryFluentBuilder {
        let query = self.client.query().table_name(&self.name).index_name(index);
        let query = query
            .key_condition_expression("#partition = :partition")
            .expression_attribute_names("#partition", attribute);
        let query = query
            .expression_attribute_values(":partition", AttributeValue::S(partition.to_owned()));
        query.return_consumed_capacity(ReturnConsumedCapacity::Total)
    }

    /// Loads rows by key with strongly consistent reads, in parallel requests of up to 100 keys.
    /// Keys without a row are omitted from the result.
    async fn batch_get(&self, keys: Vec<Row>) -> Result<Vec<Row>, Error> {
        self.batch_get_as(keys, true).await
    }

    /// Loads rows by key, with strongly consistent reads or with eventually consistent reads at
    /// half the cost.
    async fn batch_get_as(&self, keys: Vec<Row>, is_consistent: bool) -> Result<Vec<Row>, Error> {
        let calls = keys
            .chunks(BATCH_GET_KEYS_MAX)
            .map(|keys| self.batch_get_call(keys.to_vec(), is_consistent, None));
        Ok(futures_util::future::try_join_all(calls)
            .await?
            .into_iter()
            .flatten()
            .collect())
    }

    /// Executes one BatchGetItem request for all attributes, or for those in `projection`. It is
    /// repeated for the keys that DynamoDB did not process: a response holds at most 16 MB and may
    /// be throttled in part.
    async fn batch_get_call(
        &self,
        mut keys: Vec<Row>,
        is_consistent: bool,
        projection: Option<&str>,
    ) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::with_capacity(keys.len());
        let mut stalled = 0;

        while !keys.is_empty() {
            let wanted = KeysAndAttributes::builder()
                .consistent_read(is_consistent)
                .set_projection_expression(projection.map(str::to_owned))
                .set_keys(Some(keys));
            let wanted = wanted
                .build()
                .map_err(|error| Error::unencoded("keys", error))?;

            let response = self
                .client
                .batch_get_item()
                .request_items(&self.name, wanted)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(|error| Error::failed_call("batch_get_item", error))?;

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
                    return Err(Error::unavailable(format!(
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

/// Loads all rows of a query, following pagination: a response holds at most 1 MB of rows.
async fn query_all(attempt: &str, query: QueryFluentBuilder) -> Result<Vec<Row>, Error> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let response = query.clone().set_exclusive_start_key(after).send().await;
        let response = response.map_err(|error| Error::failed_call(attempt, error))?;
        rows.extend(response.items.unwrap_or_default());
        after = response.last_evaluated_key;
        if after.is_none() {
            return Ok(rows);
        }
    }
}

/// Returns the value of a string attribute, or `None` if it is absent or has another type.
fn text<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    row.get(name)?.as_s().ok().map(String::as_str)
}

fn key(pk: impl Into<String>, sk: impl Into<String>) -> Row {
    Row::from([
        ("pk".to_owned(), AttributeValue::S(pk.into())),
        ("sk".to_owned(), AttributeValue::S(sk.into())),
    ])
}

fn to_row(row: &impl Serialize) -> Result<Row, Error> {
    serde_dynamo::to_item(row).map_err(|error| Error::unencoded("row to write", error))
}

fn from_row<T: DeserializeOwned>(what: &str, row: Row) -> Result<T, Error> {
    serde_dynamo::from_item(row).map_err(|error| Error::undecoded(what, error))
}

/// Decodes a packed attribute whose text is JSON of at most `bytes_max` bytes.
fn from_packed<T: DeserializeOwned>(
    what: &str,
    packed: &[u8],
    bytes_max: usize,
) -> Result<T, Error> {
    let text = unpack(packed, bytes_max).map_err(|error| Error::undecoded(what, error))?;
    serde_json::from_slice(&text).map_err(|error| Error::undecoded(what, error))
}

/// Returns whether a request failed because its condition was not met.
fn is_condition_failure(error: &impl ProvideErrorMetadata) -> bool {
    error.code() == Some("ConditionalCheckFailedException")
}

/// Returns the existing row that made a conditional put fail, if the put requested it.
fn conflicting_row(error: &PutItemError) -> Option<&Row> {
    let PutItemError::ConditionalCheckFailedException(failed) = error else {
        return None;
    };
    failed.item()
}

/// Returns the `expires_at` of a row in seconds since 1970.
fn expiry(now: chrono::DateTime<chrono::Utc>, retention: chrono::Duration) -> i64 {
    (now + retention).timestamp()
}

/// Parses a stored timestamp in milliseconds since 1970.
fn moment(milliseconds: i64) -> Result<chrono::DateTime<chrono::Utc>, Error> {
    chrono::DateTime::from_timestamp_millis(milliseconds)
        .ok_or_else(|| Error::unreadable("moment", milliseconds))
}
