//! `resources`: tenant#channel / type#id. The truth; its stream is where the change log comes from. A row is written on one condition
//! only, that its version still is the one that was loaded, and every accepted change raises the version: so no change is lost.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::{
    AttributeValue, BatchStatementErrorCodeEnum, BatchStatementRequest, BatchStatementResponse, ConditionCheck, Put,
    ReturnConsumedCapacity, TransactWriteItem,
};
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidemark_core::{
    channel::{Channel, Scope},
    conflict::Resolved,
    field_versions::FieldVersions,
    principal::{Author, Principal},
    push::decide::ResourceWrite,
    resource::{Claims, Creation, Edits, Resource, ResourceKey, Run},
};

use super::{
    Row, Table, backoff, from_row, key, text, to_row,
    transaction::{incomplete, transact_put},
};
use crate::failure::Failure;

/// Statements one BatchExecuteStatement may hold.
const STATEMENTS_MAX: usize = 25;
/// Bytes of payload in one call, well below the 16 MB of a request.
const CALL_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Times a statement that was throttled is sent again.
const THROTTLED_ATTEMPTS_MAX: u32 = 5;

/// The table of resources.
#[derive(Debug, Clone)]
pub struct Resources(pub(super) Table);

/// Rows that were read.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Those that read.
    pub rows: HashMap<ResourceKey, Resource>,
    /// Those that are there and do not read.
    pub unreadable: HashSet<ResourceKey>,
    /// Those that were not read, because they are taken not to be there. Only a write on that condition shows whether that is so.
    pub assumed: HashSet<ResourceKey>,
}

/// What became of a row that was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// It is written.
    Written,
    /// Its condition did not hold: someone else was faster, or an earlier try of this very write took effect unheard.
    Lost,
    /// The table would not take it now.
    Unavailable,
}

/// The row. Names are short where many rows carry them, and flat so that one statement writes them all.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ResourceRow {
    pub(crate) pk: String,
    pub(crate) sk: String,
    payload: String,
    pub(crate) server_version: u64,
    deleted: bool,
    changed_at: i64,
    run_by: Author,
    run_began: u64,
    run_max: u64,
    run_unproven: bool,
    created_by: Author,
    created_as: Option<String>,
    #[serde(with = "serde_bytes")]
    created_digest: Vec<u8>,
    #[serde(with = "serde_bytes")]
    edits: Vec<u8>,
    #[serde(with = "serde_bytes")]
    claims: Vec<u8>,
    #[serde(default)]
    resolutions: Vec<Resolved>,
    #[serde(default, with = "serde_bytes")]
    fields: Vec<u8>,
}

/// What an update writes, in the order of its parameters.
const UPDATED: [&str; 12] = [
    "payload",
    "server_version",
    "deleted",
    "changed_at",
    "run_by",
    "run_began",
    "run_max",
    "run_unproven",
    "edits",
    "claims",
    "resolutions",
    "fields",
];
/// What a create writes besides, and no update touches.
const CREATED: [&str; 3] = ["created_by", "created_as", "created_digest"];
const KEY: [&str; 2] = ["pk", "sk"];

impl ResourceRow {
    fn new(scope: &Scope, key: &ResourceKey, resource: &Resource) -> Self {
        Self {
            pk: scope.partition(),
            sk: key.sort_key(),
            payload: resource.payload.get().to_owned(),
            server_version: resource.server_version,
            deleted: resource.deleted,
            changed_at: resource.changed_at.timestamp_millis(),
            run_by: resource.run.author.clone(),
            run_began: resource.run.began,
            run_max: resource.run.client_version_max,
            run_unproven: resource.run.is_unproven,
            created_by: resource.creation.author.clone(),
            created_as: resource.creation.client_temp_id.clone(),
            created_digest: resource.creation.digest.to_vec(),
            edits: resource.edits.to_bytes(),
            claims: resource.claims.to_bytes(),
            resolutions: resource.resolutions.clone(),
            fields: resource.fields.to_bytes(),
        }
    }

