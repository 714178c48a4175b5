//! `conflicts`: tenant / conflict id. What devices meant, kept until it is decided.
//!
//! A conflict is one row while its payloads fit; otherwise each payload has a row of its own behind it (`id#00` the server's, `id#01`…
//! the edits'), written before the row that makes the conflict visible. Edits join on the condition that the conflict is open and
//! holds as many edits as were read, so that no edit pushes another out.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidemark_core::{
    channel::Channel,
    conflict::{Conflict, ConflictEdit, ConflictStatus},
    ids,
    json::Json,
    key,
    principal::{Author, Principal},
    protocol::{Action, push::ItemCode, timestamp},
    push::decide::ConflictWrite,
    resource::{EditId, ResourceKey},
};

use super::{Row, Table, from_row, is_condition_failure, to_row};
use crate::failure::Failure;

/// Bytes of payload a conflict's own row carries; with more, they stand in rows of their own.
const INLINE_BYTES_MAX: usize = 300 * 1024;
/// Position of the server's payload among the parts.
const SERVER_PART: usize = 0;

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

#[derive(Debug, Serialize, Deserialize)]
struct ConflictRow {
    pk: String,
    sk: String,
    /// Key of the index by status and time.
    status_key: String,
    id: String,
    status: String,
    detected_at: String,
    resource_type: String,
    resource_id: String,
    channel: String,
    user: String,
    device_id: String,
    code: ItemCode,
    server_payload: Option<String>,
    server_version: u64,
    server_deleted: bool,
    client_payload: Option<String>,
    client_version: u64,
    base_version: Option<u64>,
    action: Action,
    edit: String,
    joined: Vec<EditRow>,
    edit_count: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct EditRow {
    client_payload: Option<String>,
    client_version: u64,
    base_version: Option<u64>,
    action: Action,
    edit: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct PartRow {
    pk: String,
    sk: String,
    payload: String,
}

impl Conflicts {
    /// The conflicts of the principal's device about a resource, open and resolved.
    ///
    /// # Errors
    /// An outage.
    pub async fn of_device(
        &self,
        principal: &Principal,
        resource: &ResourceKey,
        author: &Author,
    ) -> Result<Vec<Conflict>, Failure> {
        let prefix = ids::conflict_prefix(&principal.tenant, resource, author);
        self.beginning_with(&principal.tenant, &prefix).await
    }

    /// One conflict of a tenant.
    ///
    /// # Errors
    /// An outage.
    pub async fn get(&self, tenant: &str, id: &str) -> Result<Option<Conflict>, Failure> {
        let conflicts = self.beginning_with(tenant, id).await?;
        Ok(conflicts.into_iter().find(|conflict| conflict.id == id))
    }

    async fn beginning_with(&self, tenant: &str, prefix: &str) -> Result<Vec<Conflict>, Failure> {
        let mut heads: Vec<ConflictRow> = Vec::new();
        let mut parts: HashMap<String, String> = HashMap::new();
        let mut after: Option<Row> = None;
        loop {
            let answer = self
                .0
                .client
                .query()
                .table_name(&self.0.name)
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .expression_attribute_values(":pk", AttributeValue::S(tenant.to_owned()))
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
                .set_exclusive_start_key(after)
                .consistent_read(true)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(|error| Failure::outage("query on conflicts", error))?;
            for row in answer.items.unwrap_or_default() {
                if row.contains_key("status") {
                    heads.push(from_row("conflict", row)?);
                } else {
                    let part: PartRow = from_row("part of a conflict", row)?;
                    parts.insert(part.sk, part.payload);
                }
            }
            after = answer.last_evaluated_key;
            if after.is_none() {
                return heads.into_iter().map(|row| row.read(&mut parts)).collect();
            }
        }
    }

    /// Stores a conflict as it was decided.
    ///
    /// # Errors
    /// An outage. A retry decides and stores the same conflict again.
    pub async fn record(&self, principal: &Principal, write: &ConflictWrite) -> Result<Recorded, Failure> {
        let (row, parts) = ConflictRow::new(&principal.tenant, &write.conflict);
        for part in parts {
            let put = self.0.client.put_item().table_name(&self.0.name).set_item(Some(to_row(&part)?));
            let put = put.return_consumed_capacity(ReturnConsumedCapacity::Total);
            put.send().await.map_err(|error| Failure::outage("put_item on conflicts", error))?;
        }
        let put = self.0.client.put_item().table_name(&self.0.name).set_item(Some(to_row(&row)?));
        let put = match write.expected_edits {
            0 => put.condition_expression("attribute_not_exists(pk)"),
            edits => put
                .condition_expression("#status = :open AND edit_count = :edits")
                .expression_attribute_names("#status", "status")
                .expression_attribute_values(":open", AttributeValue::S(ConflictStatus::Open.as_str().to_owned()))
                .expression_attribute_values(":edits", AttributeValue::N(edits.to_string())),
        };
        match put.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await {
            Ok(_) => Ok(Recorded::Done),
            Err(error) if is_condition_failure(&error) => Ok(Recorded::LostRace),
            Err(error) => Err(Failure::outage("put_item on conflicts", error)),
        }
    }
}

impl ConflictRow {
    fn new(tenant: &str, conflict: &Conflict) -> (Self, Vec<PartRow>) {
        let edit_bytes = conflict.edits.iter().map(|edit| edit.payload.get().len()).sum::<usize>();
        let is_inline = conflict.server_payload.get().len() + edit_bytes <= INLINE_BYTES_MAX;
        let inline = |payload: &Json| is_inline.then(|| payload.get().to_owned());
        let mut edits = conflict.edits.iter().map(|edit| EditRow {
            client_payload: inline(&edit.payload),
            client_version: edit.client_version,
            base_version: edit.base_version,
            action: edit.action,
            edit: format!("{:016x}", edit.id.0),
        });
        let first = edits.next().unwrap_or_else(|| EditRow {
            client_payload: None,
            client_version: 0,
            base_version: None,
            action: Action::Update,
            edit: String::new(),
        });
        let row = Self {
            pk: tenant.to_owned(),
            sk: conflict.id.clone(),
            status_key: key::join([tenant, conflict.status.as_str()]),
            id: conflict.id.clone(),
            status: conflict.status.as_str().to_owned(),
            detected_at: timestamp(conflict.detected_at),
            resource_type: conflict.resource.resource_type.clone(),
            resource_id: conflict.resource.id.clone(),
            channel: conflict.resource.channel.to_string(),
            user: conflict.user.clone(),
            device_id: conflict.device_id.clone(),
            code: conflict.code,
            server_payload: inline(&conflict.server_payload),
            server_version: conflict.server_version,
            server_deleted: conflict.server_deleted,
            client_payload: first.client_payload,
            client_version: first.client_version,
            base_version: first.base_version,
            action: first.action,
            edit: first.edit,
            joined: edits.collect(),
            edit_count: conflict.edits.len(),
        };
        let payloads = std::iter::once(&conflict.server_payload).chain(conflict.edits.iter().map(|edit| &edit.payload));
        let parts = payloads.enumerate().filter(|_| !is_inline).map(|(index, payload)| PartRow {
            pk: tenant.to_owned(),
            sk: part_key(&conflict.id, index),
            payload: payload.get().to_owned(),
        });
        (row, parts.collect())
    }

    fn read(self, parts: &mut HashMap<String, String>) -> Result<Conflict, Failure> {
        let unreadable = |what: &str| Failure::unreadable("conflict", format!("{what} of {}", self.id));
        let mut payload = |inline: Option<String>, index: usize| {
            let text = inline.or_else(|| parts.remove(&part_key(&self.id, index))).ok_or_else(|| unreadable("payload"))?;
            RawValue::from_string(text).map_err(|error| Failure::unreadable("payload", error))
        };
        let first = EditRow {
            client_payload: self.client_payload,
            client_version: self.client_version,
            base_version: self.base_version,
            action: self.action,
            edit: self.edit,
        };
        let edits = std::iter::once(first).chain(self.joined).enumerate().map(|(index, edit)| {
            Ok(ConflictEdit {
                id: EditId(u64::from_str_radix(&edit.edit, 16).map_err(|error| Failure::unreadable("edit", error))?),
                action: edit.action,
                payload: payload(edit.client_payload, SERVER_PART + 1 + index)?,
                client_version: edit.client_version,
                base_version: edit.base_version,
            })
        });
        let edits = edits.collect::<Result<_, Failure>>()?;
        let channel = Channel::parse(&self.channel).ok_or_else(|| unreadable("channel"))?;
        let detected_at =
            DateTime::parse_from_rfc3339(&self.detected_at).map_err(|error| Failure::unreadable("detected_at", error))?;
        Ok(Conflict {
            server_payload: payload(self.server_payload, SERVER_PART)?,
            resource: ResourceKey { channel, resource_type: self.resource_type, id: self.resource_id },
            author: Author::device(&self.user, &self.device_id),
            user: self.user,
            device_id: self.device_id,
            code: self.code,
            server_version: self.server_version,
            server_deleted: self.server_deleted,
            edits,
            detected_at: detected_at.to_utc(),
            status: if self.status == ConflictStatus::Open.as_str() { ConflictStatus::Open } else { ConflictStatus::Resolved },
            id: self.id,
        })
    }
}

fn part_key(id: &str, index: usize) -> String {
    format!("{id}#{index:03}")
}
