//! Reading conflicts: one of them whole, with the payloads that stand in rows of their own, or a page of many without those.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use tidemark_core::{
    channel::Channel,
    conflict::{Conflict, ConflictEdit, ConflictStatus},
    json::Json,
    key,
    protocol::{Action, conflicts::ConflictEntry, push::ItemCode},
    resource::ResourceKey,
};

use super::{Conflicts, EditRow, OutcomeRow, edit_id, edit_part, row_key, server_part};
use crate::{
    failure::Failure,
    tables::{Row, from_row, text},
};

/// The index by status and time.
const BY_STATUS: &str = "by_status";

/// Where a conflict stands in the index: when it was detected, and its id.
pub type Place = [String; 2];

/// The row of a conflict.
#[derive(Debug, Deserialize)]
struct StoredRow {
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
    edit: String,
    action: Action,
    client_payload: Option<String>,
    client_version: u64,
    base_version: Option<u64>,
    joined: Vec<EditRow>,
    outcome: Option<OutcomeRow>,
}

impl Conflicts {
    /// A conflict, whole, strongly consistently; `None` where there is none.
    ///
    /// # Errors
    /// An outage, or a row that does not read.
    pub async fn read(&self, tenant: &str, id: &str) -> Result<Option<Conflict>, Failure> {
        let Some(row) = self.0.batch_get(vec![row_key(tenant, id)]).await?.pop() else { return Ok(None) };
        let row: StoredRow = from_row("conflict", row)?;
        let apart = row.apart().into_iter().map(|part| row_key(tenant, part)).collect();
        let mut parts = self.parts(apart).await?;
        row.read(&mut |part| parts.remove(&part)).map(Some)
    }

    /// At most `limit` conflicts of one status behind `after`, in the order they were detected, and where the last of them stands if
    /// there are more. Payloads that stand in rows of their own are left out. A row that does not read is logged and left out.
    ///
    /// The index may lag behind by a moment: a conflict whose own row has another status by now is left out too.
    ///
    /// # Errors
    /// An outage.
    pub async fn list(
        &self,
        tenant: &str,
        status: ConflictStatus,
        after: Option<Place>,
        limit: usize,
    ) -> Result<(Vec<ConflictEntry>, Option<Place>), Failure> {
        let mut places = self.places(tenant, status, after, limit + 1).await?;
        let has_more = places.len() > limit;
        places.truncate(limit);
        let rows = self.0.batch_get(places.iter().map(|[_, id]| row_key(tenant, id)).collect()).await?;
        let mut by_id: HashMap<String, Row> =
            rows.into_iter().filter_map(|row| Some((text(&row, "sk")?.to_owned(), row))).collect();
        let entries = places.iter().filter_map(|[_, id]| listed(id, by_id.remove(id)?, status)).collect();
        Ok((entries, places.pop().filter(|_| has_more)))
    }

    /// The index by status. It cannot be read strongly consistently.
    async fn places(
        &self,
        tenant: &str,
        status: ConflictStatus,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Place>, Failure> {
        let status_key = AttributeValue::S(key::join([tenant, status.as_str()]));
        let start = after.map(|[detected_at, id]| {
            let index = [("status_key", status_key.clone()), ("detected_at", AttributeValue::S(detected_at))];
            row_key(tenant, id).into_iter().chain(index.map(|(name, value)| (name.to_owned(), value))).collect()
        });
        let answer = self
            .0
            .client
            .query()
            .table_name(&self.0.name)
            .index_name(BY_STATUS)
            .key_condition_expression("status_key = :status")
            .expression_attribute_values(":status", status_key)
            .set_exclusive_start_key(start)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| Failure::outage("query on conflicts by status", error))?;
        let rows = answer.items.unwrap_or_default();
        Ok(rows.iter().filter_map(|row| Some([text(row, "detected_at")?.to_owned(), text(row, "sk")?.to_owned()])).collect())
    }
}