    /// The resource of a row that reads.
    pub(crate) fn read(self) -> Result<Resource, Failure> {
        let unreadable = |what: &str| Failure::unreadable("resource", format!("{what} of {} / {}", self.pk, self.sk));
        let digest = self.created_digest.as_slice().try_into().map_err(|_| unreadable("created_digest"))?;
        Ok(Resource {
            edits: Edits::from_bytes(&self.edits).ok_or_else(|| unreadable("edits"))?,
            changed_at: DateTime::from_timestamp_millis(self.changed_at).ok_or_else(|| unreadable("changed_at"))?,
            payload: RawValue::from_string(self.payload).map_err(|error| Failure::undecoded("payload", error))?,
            server_version: self.server_version,
            deleted: self.deleted,
            run: Run {
                author: self.run_by,
                began: self.run_began,
                client_version_max: self.run_max,
                is_unproven: self.run_unproven,
            },
            creation: Creation { author: self.created_by, client_temp_id: self.created_as, digest },
            claims: Claims::from_bytes(&self.claims).ok_or_else(|| unreadable("claims"))?,
            fields: FieldVersions::from_bytes(&self.fields).ok_or_else(|| unreadable("fields"))?,
            resolutions: self.resolutions,
        })
    }
}

/// Which resource a row is of.
pub(crate) fn identify(pk: &str, sk: &str) -> Result<(Scope, ResourceKey), Failure> {
    let scope = Scope::parse(pk).ok_or_else(|| Failure::unreadable("partition of a resource", pk))?;
    let key = ResourceKey::parse(&scope, sk).ok_or_else(|| Failure::unreadable("sort key of a resource", sk))?;
    Ok((scope, key))
}

