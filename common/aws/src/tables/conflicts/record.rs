//! Writing conflicts: opening some, joining some, and keeping one that a policy decided at once.
//! The conflicts of many resources are written together, in conditional statements.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::{
    primitives::Blob,
    types::{AttributeValue, BatchStatementRequest, Put, TransactWriteItem, Update},
};
use tidemark_core::{
    conflict::{ConflictSlot, ConflictStatus, ConflictWrite, Neighbor},
    limits::RESOLVED_CONFLICTS_MAX,
    pack::pack,
    push::intake::Sender,
};

use super::{
    Conflicts, hex, keys,
    row::{Apart, StoredPayload, number, opened, part_text, value},
};
use crate::{
    failure::Failure,
    tables::{
        Row,
        statements::{WriteOutcome, statement},
        transaction::{incomplete, transact_put},
    },
};

/// A statement that is to be executed, and the bytes of payload that it carries.
struct Write {
    statement: BatchStatementRequest,
    bytes: usize,
}

/// A conflict that is opened: where it stands, and what announces it.
struct OpenedConflict {
    slot: ConflictSlot,
    /// The edits, or ids, of the conflicts that the first row is to name.
    siblings: Vec<String>,
    /// Of one that stands beside the first: the edit that opened the last one that was known, and
    /// whether the first is decided.
    behind: Option<(String, bool)>,
}

impl Conflicts {
    /// Stores the sender's edits in conflicts, as it was decided: for each resource its conflicts,
    /// in turn. Says for each resource whether all of them still were what was read; if not, it is
    /// to be read and decided again.
    ///
    /// # Errors
    /// An outage. A retry decides and stores the same again.
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

