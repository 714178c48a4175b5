//! Writes conflicts: opens conflicts, joins edits to them, and stores conflicts that a policy has
//! resolved. The conflicts of many resources are written together in conditional statements.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::{
    primitives::Blob,
    types::{AttributeValue, Put, TransactWriteItem, Update},
};
use tidemark_core::{
    conflict::{ConflictSlot, ConflictWrite},
    pack::pack,
    push::intake::Sender,
};

use super::{
    Conflicts,
    encode::value,
    keys,
    opened::OpenedConflict,
    payloads::{Apart, StoredPayload, part_text},
    statements::ConflictStatement,
};
use crate::{
    failure::Failure,
    tables::{
        Row,
        statements::WriteOutcome,
        transaction::{incomplete, transact_put},
    },
};

impl Conflicts {
    /// Stores the sender's edits in conflicts as decided: for each resource its conflicts, in
    /// order. Returns, for each resource, whether all its conflicts were still in the state that
    /// was read. If not, the caller must read the state and decide again.
    ///
    /// # Errors
    /// Returns `Failure` if DynamoDB is unavailable. The operation is idempotent.
    pub async fn record(
        &self,
        sender: Sender<'_>,
        resources: &[&[ConflictWrite]],
    ) -> Result<Vec<bool>, Failure> {
        let all: Vec<&ConflictWrite> = resources.iter().copied().flatten().collect();
        let marks = self.put_apart(sender, &all).await?;
        let mut are_stored = vec![true; resources.len()];

        let rounds = resources
            .iter()
            .map(|writes| writes.len())
            .max()
            .unwrap_or_default();

        for round in 0..rounds {
            let writes = resources
                .iter()
                .enumerate()
                .filter_map(|(index, writes)| Some((index, writes.get(round)?)));
            let writes: Vec<(usize, &ConflictWrite)> =
                writes.filter(|(index, _)| are_stored[*index]).collect();

            let extra = if round == 0 { marks.as_slice() } else { &[] };
            for (index, is_stored) in self.record_round(sender, &writes, extra).await? {
                are_stored[index] &= is_stored;
            }
        }
        Ok(are_stored)
    }

    /// Writes one conflict of each resource.
    async fn record_round(
        &self,
        sender: Sender<'_>,
        writes: &[(usize, &ConflictWrite)],
        marks: &[Row],
    ) -> Result<Vec<(usize, bool)>, Failure> {
        // A conflict in a separate row is announced in the first row before it is written, so that
        // the next push finds it if this push stops in between.
        let mut announcements = BTreeMap::new();
        for (index, write) in writes {
            if let Some(announcement) = self.announcement(sender, write)? {
                announcements.insert(*index, announcement);
            }
        }

        let indexes: Vec<usize> = announcements.keys().copied().collect();
        let committed = self
            .write_all(announcements.into_values().collect())
            .await?;
        let announced: BTreeMap<usize, WriteOutcome> = indexes.into_iter().zip(committed).collect();

        let mut statements = Vec::new();
        let mut waiting = Vec::new();
        let mut recorded = Vec::new();
        for (index, write) in writes {
            match announced.get(index) {
                None | Some(WriteOutcome::Written) => {
                    statements.push(self.statement(sender, write)?);
                    waiting.push(*index);
                }
                Some(WriteOutcome::ConditionFailed) => recorded.push((*index, false)),
                Some(WriteOutcome::Unavailable) => return Err(throttled()),
            }
        }

        for mark in marks {
            statements.push(self.insert(mark.clone(), 0)?);
        }

        // The marker rows come last; it does not matter if they exist already.
        for (index, committed) in waiting.into_iter().zip(self.write_all(statements).await?) {
            match committed {
                WriteOutcome::Unavailable => return Err(throttled()),
                committed => recorded.push((index, committed == WriteOutcome::Written)),
            }
        }
        Ok(recorded)
    }

