//! `conflicts`: tenant / conflict id. What devices meant, kept until it is decided.
//!
//! A conflict's row holds its edits while their payloads are small; a large payload stands in a row of its own
//! (`part#<conflict>#<edit>`, `part#<conflict>#server-<version>`), which is never changed and is written before the row that names
//! it. Edits join on the condition that the conflict is open and holds as many edits as were read, so that none is lost.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidemark_core::{
    conflict::{ConflictEdit, ConflictStatus, ConflictWrite, Standing},
    ids,
    json::Json,
    key,
    protocol::{Action, push::ItemCode, timestamp},
    push::intake::Sender,
    resource::{EditId, ResourceKey},
};

use super::{Row, Table, from_row, is_condition_failure, key as row_key};
use crate::failure::Failure;

/// Bytes of the first edit's and of the server's payload that a conflict's own row carries at most.
const PAYLOAD_BYTES_MAX: usize = 100 * 1024;
/// Bytes of the payload of an edit that joined which a conflict's own row carries at most: with a hundred of them it stays small.
const JOINED_BYTES_MAX: usize = 1024;

/// The table of conflicts.
#[derive(Debug, Clone)]
pub struct Conflicts(pub(super) Table);

/// What became of a conflict that was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is stored.
    Done,
    /// It is not what was read any more: read it again and decide again.
    LostRace,
}

/// The row of a conflict that is opened. Of what it says, the lifecycle's own fields are those a person reads.
#[derive(Debug, Serialize)]
struct ConflictRow<'a> {
    pk: &'a str,
    sk: &'a str,
    /// Key of the index by status and time.
    status_key: String,
    id: &'a str,
    status: &'a str,
    detected_at: String,
    resource_type: &'a str,
    resource_id: &'a str,
    channel: String,
    user: &'a str,
    device_id: &'a str,
    code: ItemCode,
    server_payload: Option<&'a str>,
    server_version: u64,
    server_deleted: bool,
    /// The edit that opened it.
    edit: String,
    action: Action,
    client_payload: Option<String>,
    client_version: u64,
    base_version: Option<u64>,
    /// The edits that joined, in turn.
    joined: Vec<EditRow>,
    /// Hashes of all edits.
    edits: Vec<String>,
    edit_count: usize,
}

