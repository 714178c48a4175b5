//! `resources`: tenant#channel / type#id. The truth; its stream is where the change log comes from. A row is written on one condition
//! only, that its version still is the one that was loaded, and every accepted change raises the version: so no change is lost.

mod row;

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::{
    AttributeValue, BatchStatementErrorCodeEnum, BatchStatementRequest, BatchStatementResponse, ConditionCheck, Put,
    ReturnConsumedCapacity, TransactWriteItem,
};
use futures_util::future::try_join_all;
use tidemark_core::{
    channel::Scope,
    principal::Principal,
    pull::page::Shown,
    push::decide::ResourceWrite,
    resource::{Resource, ResourceKey},
};

use self::row::{CHANGED, CREATED, SHOWN, ShownRow, changed, created, number, read_row};
pub(crate) use self::row::{ResourceRow, identify};
use super::{
    Table, backoff, key,
    transaction::{incomplete, transact_put},
};
use crate::failure::Failure;

/// Statements one BatchExecuteStatement may hold.
const STATEMENTS_MAX: usize = 25;
/// Bytes of payload in one call: it stands in memory as statements, as JSON and enciphered.
const CALL_BYTES_MAX: usize = 512 * 1024;
/// Calls that are sent at once.
const CALLS_AT_ONCE: usize = 2;
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
    /// Those that may be other than they were read, or were not read and are taken not to be there. Only a write on the condition that
    /// they are shows whether that is so.
    pub unproven: HashSet<ResourceKey>,
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

impl Resources {
    /// Reads the rows of `keys` in a tenant, strongly consistently; keys without a row are left out.
    ///
    /// # Errors
    /// An outage.
    pub async fn load(&self, tenant: &str, keys: impl IntoIterator<Item = &ResourceKey>) -> Result<Loaded, Failure> {
        self.load_as(tenant, keys, true).await
    }

    /// Reads the rows of `keys` in a tenant for half the price: as they are, or as they were a moment ago. What is to be written on
    /// the condition that they still are needs no more.
    ///
    /// # Errors
    /// An outage.
    pub async fn load_unproven(&self, tenant: &str, keys: &HashSet<&ResourceKey>) -> Result<Loaded, Failure> {
        let loaded = self.load_as(tenant, keys.iter().copied(), false).await?;
        Ok(Loaded { unproven: keys.iter().copied().cloned().collect(), ..loaded })
    }