    /// Returns the transaction items that store a conflict which a policy resolved, on the
    /// condition that it is new. Stores its large payloads first.
    ///
    /// # Errors
    /// Returns `Failure` if DynamoDB is unavailable.
    pub async fn transact(
        &self,
        sender: Sender<'_>,
        write: &ConflictWrite,
    ) -> Result<Vec<TransactWriteItem>, Failure> {
        let marks = self.put_apart(sender, &[write]).await?;
        let place = OpenedConflict::of(write)?;
        let Some(row) = place.row(sender, write)? else {
            return Ok(Vec::new());
        };

        let put = |row: Row| Put::builder().table_name(&self.0.name).set_item(Some(row));
        let mut items = vec![transact_put(
            put(row).condition_expression("attribute_not_exists(pk)"),
        )?];
        for mark in marks {
            items.push(transact_put(put(mark))?);
        }

        if let Some((newest, is_decided)) = &place.neighbors {
            let id = keys::parse(&write.id)?;
            let update = Update::builder()
                .table_name(&self.0.name)
                .set_key(Some(keys::of(
                    &sender.principal.tenant,
                    &write.id,
                    ConflictSlot::First,
                )?))
                .update_expression("SET newest = :own, siblings = :siblings, followed = :followed")
                .condition_expression("newest = :newest")
                .expression_attribute_values(":own", AttributeValue::S(id.edit.to_owned()))
                .expression_attribute_values(":siblings", value(&place.siblings)?)
                .expression_attribute_values(":followed", AttributeValue::Bool(*is_decided))
                .expression_attribute_values(":newest", AttributeValue::S(newest.clone()));
            items.push(
                TransactWriteItem::builder()
                    .update(update.build().map_err(incomplete)?)
                    .build(),
            );
        }
        Ok(items)
    }

    /// Writes the payloads that are stored in separate rows. Returns the marker rows of new
    /// versions, which are written together with the conflicts.
    async fn put_apart(
        &self,
        sender: Sender<'_>,
        writes: &[&ConflictWrite],
    ) -> Result<Vec<Row>, Failure> {
        let tenant = &sender.principal.tenant;
        let versions: BTreeMap<_, _> = writes
            .iter()
            .filter_map(|write| StoredPayload::to_keep(write))
            .map(|version| ((version.resource, version.number), version))
            .collect();
        let versions: Vec<_> = versions.into_values().collect();

        let mut parts = Vec::new();
        for write in writes {
            for (name, edits) in Apart::of(write).0 {
                let mut row = keys::of(tenant, &write.id, write.slot)?;
                row.insert(
                    "sk".to_owned(),
                    AttributeValue::S(keys::part(&write.id, &name)?),
                );
                row.insert(
                    "packed".to_owned(),
                    AttributeValue::B(Blob::new(pack(&part_text(&edits)?))),
                );
                let bytes = edits.iter().map(|edit| edit.payload.get().len()).sum();
                parts.push(self.insert(row, bytes)?);
            }
        }

        let keep_versions = async {
            match versions.is_empty() {
                true => Ok(Vec::new()),
                false => self.share_versions(tenant, &versions).await,
            }
        };

        let (marks, parts) = tokio::try_join!(keep_versions, self.write_all(parts))?;
        parts.into_iter().try_for_each(is_there)?;
        Ok(marks)
    }

    async fn write_all(
        &self,
        writes: Vec<ConflictStatement>,
    ) -> Result<Vec<WriteOutcome>, Failure> {
        let bytes: Vec<usize> = writes.iter().map(|write| write.bytes).collect();
        self.0
            .execute_all(&bytes, |index| Ok(writes[index].statement.clone()))
            .await
    }
}

/// Accepts a write outcome for an immutable row, which may exist already.
pub(super) fn is_there(committed: WriteOutcome) -> Result<(), Failure> {
    match committed {
        WriteOutcome::Written | WriteOutcome::ConditionFailed => Ok(()),
        WriteOutcome::Unavailable => Err(throttled()),
    }
}

fn throttled() -> Failure {
    Failure::Outage("batch_execute_statement on conflicts: throttled".into())
}