/// An edit that joined; a payload that is missing stands in a row of its own.
#[derive(Debug, Serialize)]
struct EditRow {
    edit: String,
    action: Action,
    client_payload: Option<String>,
    client_version: u64,
    base_version: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PartRow {
    pk: String,
    sk: String,
    payload: String,
}

#[derive(Debug, Deserialize)]
struct StandingRow {
    id: String,
    status: String,
    server_version: u64,
    edits: Vec<String>,
}

/// What the server held when a conflict was last added to.
#[derive(Debug, Deserialize)]
struct ServerRow {
    id: String,
    server_payload: Option<String>,
    server_version: u64,
    server_deleted: bool,
}

impl Conflicts {
    /// The conflicts of the sender's device about a resource, open and resolved, without payloads.
    ///
    /// # Errors
    /// An outage.
    pub async fn of_device(&self, sender: Sender<'_>, resource: &ResourceKey) -> Result<Vec<Standing>, Failure> {
        let tenant = &sender.principal.tenant;
        let prefix = ids::conflict_prefix(tenant, resource, sender.author);
        let mut standing = Vec::new();
        let mut after: Option<Row> = None;
        loop {
            let answer = self
                .0
                .query(tenant.clone())
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .projection_expression("id, #status, server_version, edits")
                .expression_attribute_names("#status", "status")
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.clone()))
                .set_exclusive_start_key(after)
                .send()
                .await
                .map_err(|error| Failure::outage("query on conflicts", error))?;
            for row in answer.items.unwrap_or_default() {
                standing.push(from_row::<StandingRow>("conflict", row)?.read()?);
            }
            after = answer.last_evaluated_key;
            if after.is_none() {
                return Ok(standing);
            }
        }
    }

    /// What the server held, and its version, when these conflicts were last added to; of deleted resources nothing.
    ///
    /// # Errors
    /// An outage.
    pub async fn server_payloads(&self, tenant: &str, ids: Vec<String>) -> Result<HashMap<String, (u64, Json)>, Failure> {
        let rows = self.0.batch_get(ids.into_iter().map(|id| row_key(tenant, id)).collect()).await?;
        let rows: Vec<ServerRow> = rows.into_iter().map(|row| from_row("conflict", row)).collect::<Result<_, _>>()?;
        let apart = rows.iter().filter(|row| row.server_payload.is_none());
        let apart = apart.map(|row| row_key(tenant, server_part(&row.id, row.server_version))).collect();
        let parts = self.0.batch_get(apart).await?.into_iter().map(|row| from_row::<PartRow>("part of a conflict", row));
        let mut parts: HashMap<String, String> =
            parts.map(|part| part.map(|part| (part.sk, part.payload))).collect::<Result<_, _>>()?;
        let mut payloads = HashMap::new();
        for row in rows.into_iter().filter(|row| !row.server_deleted) {
            let text = row.server_payload.or_else(|| parts.remove(&server_part(&row.id, row.server_version)));
            let text = text.ok_or_else(|| Failure::unreadable("conflict", format!("payload of {}", row.id)))?;
            let payload = RawValue::from_string(text).map_err(|error| Failure::unreadable("payload", error))?;
            payloads.insert(row.id, (row.server_version, payload));
        }
        Ok(payloads)
    }

    /// Stores the sender's edits in a conflict, as it was decided.
    ///
    /// # Errors
    /// An outage. A retry decides and stores the same again.
    pub async fn record(&self, sender: Sender<'_>, write: &ConflictWrite) -> Result<Recorded, Failure> {
        let tenant = &sender.principal.tenant;
        try_join_all(parts(tenant, write).into_iter().map(|part| self.put_part(part))).await?;
        let server_payload = Some(write.server.payload.get()).filter(|text| text.len() <= PAYLOAD_BYTES_MAX);
        if write.expected_edits > 0 {
            return self.join(tenant, server_payload, write).await;
        }
        let mut edits = write.edits.iter().enumerate().map(|(at, edit)| EditRow::new(edit, at == 0));
        let Some(first) = edits.next() else { return Ok(Recorded::Done) };
        let row = ConflictRow {
            pk: tenant,
            sk: &write.id,
            status_key: key::join([tenant, ConflictStatus::Open.as_str()]),
            id: &write.id,
            status: ConflictStatus::Open.as_str(),
            detected_at: timestamp(write.detected_at),
            resource_type: &write.resource.resource_type,
            resource_id: &write.resource.id,
            channel: write.resource.channel.to_string(),
            user: &sender.principal.user,
            device_id: sender.device_id,
            code: write.code,
            server_payload,
            server_version: write.server.server_version,
            server_deleted: write.server.deleted,
            edit: first.edit,
            action: first.action,
            client_payload: first.client_payload,
            client_version: first.client_version,
            base_version: first.base_version,
            joined: edits.collect(),
            edits: write.edits.iter().map(|edit| hex(edit.id)).collect(),
            edit_count: write.edits.len(),
        };
        let put = self.0.put(&row)?.condition_expression("attribute_not_exists(pk)");
        recorded("put_item on conflicts", put.send().await)
    }

    async fn join(&self, tenant: &str, server_payload: Option<&str>, write: &ConflictWrite) -> Result<Recorded, Failure> {
        let number = |number: usize| AttributeValue::N(number.to_string());
        let joined: Vec<EditRow> = write.edits.iter().map(|edit| EditRow::new(edit, false)).collect();
        let edits: Vec<String> = write.edits.iter().map(|edit| hex(edit.id)).collect();
        let list = |list: Result<AttributeValue, serde_dynamo::Error>| list.map_err(|error| Failure::unreadable("edits", error));
        let update = self
            .0
            .client
            .update_item()
            .table_name(&self.0.name)
            .set_key(Some(row_key(tenant, &write.id)))
            .update_expression(
                "SET joined = list_append(joined, :joined), edits = list_append(edits, :edits), edit_count = :count, \
                 server_payload = :payload, server_version = :version, server_deleted = :deleted",
            )
            .condition_expression("#status = :open AND edit_count = :expected")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":joined", list(serde_dynamo::to_attribute_value(joined))?)
            .expression_attribute_values(":edits", list(serde_dynamo::to_attribute_value(edits))?)
            .expression_attribute_values(":count", number(write.expected_edits + write.edits.len()))
            .expression_attribute_values(":expected", number(write.expected_edits))
            .expression_attribute_values(":open", AttributeValue::S(ConflictStatus::Open.as_str().to_owned()))
            .expression_attribute_values(
                ":payload",
                server_payload.map_or(AttributeValue::Null(true), |text| AttributeValue::S(text.to_owned())),
            )
            .expression_attribute_values(":version", AttributeValue::N(write.server.server_version.to_string()))
            .expression_attribute_values(":deleted", AttributeValue::Bool(write.server.deleted))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        recorded("update_item on conflicts", update.send().await)
    }

    async fn put_part(&self, part: PartRow) -> Result<(), Failure> {
        let put = self.0.put(&part)?.send().await;
        put.map(|_| ()).map_err(|error| Failure::outage("put_item on conflicts", error))
    }
}

