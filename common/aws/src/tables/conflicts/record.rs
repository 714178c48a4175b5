//! Writing conflicts: opening one, joining one, and keeping one that a policy decided at once.

use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnConsumedCapacity, TransactWriteItem};
use futures_util::future::try_join_all;
use tidemark_core::{
    conflict::{ConflictStatus, ConflictWrite},
    json::Json,
    key,
    protocol::timestamp,
    push::intake::Sender,
};

use super::{
    ConflictRow, Conflicts, EditRow, OutcomeRow, PAYLOAD_BYTES_MAX, PartRow, Recorded, by_device::device_key, hex, is_inline,
    row_key, server_part,
};
use crate::{
    failure::Failure,
    tables::{is_condition_failure, to_row, transaction::transact_put},
};

impl Conflicts {
    /// Stores the sender's edits in a conflict, as it was decided.
    ///
    /// # Errors
    /// An outage. A retry decides and stores the same again.
    pub async fn record(&self, sender: Sender<'_>, write: &ConflictWrite) -> Result<Recorded, Failure> {
        let tenant = &sender.principal.tenant;
        self.put_parts(tenant, write).await?;
        if write.expected_edits > 0 {
            return self.join(tenant, write).await;
        }
        let Some(row) = row(sender, write) else { return Ok(Recorded::Done) };
        let put = self.0.put(&row)?.condition_expression("attribute_not_exists(pk)");
        recorded("put_item on conflicts", put.send().await)
    }

    /// The part of a transaction that keeps a conflict which a policy decided, on the condition that it is new. Its large payloads
    /// are stored before.
    ///
    /// # Errors
    /// An outage.
    pub async fn transact(&self, sender: Sender<'_>, write: &ConflictWrite) -> Result<Option<TransactWriteItem>, Failure> {
        self.put_parts(&sender.principal.tenant, write).await?;
        let Some(row) = row(sender, write) else { return Ok(None) };
        let put = Put::builder().table_name(&self.0.name).set_item(Some(to_row(&row)?));
        transact_put(put.condition_expression("attribute_not_exists(pk)")).map(Some)
    }

    async fn put_parts(&self, tenant: &str, write: &ConflictWrite) -> Result<(), Failure> {
        try_join_all(parts(tenant, write).into_iter().map(|part| self.put_part(part))).await?;
        Ok(())
    }

    async fn join(&self, tenant: &str, write: &ConflictWrite) -> Result<Recorded, Failure> {
        let number = |number: usize| AttributeValue::N(number.to_string());
        let joined: Vec<EditRow> = write.edits.iter().map(|edit| EditRow::new(edit, false)).collect();
        let edits: Vec<String> = write.edits.iter().map(|edit| hex(edit.id)).collect();
        let list = |list: Result<AttributeValue, serde_dynamo::Error>| list.map_err(|error| Failure::undecoded("edits", error));
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
                inline_server_payload(write).map_or(AttributeValue::Null(true), |text| AttributeValue::S(text.to_owned())),
            )
            .expression_attribute_values(":version", AttributeValue::N(server_version(write).to_string()))
            .expression_attribute_values(":deleted", AttributeValue::Bool(server_deleted(write)))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        recorded("update_item on conflicts", update.send().await)
    }

    async fn put_part(&self, part: PartRow) -> Result<(), Failure> {
        let put = self.0.put(&part)?.send().await;
        put.map(|_| ()).map_err(|error| Failure::outage("put_item on conflicts", error))
    }
}

/// The row of a conflict that is opened; `None` for one without edits, which none is.
fn row<'a>(sender: Sender<'a>, write: &'a ConflictWrite) -> Option<ConflictRow<'a>> {
    let tenant = &sender.principal.tenant;
    let status = if write.outcome.is_some() { ConflictStatus::Resolved } else { ConflictStatus::Open };
    let mut edits = write.edits.iter().enumerate().map(|(at, edit)| EditRow::new(edit, at == 0));
    let first = edits.next()?;
    Some(ConflictRow {
        pk: tenant,
        sk: &write.id,
        status_key: key::join([tenant, status.as_str()]),
        device_key: device_key(&sender.principal.tenant, &sender.principal.user, sender.device_id),
        id: &write.id,
        status: status.as_str(),
        detected_at: timestamp(write.detected_at),
        resource_type: &write.resource.resource_type,
        resource_id: &write.resource.id,
        channel: write.resource.channel.to_string(),
        user: &sender.principal.user,
        device_id: sender.device_id,
        code: write.code,
        server_payload: inline_server_payload(write),
        server_version: server_version(write),
        server_deleted: server_deleted(write),
        edit: first.edit,
        action: first.action,
        client_payload: first.client_payload,
        client_version: first.client_version,
        base_version: first.base_version,
        joined: edits.collect(),
        edits: write.edits.iter().map(|edit| hex(edit.id)).collect(),
        edit_count: write.edits.len(),
        outcome: write.outcome.as_ref().map(OutcomeRow::new),
    })
}

/// What the server held, where it stands in the conflict's own row.
fn inline_server_payload(write: &ConflictWrite) -> Option<&str> {
    let payload = write.server.as_ref().map(|server| server.payload.get());
    payload.filter(|text| text.len() <= PAYLOAD_BYTES_MAX)
}

fn server_version(write: &ConflictWrite) -> u64 {
    write.server.as_ref().map_or(0, |server| server.server_version)
}

fn server_deleted(write: &ConflictWrite) -> bool {
    write.server.as_ref().is_some_and(|server| server.deleted)
}

/// The payloads that stand in rows of their own.
fn parts(tenant: &str, write: &ConflictWrite) -> Vec<PartRow> {
    let part = |sk: String, payload: &Json| PartRow { pk: tenant.to_owned(), sk, payload: payload.get().to_owned() };
    let opens = write.expected_edits == 0;
    let large = write.edits.iter().enumerate().filter(|(at, edit)| !is_inline(edit, opens && *at == 0));
    let mut parts: Vec<PartRow> =
        large.map(|(_, edit)| part(format!("part#{}#{}", write.id, hex(edit.id)), &edit.payload)).collect();
    if let Some(server) = write.server.as_ref().filter(|server| server.payload.get().len() > PAYLOAD_BYTES_MAX) {
        parts.push(part(server_part(&write.id, server.server_version), &server.payload));
    }
    parts
}

fn recorded<T, E>(attempt: &str, answer: Result<T, E>) -> Result<Recorded, Failure>
where
    E: std::error::Error + aws_sdk_dynamodb::error::ProvideErrorMetadata + 'static,
{
    match answer {
        Ok(_) => Ok(Recorded::Done),
        Err(error) if is_condition_failure(&error) => Ok(Recorded::LostRace),
        Err(error) => Err(Failure::outage(attempt, error)),
    }
}
