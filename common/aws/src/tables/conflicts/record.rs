//! Writes conflicts: opens conflicts, joins edits to them, and stores conflicts that a policy has
//! resolved. The conflicts of many resources are written together in conditional statements.

use std::collections::BTreeMap;

use crate::tables::format::pack;
use aws_sdk_dynamodb::{
    primitives::Blob,
    types::{AttributeValue, Put, Update},
};
use tidemark_core::{
    model::conflict::{ConflictSlot, ConflictWrite},
    rules::push::edit::Sender,
};

use super::{
    Conflicts, accept_existing,
    encode::value,
    keys,
    opened::OpenedConflict,
    payloads::{SeparatePayloads, StoredPayload},
    statements::ConflictStatement,
    throttled,
};
use crate::{
    error::Error,
    tables::{Row, TransactionItem, statements::WriteOutcome},
};

impl Conflicts {
    /// Stores conflicts. `resources` contains the writes of each resource in the order in which
    /// they must be applied. Returns for each resource whether all its writes were applied. If not,
    /// the stored conflicts differ from those that were read: the caller must read them and decide
    /// again. A retry is safe: a write that an earlier attempt applied fails its condition and is
    /// reported as not applied.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable.
    pub async fn record(
        &self,
        sender: Sender<'_>,
        resources: &[&[ConflictWrite]],
    ) -> Result<Vec<bool>, Error> {
        let all: Vec<&ConflictWrite> = resources.iter().copied().flatten().collect();
        let marker_rows = self.put_separate_payloads(sender, &all).await?;
        let mut is_stored_by_resource = vec![true; resources.len()];

        let steps = resources
            .iter()
            .map(|writes| writes.len())
            .max()
            .unwrap_or_default();

        for step in 0..steps {
            let writes = resources
                .iter()
                .enumerate()
                .filter_map(|(index, writes)| Some((index, writes.get(step)?)));
            let writes: Vec<(usize, &ConflictWrite)> = writes
                .filter(|(index, _)| is_stored_by_resource[*index])
                .collect();

            let markers = if step == 0 {
                marker_rows.as_slice()
            } else {
                &[]
            };
            for (index, is_stored) in self.record_step(sender, &writes, markers).await? {
                is_stored_by_resource[index] &= is_stored;
            }
        }
        Ok(is_stored_by_resource)
    }

    /// Writes the next conflict of each resource, all in one step.
    async fn record_step(
        &self,
        sender: Sender<'_>,
        writes: &[(usize, &ConflictWrite)],
        marker_rows: &[Row],
    ) -> Result<Vec<(usize, bool)>, Error> {
        // A device's first conflict about a resource lists its later conflicts. A later conflict is
        // added to that list before its own row is written, so that a push that reads the list
        // either finds the conflict or knows that it was never written.
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

        for mark in marker_rows {
            statements.push(self.insert(mark.clone(), 0)?);
        }

        // `zip` ignores the outcomes of the marker rows at the end. A marker may exist already, and
        // if it is missing, the next conflict about the version stores the payload again, which has
        // no effect.
        for (index, committed) in waiting.into_iter().zip(self.write_all(statements).await?) {
            match committed {
                WriteOutcome::Unavailable => return Err(throttled()),
                committed => recorded.push((index, committed == WriteOutcome::Written)),
            }
        }
        Ok(recorded)
    }

    /// Stores the large payloads of a conflict that a policy resolved, and returns the transaction
    /// items that insert the conflict if it does not exist.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable.
    pub async fn prepare_policy_conflict(
        &self,
        sender: Sender<'_>,
        write: &ConflictWrite,
    ) -> Result<Vec<TransactionItem>, Error> {
        let marker_rows = self.put_separate_payloads(sender, &[write]).await?;
        let place = OpenedConflict::of(write)?;
        let Some(row) = place.row(sender, write)? else {
            return Ok(Vec::new());
        };

        let put = |row: Row| Put::builder().table_name(&self.0.name).set_item(Some(row));
        let mut items = vec![TransactionItem::put(
            put(row).condition_expression("attribute_not_exists(pk)"),
        )?];
        for mark in marker_rows {
            items.push(TransactionItem::put(put(mark))?);
        }

        if let Some((newest, is_decided)) = &place.last {
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
                .expression_attribute_values(":siblings", value(&place.neighbors)?)
                .expression_attribute_values(":followed", AttributeValue::Bool(*is_decided))
                .expression_attribute_values(":newest", AttributeValue::S(newest.clone()));
            items.push(TransactionItem::update(update)?);
        }
        Ok(items)
    }

    /// Writes the payloads that are stored in separate rows. Returns the marker rows of the server
    /// payloads that it stored: the caller writes them together with the conflicts, so that a later
    /// conflict about the same version need not write the payload.
    async fn put_separate_payloads(
        &self,
        sender: Sender<'_>,
        writes: &[&ConflictWrite],
    ) -> Result<Vec<Row>, Error> {
        let tenant = &sender.principal.tenant;
        let versions: BTreeMap<_, _> = writes
            .iter()
            .filter_map(|write| StoredPayload::version_to_store(write))
            .map(|version| ((version.resource, version.number), version))
            .collect();
        let versions: Vec<_> = versions.into_values().collect();

        let mut parts = Vec::new();
        for write in writes {
            for part in SeparatePayloads::of(write).parts() {
                let mut row = keys::of(tenant, &write.id, write.slot)?;
                row.insert(
                    "sk".to_owned(),
                    AttributeValue::S(keys::part(&write.id, &part.name)?),
                );
                row.insert(
                    "packed".to_owned(),
                    AttributeValue::B(Blob::new(pack(&part.serialized()?))),
                );
                parts.push(self.insert(row, part.bytes())?);
            }
        }

        let put_versions = async {
            match versions.is_empty() {
                true => Ok(Vec::new()),
                false => self.store_new_versions(tenant, &versions).await,
            }
        };

        let (marker_rows, parts) = tokio::try_join!(put_versions, self.write_all(parts))?;
        parts.into_iter().try_for_each(accept_existing)?;
        Ok(marker_rows)
    }

    async fn write_all(&self, writes: Vec<ConflictStatement>) -> Result<Vec<WriteOutcome>, Error> {
        let bytes: Vec<usize> = writes.iter().map(|write| write.bytes).collect();
        self.0
            .execute_all(&bytes, |index| Ok(writes[index].statement.clone()))
            .await
    }
}