impl EditRow {
    fn new(edit: &ConflictEdit, is_first: bool) -> Self {
        Self {
            edit: hex(edit.id),
            action: edit.action,
            client_payload: is_inline(edit, is_first).then(|| edit.payload.get().to_owned()),
            client_version: edit.client_version,
            base_version: edit.base_version,
        }
    }
}

impl StandingRow {
    fn read(self) -> Result<Standing, Failure> {
        let edit = |text: &String| u64::from_str_radix(text, 16).map(EditId).map_err(|error| Failure::unreadable("edit", error));
        let edits = self.edits.iter().map(edit).collect::<Result<_, _>>()?;
        let is_open = self.status == ConflictStatus::Open.as_str();
        let status = if is_open { ConflictStatus::Open } else { ConflictStatus::Resolved };
        Ok(Standing { id: self.id, status, server_version: self.server_version, edits })
    }
}

/// The payloads that stand in rows of their own.
fn parts(tenant: &str, write: &ConflictWrite) -> Vec<PartRow> {
    let part = |sk: String, payload: &Json| PartRow { pk: tenant.to_owned(), sk, payload: payload.get().to_owned() };
    let opens = write.expected_edits == 0;
    let large = write.edits.iter().enumerate().filter(|(at, edit)| !is_inline(edit, opens && *at == 0));
    let mut parts: Vec<PartRow> =
        large.map(|(_, edit)| part(format!("part#{}#{}", write.id, hex(edit.id)), &edit.payload)).collect();
    if write.server.payload.get().len() > PAYLOAD_BYTES_MAX {
        parts.push(part(server_part(&write.id, write.server.server_version), &write.server.payload));
    }
    parts
}

fn server_part(id: &str, server_version: u64) -> String {
    format!("part#{id}#server-{server_version}")
}

fn is_inline(edit: &ConflictEdit, is_first: bool) -> bool {
    edit.payload.get().len() <= if is_first { PAYLOAD_BYTES_MAX } else { JOINED_BYTES_MAX }
}

fn hex(edit: EditId) -> String {
    format!("{:016x}", edit.0)
}

fn recorded<T, E>(attempt: &str, answer: Result<T, E>) -> Result<Recorded, Failure>
where
    E: std::error::Error + aws_sdk_dynamodb::error::ProvideErrorMetadata,
{
    match answer {
        Ok(_) => Ok(Recorded::Done),
        Err(error) if is_condition_failure(&error) => Ok(Recorded::LostRace),
        Err(error) => Err(Failure::outage(attempt, error)),
    }
}