    async fn load_as(
        &self,
        tenant: &str,
        keys: impl IntoIterator<Item = &ResourceKey>,
        is_consistent: bool,
    ) -> Result<Loaded, Failure> {
        let keys = keys.into_iter().map(|it| key(it.channel.partition(tenant), it.sort_key())).collect();
        let mut loaded = Loaded::default();
        for row in self.0.batch_get_as(keys, is_consistent).await? {
            match read_row(row, ResourceRow::read)? {
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

    /// Reads what a snapshot shows of at most `limit` rows of a channel, in key order, after the sort key `after`, strongly consistently;
    /// says whether there may be more. A row that does not read is `None`.
    ///
    /// # Errors
    /// An outage.
    pub async fn list(
        &self,
        scope: &Scope,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(ResourceKey, Option<Shown>)>, bool), Failure> {
        let answer = self
            .0
            .query(scope.partition())
            .key_condition_expression("pk = :pk")
            .projection_expression(SHOWN)
            .set_exclusive_start_key(after.map(|after| key(scope.partition(), after)))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| Failure::outage("query on resources", error))?;
        let more = answer.last_evaluated_key.is_some();
        let rows = answer.items.unwrap_or_default().into_iter().map(|row| read_row(row, ShownRow::read));
        Ok((rows.collect::<Result<_, _>>()?, more))
    }

    /// Writes rows, each on the condition that it still has the version that was loaded, or that there still is none. Each succeeds
    /// or fails alone; the answers stand in the order of `writes`.
    ///
    /// Two calls of 25 statements are sent at once: a tenth of the CPU of fifty single puts, for the same write units. What is larger follows.
    ///
    /// # Errors
    /// An outage of the whole table. Some writes may have taken effect then; a retry finds them remembered.
    pub async fn commit(
        &self,
        principal: &Principal,
        writes: &[(&ResourceKey, &ResourceWrite)],
    ) -> Result<Vec<Committed>, Failure> {
        let texts = Texts::new(&self.0.name);
        let mut committed = Vec::with_capacity(writes.len());
        for calls in calls(writes).chunks(CALLS_AT_ONCE) {
            let calls = calls.iter().map(|writes| self.execute(&texts, principal, writes));
            committed.extend(try_join_all(calls).await?.into_iter().flatten());
        }
        Ok(committed)
    }

    /// The same write as part of a transaction.
    ///
    /// # Errors
    /// The row does not serialise, which each does.
    pub fn transact(&self, scope: &Scope, resource: &ResourceKey, write: &ResourceWrite) -> Result<TransactWriteItem, Failure> {
        let names = CHANGED.iter().chain(&CREATED).map(|name| (*name).to_owned());
        let mut row = key(scope.partition(), resource.sort_key());
        row.extend(names.zip(changed(&write.resource)?.into_iter().chain(created(&write.resource.creation))));
        let put = Put::builder().table_name(&self.0.name).set_item(Some(row));
        let put = match write.expected_version {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(expected) => {
                put.condition_expression("server_version = :expected").expression_attribute_values(":expected", number(expected))
            }
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

    /// One call; statements that were throttled or met a transaction are sent again. DynamoDB reports those inside a 200, where the
    /// SDK does not repeat them.
    async fn execute(
        &self,
        texts: &Texts,
        principal: &Principal,
        writes: &[(&ResourceKey, &ResourceWrite)],
    ) -> Result<Vec<Committed>, Failure> {
        let mut committed = vec![Committed::Unavailable; writes.len()];
        let mut waiting: Vec<usize> = (0..writes.len()).collect();
        for attempt in 0..THROTTLED_ATTEMPTS_MAX {
            if attempt > 0 {
                tokio::time::sleep(backoff(attempt)).await;
            }
            let statement = |index: &usize| {
                let (key, write) = writes[*index];
                texts.statement(&principal.tenant, key, write)
            };
            let call = waiting.iter().map(statement).collect::<Result<_, _>>()?;
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

/// The statements that write a row.
struct Texts {
    insert: String,
    update: String,
}

impl Texts {
    fn new(table: &str) -> Self {
        let fields = ["pk", "sk"].iter().chain(&CHANGED).chain(&CREATED).map(|name| format!("'{name}': ?"));
        let sets = CHANGED.iter().map(|name| format!("SET \"{name}\" = ?"));
        let (fields, sets): (Vec<_>, Vec<_>) = (fields.collect(), sets.collect());
        Self {
            // Fails as a duplicate where a row exists.
            insert: format!("INSERT INTO \"{table}\" VALUE {{{}}}", fields.join(", ")),
            // The version guards the whole row: whoever changed anything raised it.
            update: format!("UPDATE \"{table}\" {} WHERE pk = ? AND sk = ? AND server_version = ?", sets.join(" ")),
        }
    }

    fn statement(&self, tenant: &str, key: &ResourceKey, write: &ResourceWrite) -> Result<BatchStatementRequest, Failure> {
        let at = [key.channel.partition(tenant), key.sort_key()].map(AttributeValue::S);
        let changed = changed(&write.resource)?;
        let (text, parameters) = match write.expected_version {
            None => (&self.insert, at.into_iter().chain(changed).chain(created(&write.resource.creation)).collect::<Vec<_>>()),
            Some(expected) => (&self.update, changed.into_iter().chain(at).chain([number(expected)]).collect()),
        };
        let statement = BatchStatementRequest::builder().statement(text).set_parameters(Some(parameters));
        statement.build().map_err(|error| Failure::unreadable("statement", error))
    }
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

/// Cuts writes into calls within both bounds.
fn calls<'a>(mut writes: &'a [(&'a ResourceKey, &'a ResourceWrite)]) -> Vec<&'a [(&'a ResourceKey, &'a ResourceWrite)]> {
    let mut calls = Vec::new();
    while !writes.is_empty() {
        let mut bytes = 0;
        let fits = writes.iter().take(STATEMENTS_MAX).take_while(|(_, write)| {
            bytes += write.resource.payload.get().len();
            bytes <= CALL_BYTES_MAX
        });
        let (call, rest) = writes.split_at(fits.count().max(1));
        calls.push(call);
        writes = rest;
    }
    calls
}