/// A conflict as a list shows it; `None` for one that has another status by now, or does not read.
fn listed(id: &str, row: Row, status: ConflictStatus) -> Option<ConflictEntry> {
    let read = from_row::<StoredRow>("conflict", row).and_then(|row| {
        let is_apart = (row.server_payload.is_none() && row.server_version > 0, row.client_payload.is_none());
        // What stands elsewhere is not looked up for a list: `null` takes its place, and is left out below.
        let conflict = row.read(&mut |_| Some("null".to_owned()))?;
        Ok((conflict, is_apart))
    });
    match read {
        Ok((conflict, _)) if conflict.outcome.is_some() != (status == ConflictStatus::Resolved) => None,
        Ok((conflict, (server_payload_omitted, client_payload_omitted))) => {
            let mut entry = ConflictEntry { server_payload_omitted, client_payload_omitted, ..ConflictEntry::new(conflict) };
            entry.server_payload = entry.server_payload.filter(|_| !server_payload_omitted);
            entry.client_payload = entry.client_payload.filter(|_| !client_payload_omitted);
            Some(entry)
        }
        Err(failure) => {
            tracing::error!(%failure, %id, "a conflict does not read");
            None
        }
    }
}

impl StoredRow {
    /// The keys of the payloads that stand in rows of their own.
    fn apart(&self) -> Vec<String> {
        let server =
            (self.server_payload.is_none() && self.server_version > 0).then(|| server_part(&self.id, self.server_version));
        let first = self.client_payload.is_none().then(|| edit_part(&self.id, &self.edit));
        let joined = self.joined.iter().filter(|edit| edit.client_payload.is_none());
        let joined = joined.map(|edit| edit_part(&self.id, &edit.edit));
        server.into_iter().chain(first).chain(joined).collect()
    }

    /// The conflict, given what stands in a row of its own under a key.
    fn read(self, part: &mut dyn FnMut(String) -> Option<String>) -> Result<Conflict, Failure> {
        let id = self.id;
        let unreadable = |what: &str| Failure::unreadable("conflict", format!("{what} of {id}"));
        let detected_at = DateTime::parse_from_rfc3339(&self.detected_at).map_err(|_| unreadable("detected_at"))?;
        let channel = Channel::parse(&self.channel).ok_or_else(|| unreadable("channel"))?;
        let is_open = self.status == ConflictStatus::Open.as_str();
        if is_open == self.outcome.is_some() {
            return Err(unreadable("status"));
        }
        let server_payload = match (self.server_payload, self.server_version) {
            (None, 0) => None,
            (None, version) => Some(part(server_part(&id, version)).ok_or_else(|| unreadable("server payload"))?),
            (inline, _) => inline,
        };
        let first = EditRow {
            edit: self.edit,
            action: self.action,
            client_payload: self.client_payload,
            client_version: self.client_version,
            base_version: self.base_version,
        };
        let edits = std::iter::once(first).chain(self.joined).map(|edit| {
            let text = edit.client_payload.or_else(|| part(edit_part(&id, &edit.edit)));
            Ok(ConflictEdit {
                id: edit_id(&edit.edit)?,
                action: edit.action,
                payload: json(text.ok_or_else(|| unreadable("client payload"))?)?,
                client_version: edit.client_version,
                base_version: edit.base_version,
            })
        });
        Ok(Conflict {
            edits: edits.collect::<Result<_, Failure>>()?,
            resource: ResourceKey { channel, resource_type: self.resource_type, id: self.resource_id },
            user: self.user,
            device_id: self.device_id,
            detected_at: detected_at.with_timezone(&Utc),
            code: self.code,
            server_payload: server_payload.map(json).transpose()?,
            server_version: self.server_version,
            server_deleted: self.server_deleted,
            outcome: self.outcome.map(OutcomeRow::read).transpose()?,
            id,
        })
    }
}

fn json(text: String) -> Result<Json, Failure> {
    RawValue::from_string(text).map_err(|error| Failure::undecoded("payload", error))
}