impl Resources {
    /// Reads the rows of `keys` in a tenant, strongly consistently; keys without a row are left out.
    ///
    /// # Errors
    /// An outage.
    pub async fn load(&self, tenant: &str, keys: impl IntoIterator<Item = &ResourceKey>) -> Result<Loaded, Failure> {
        let partition = |channel: &Channel| Scope { tenant: tenant.to_owned(), channel: channel.clone() }.partition();
        let keys = keys.into_iter().map(|it| key(partition(&it.channel), it.sort_key())).collect();
        let mut loaded = Loaded::default();
        for row in self.0.batch_get(keys).await? {
            match read_row(row)? {
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

    /// Reads at most `limit` rows of a channel in key order, after the sort key `after`, strongly consistently; says whether there
    /// may be more. A row that does not read is `None`.
    ///
    /// # Errors
    /// An outage.
    pub async fn list(
        &self,
        scope: &Scope,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(ResourceKey, Option<Resource>)>, bool), Failure> {
        let answer = self
            .0
            .query(scope.partition())
            .key_condition_expression("pk = :pk")
            .set_exclusive_start_key(after.map(|after| key(scope.partition(), after)))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| Failure::outage("query on resources", error))?;
        let more = answer.last_evaluated_key.is_some();
        let rows = answer.items.unwrap_or_default().into_iter().map(read_row);
        Ok((rows.collect::<Result<_, _>>()?, more))
    }

    /// Writes rows, each on the condition that it still has the version that was loaded, or that there still is none. Each succeeds
    /// or fails alone; the answers stand in the order of `writes`.
    ///
    /// Two calls of 25 statements are sent at once: a tenth of the CPU of fifty single puts, for the same write units.
    ///
    /// # Errors
    /// An outage of the whole table. Some writes may have taken effect then; a retry finds them remembered.
    pub async fn commit(
        &self,
        principal: &Principal,
        writes: &[(&ResourceKey, &ResourceWrite)],
    ) -> Result<Vec<Committed>, Failure> {
        let statements = writes.iter().map(|(key, write)| {
            let bytes = write.resource.payload.get().len();
            Ok((self.statement(&principal.scope(&key.channel), key, write)?, bytes))
        });
        let calls = chunks(statements.collect::<Result<Vec<_>, Failure>>()?);
        let calls = calls.into_iter().map(|statements| self.execute(statements));
        Ok(futures_util::future::try_join_all(calls).await?.concat())
    }

    /// The same write as part of a transaction.
    ///
    /// # Errors
    /// The row does not serialise, which none does.
    pub fn transact(&self, scope: &Scope, key: &ResourceKey, write: &ResourceWrite) -> Result<TransactWriteItem, Failure> {
        let put = Put::builder().table_name(&self.0.name).set_item(Some(to_row(&ResourceRow::new(scope, key, &write.resource))?));
        let put = match write.expected_version {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(expected) => put
                .condition_expression("server_version = :expected")
                .expression_attribute_values(":expected", AttributeValue::N(expected.to_string())),
        };
        transact_put(put)
    }

    /// The part of a transaction that fails where a row of `key` stands by now.
    ///
    /// # Errors
    /// It lacks its table or its key, which it does not.
    pub fn transact_absent(&self, scope: &Scope, resource: &ResourceKey) -> Result<TransactWriteItem, Failure> {
        let check = ConditionCheck::builder()
            .table_name(&self.0.name)
            .set_key(Some(key(scope.partition(), resource.sort_key())))
            .condition_expression("attribute_not_exists(pk)");
        Ok(TransactWriteItem::builder().condition_check(check.build().map_err(incomplete)?).build())
    }

    fn statement(&self, scope: &Scope, key: &ResourceKey, write: &ResourceWrite) -> Result<BatchStatementRequest, Failure> {
        let mut row: Row = to_row(&ResourceRow::new(scope, key, &write.resource))?;
        let mut take = |names: &[&str]| -> Vec<AttributeValue> { names.iter().filter_map(|name| row.remove(*name)).collect() };
        let mut parameters = [take(&UPDATED), take(&KEY)].concat();
        let text = match write.expected_version {
            // Fails as a duplicate where a row exists.
            None => {
                parameters.extend(take(&CREATED));
                let names = UPDATED.iter().chain(&KEY).chain(&CREATED);
                let fields: Vec<String> = names.map(|name| format!("'{name}': ?")).collect();
                format!("INSERT INTO \"{}\" VALUE {{{}}}", self.0.name, fields.join(", "))
            }
            // The version guards the whole row: whoever changed anything raised it.
            Some(expected) => {
                parameters.push(AttributeValue::N(expected.to_string()));
                let sets: Vec<String> = UPDATED.iter().map(|name| format!("SET \"{name}\" = ?")).collect();
                format!("UPDATE \"{}\" {} WHERE pk = ? AND sk = ? AND server_version = ?", self.0.name, sets.join(" "))
            }
        };
        let statement = BatchStatementRequest::builder().statement(text).set_parameters(Some(parameters));
        statement.build().map_err(|error| Failure::unreadable("statement", error))
    }

    /// One call; statements that were throttled or met a transaction are sent again. DynamoDB reports those inside a 200, where the
    /// SDK does not repeat them.
    async fn execute(&self, statements: Vec<BatchStatementRequest>) -> Result<Vec<Committed>, Failure> {
        let mut committed = vec![Committed::Unavailable; statements.len()];
        let mut waiting: Vec<usize> = (0..statements.len()).collect();
        for attempt in 0..THROTTLED_ATTEMPTS_MAX {
            if attempt > 0 {
                tokio::time::sleep(backoff(attempt)).await;
            }
            let call = waiting.iter().map(|index| statements[*index].clone()).collect();
            let answer = self
                .0
                .client
                .batch_execute_statement()
                .set_statements(Some(call))
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(|error| Failure::outage("batch_execute_statement on resources", error))?;
            for (index, response) in waiting.iter().zip(answer.responses.unwrap_or_default()) {
                committed[*index] = outcome(&response);
            }
            waiting.retain(|index| committed[*index] == Committed::Unavailable);
            if waiting.is_empty() {
                break;
            }
        }
        Ok(committed)
    }
}

/// Reads a row. One that does not read, written by hand or by another version, is logged and told apart, so that it stands in nobody's
/// way but its own.
fn read_row(row: Row) -> Result<(ResourceKey, Option<Resource>), Failure> {
    let part = |name| text(&row, name).unwrap_or_default();
    let (scope, key) = identify(part("pk"), part("sk"))?;
    let read = from_row::<ResourceRow>("resource", row).and_then(ResourceRow::read);
    if let Err(failure) = &read {
        tracing::error!(%failure, pk = scope.partition(), sk = key.sort_key(), "a resource does not read");
    }
    Ok((key, read.ok()))
}

fn outcome(response: &BatchStatementResponse) -> Committed {
    let Some(error) = &response.error else { return Committed::Written };
    match &error.code {
        Some(BatchStatementErrorCodeEnum::ConditionalCheckFailed | BatchStatementErrorCodeEnum::DuplicateItem) => Committed::Lost,
        code => {
            tracing::warn!(?code, "a row was not written");
            Committed::Unavailable
        }
    }
}

/// Cuts statements into calls within both bounds.
fn chunks(statements: Vec<(BatchStatementRequest, usize)>) -> Vec<Vec<BatchStatementRequest>> {
    let mut calls: Vec<Vec<BatchStatementRequest>> = Vec::new();
    let mut call_bytes = 0;
    for (statement, bytes) in statements {
        match calls.last_mut() {
            Some(call) if call.len() < STATEMENTS_MAX && call_bytes + bytes <= CALL_BYTES_MAX => {
                call.push(statement);
                call_bytes += bytes;
            }
            _ => {
                calls.push(vec![statement]);
                call_bytes = bytes;
            }
        }
    }
    calls
}