    /// One conflict of each resource.
    async fn record_round(
        &self,
        sender: Sender<'_>,
        writes: &[(usize, &ConflictWrite)],
        marks: &[Row],
    ) -> Result<Vec<(usize, bool)>, Failure> {
        // Those beside another are announced in its row first: what a push that dies leaves behind
        // is found by the next.
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
                Some(WriteOutcome::Lost) => recorded.push((*index, false)),
                Some(WriteOutcome::Unavailable) => return Err(throttled()),
            }
        }
        for mark in marks {
            statements.push(self.insert(mark.clone(), 0)?);
        }
        // The marks come last, and whether they are there already does not matter.
        for (index, committed) in waiting.into_iter().zip(self.write_all(statements).await?) {
            match committed {
                WriteOutcome::Unavailable => return Err(throttled()),
                committed => recorded.push((index, committed == WriteOutcome::Written)),
            }
        }
        Ok(recorded)
    }

    /// The parts of a transaction that keep a conflict which a policy decided, on the condition
    /// that it is new. Its large payloads are stored before.
    ///
    /// # Errors
    /// An outage.
    pub async fn transact(
        &self,
        sender: Sender<'_>,
        write: &ConflictWrite,
    ) -> Result<Vec<TransactWriteItem>, Failure> {
        let marks = self.put_apart(sender, &[write]).await?;
        let place = OpenedConflict::of(write)?;
        let Some(row) = self.row(sender, write, &place)? else {
            return Ok(Vec::new());
        };
        let put = |row: Row| Put::builder().table_name(&self.0.name).set_item(Some(row));
        let mut items = vec![transact_put(
            put(row).condition_expression("attribute_not_exists(pk)"),
        )?];
        for mark in marks {
            items.push(transact_put(put(mark))?);
        }
        if let Some((newest, is_decided)) = &place.behind {
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

    /// Stores what stands apart; gives the marks of versions that are kept now, to be written with
    /// the conflicts.
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

    /// What the first row is to say of a conflict that is opened beside it; `None` for any other
    /// write.
    fn announcement(
        &self,
        sender: Sender<'_>,
        write: &ConflictWrite,
    ) -> Result<Option<Write>, Failure> {
        if write.expected_edits > 0 {
            return Ok(None);
        }
        let place = OpenedConflict::of(write)?;
        let Some((newest, is_decided)) = place.behind else {
            return Ok(None);
        };
        let id = keys::parse(&write.id)?;
        let text = format!(
            "UPDATE \"{}\" SET newest = ? SET siblings = ? SET followed = ? WHERE pk = ? AND sk = ? AND newest = ?",
            self.0.name
        );
        let [pk, sk] = key_values(keys::of(
            &sender.principal.tenant,
            &write.id,
            ConflictSlot::First,
        )?);
        let own = AttributeValue::S(id.edit.to_owned());
        let values = vec![
            own,
            value(&place.siblings)?,
            AttributeValue::Bool(is_decided),
            pk,
            sk,
            AttributeValue::S(newest),
        ];
        Ok(Some(Write {
            statement: statement(&text, values)?,
            bytes: 0,
        }))
    }

    fn statement(&self, sender: Sender<'_>, write: &ConflictWrite) -> Result<Write, Failure> {
        if write.expected_edits > 0 {
            return self.join(sender, write);
        }
        let place = OpenedConflict::of(write)?;
        let row = self
            .row(sender, write, &place)?
            .ok_or_else(|| Failure::unreadable("conflict", "without edits"))?;
        self.insert(row, super::INLINE_BYTES_MAX)
    }

    fn row(
        &self,
        sender: Sender<'_>,
        write: &ConflictWrite,
        place: &OpenedConflict,
    ) -> Result<Option<Row>, Failure> {
        let Some(mut row) = opened(sender, write, place.slot, &Apart::of(write))? else {
            return Ok(None);
        };
        if place.slot == ConflictSlot::First && !place.siblings.is_empty() {
            row.insert("siblings".to_owned(), value(&place.siblings)?);
        }
        Ok(Some(row))
    }

    /// Edits join on the condition that the conflict is open and holds as many as were read.
    fn join(&self, sender: Sender<'_>, write: &ConflictWrite) -> Result<Write, Failure> {
        let apart = Apart::of(write);
        let edits: Vec<String> = write.edits.iter().map(|edit| hex(edit.id)).collect();
        let null = AttributeValue::Null(true);
        let (payload, at, bytes) = match StoredPayload::of(write) {
            StoredPayload::Nothing => (null, 0, 0),
            StoredPayload::Inline(text) => (AttributeValue::S(text.to_owned()), 0, 0),
            StoredPayload::Kept { number, bytes } => (null, number, bytes),
        };
        let server_version = write
            .server
            .as_ref()
            .map_or(0, |server| server.server_version);
        let is_deleted = write.server.as_ref().is_some_and(|server| server.deleted);
        let text = format!(
            "UPDATE \"{}\" SET joined = list_append(joined, ?) SET edits = list_append(edits, ?) SET edit_count = ? \
             SET server_payload = ? SET server_at = ? SET server_bytes = ? SET server_version = ? SET server_deleted = ? \
             WHERE pk = ? AND sk = ? AND id = ? AND \"status\" = ? AND edit_count = ?",
            self.0.name
        );
        let [pk, sk] = key_values(keys::of(&sender.principal.tenant, &write.id, write.slot)?);
        let values = vec![
            value(&apart.rows(&write.edits))?,
            value(&edits)?,
            number(write.expected_edits + write.edits.len()),
            payload,
            number(at),
            number(bytes),
            number(server_version),
            AttributeValue::Bool(is_deleted),
            pk,
            sk,
            AttributeValue::S(write.id.clone()),
            AttributeValue::S(ConflictStatus::Open.as_str().to_owned()),
            number(write.expected_edits),
        ];
        Ok(Write {
            statement: statement(&text, values)?,
            bytes: super::INLINE_BYTES_MAX,
        })
    }

    /// Puts a row on the condition that there is none.
    fn insert(&self, row: Row, bytes: usize) -> Result<Write, Failure> {
        let mut attributes: Vec<(String, AttributeValue)> = row.into_iter().collect();
        attributes.sort_by(|(one, _), (other, _)| one.cmp(other));
        let names: Vec<String> = attributes
            .iter()
            .map(|(name, _)| format!("'{name}': ?"))
            .collect();
        let text = format!(
            "INSERT INTO \"{}\" VALUE {{{}}}",
            self.0.name,
            names.join(", ")
        );
        let values = attributes.into_iter().map(|(_, value)| value).collect();
        Ok(Write {
            statement: statement(&text, values)?,
            bytes,
        })
    }

    async fn write_all(&self, writes: Vec<Write>) -> Result<Vec<WriteOutcome>, Failure> {
        let bytes: Vec<usize> = writes.iter().map(|write| write.bytes).collect();
        self.0
            .execute_all(&bytes, |index| Ok(writes[index].statement.clone()))
            .await
    }
}

impl OpenedConflict {
    /// Where a conflict that is opened stands: in the first row, unless there is a conflict in it.
    fn of(write: &ConflictWrite) -> Result<Self, Failure> {
        let is_first = |it: &&Neighbor| it.slot == ConflictSlot::First;
        let first = write.beside.iter().find(is_first);
        let own = keys::parse(&write.id)?.edit;
        let mut siblings = Vec::new();
        for neighbor in &write.beside {
            let name = match neighbor.slot {
                ConflictSlot::Legacy => neighbor.id.as_str(),
                _ => keys::parse(&neighbor.id)?.edit,
            };
            if first.is_none_or(|first| first.id != neighbor.id)
                && name != own
                && !siblings.iter().any(|it| it == name)
            {
                siblings.push(name.to_owned());
            }
        }
        let behind = match (first, write.beside.last()) {
            (Some(first), Some(last)) => {
                siblings.push(own.to_owned());
                Some((
                    keys::parse(&last.id)?.edit.to_owned(),
                    first.status == ConflictStatus::Resolved,
                ))
            }
            _ => None,
        };
        let excess = siblings.len().saturating_sub(RESOLVED_CONFLICTS_MAX);
        siblings.drain(..excess);
        let slot = if behind.is_some() {
            ConflictSlot::Own
        } else {
            ConflictSlot::First
        };
        Ok(Self {
            slot,
            siblings,
            behind,
        })
    }
}

/// A row that is written once: that it is there already is as good.
pub(super) fn is_there(committed: WriteOutcome) -> Result<(), Failure> {
    match committed {
        WriteOutcome::Written | WriteOutcome::Lost => Ok(()),
        WriteOutcome::Unavailable => Err(throttled()),
    }
}

fn throttled() -> Failure {
    Failure::Outage("batch_execute_statement on conflicts: throttled".into())
}

fn key_values(mut row: Row) -> [AttributeValue; 2] {
    ["pk", "sk"].map(|name| row.remove(name).unwrap_or(AttributeValue::Null(true)))
}
