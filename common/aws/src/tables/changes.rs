//! `changes`: tenant#channel / position. The change log of each channel in packed, linked segments, and its `head`.
//!
//! The invariant: a segment exists exactly when the head has passed over it. Both are written in one transaction, on the condition
//! that the head still is what was read. (Segment first and head after looks cheaper and is wrong: after a lost race or a crash an
//! orphan segment cannot be told from a delivered one, and a reader beyond it misses it.)

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::{
    operation::query::builders::QueryFluentBuilder,
    types::{AttributeValue, Put, TransactWriteItem, Update},
};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use tidemark_core::{
    channel::Scope,
    sequence::{
        plan::{Head, end_of},
        position::Position,
        repair,
        segment::{Entry, Segment},
    },
};

use super::{
    Row, Table, expiry, from_row, key, moment, text, to_row,
    transaction::{Transacted, transact, transact_put},
};
use crate::failure::Failure;

/// Sort key of a channel's head; positions are digits, so it stands behind all of them.
const HEAD: &str = "head";
/// The index of heads by tenant.
const BY_TENANT: &str = "by_tenant";
/// How much longer a segment is kept than positions are valid, so that no reader with a valid position finds it gone.
const EXPIRY_MARGIN_DAYS: i64 = 1;

/// The table of changes.
#[derive(Debug, Clone)]
pub struct Changes {
    pub(super) table: Table,
    pub(super) retention: Duration,
}

/// A segment as it was stored.
#[derive(Debug, Clone)]
pub struct StoredSegment {
    /// The segment.
    pub segment: Segment,
    /// When the head passed over it.
    pub sequenced_at: DateTime<Utc>,
}

/// A segment whose entries are not unpacked yet.
#[derive(Debug)]
pub struct PackedSegment(SegmentRow);

impl PackedSegment {
    /// The segment.
    ///
    /// # Errors
    /// The row is not what was stored.
    pub fn unpack(self) -> Result<StoredSegment, Failure> {
        let Self(row) = self;
        let entries = Segment::unpack_entries(&row.entries).map_err(|error| Failure::undecoded("segment", error))?;
        Ok(StoredSegment { segment: Segment { prev: row.prev, last: row.sk, entries }, sequenced_at: moment(row.sequenced_at)? })
    }
}

/// Where a position stands in a channel's log.
#[derive(Debug, Clone)]
pub enum Place {
    /// In this segment or, where its own has expired, before it.
    Segment(StoredSegment),
    /// Before the head, and every segment from there on has expired.
    Expired,
    /// Behind the head: it stems from before the server was restored.
    Beyond,
}

/// What became of a segment that was to be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It stands in the log, and the head behind it.
    Done,
    /// The head was not what was read: read it again and classify again.
    LostRace,
}

/// Segments that one transaction may append: it holds 4 MB.
pub const SEGMENTS_AT_ONCE: usize = 8;

/// A step of a channel's log: segments that follow each other.
#[derive(Debug, Clone, Copy)]
pub struct LogStep<'a> {
    /// Which channel.
    pub scope: &'a Scope,
    /// The head that was read.
    pub head: Option<&'a Head>,
    /// What follows it: one or more, and [`SEGMENTS_AT_ONCE`] at most.
    pub segments: &'a [Segment],
    /// The stream the head stands for then.
    pub stream: &'a str,
    /// When the head moves.
    pub now: DateTime<Utc>,
    /// It is appended by a repair, not from the stream.
    pub is_repair: bool,
}

impl LogStep<'_> {
    /// The head behind the segments.
    pub fn next_head(&self) -> Head {
        let repaired_at = self.head.and_then(|head| head.repaired_at);
        Head {
            position: self.segments.last().map_or_else(|| end_of(self.head), |segment| segment.last),
            stream: self.stream.to_owned(),
            floor: self.head.and_then(|head| head.floor),
            moved_at: self.now,
            repaired_at: if self.is_repair { Some(self.now) } else { repaired_at },
        }
    }
}

#[derive(Debug, Deserialize)]
struct HeadRow {
    pk: String,
    position: Position,
    stream_label: String,
    floor: Option<Position>,
    moved_at: i64,
    repaired_at: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SegmentRow {
    pk: String,
    sk: Position,
    prev: Position,
    #[serde(with = "serde_bytes")]
    entries: Vec<u8>,
    sequenced_at: i64,
    expires_at: i64,
}

impl Changes {
    /// The heads of these channels, in the order of `scopes`; `None` where nothing was sequenced yet.
    ///
    /// # Errors
    /// An outage.
    pub async fn heads(&self, scopes: &[Scope]) -> Result<Vec<Option<Head>>, Failure> {
        let keys = scopes.iter().map(|scope| key(scope.partition(), HEAD)).collect();
        let mut heads = HashMap::new();
        for row in self.table.batch_get(keys).await? {
            let row: HeadRow = from_row("head", row)?;
            let head = Head {
                position: row.position,
                stream: row.stream_label,
                floor: row.floor,
                moved_at: moment(row.moved_at)?,
                repaired_at: row.repaired_at.map(moment).transpose()?,
            };
            heads.insert(row.pk, head);
        }
        Ok(scopes.iter().map(|scope| heads.remove(&scope.partition())).collect())
    }

    /// At most `limit` channels of a tenant that have a log, behind the channel `after`, in the order of their names, and whether there are
    /// more. The index may lag behind by a moment.
    ///
    /// # Errors
    /// An outage.
    pub async fn channels(&self, tenant: &str, after: Option<&Scope>, limit: usize) -> Result<(Vec<Scope>, bool), Failure> {
        let start = after.map(|after| {
            let index = ("tenant".to_owned(), AttributeValue::S(after.tenant.clone()));
            key(after.partition(), HEAD).into_iter().chain([index]).collect()
        });
        let query = self.table.query_index(BY_TENANT, "tenant", tenant).set_exclusive_start_key(start);
        let answer = query.limit(i32::try_from(limit).unwrap_or(i32::MAX)).send().await;
        let answer = answer.map_err(|error| Failure::outage("query on changes by tenant", error))?;
        let more = answer.last_evaluated_key.is_some();
        let rows = answer.items.unwrap_or_default();
        Ok((rows.iter().filter_map(|row| Scope::parse(text(row, "pk")?)).collect(), more))
    }

    /// At most `limit` segments that end after `position` and not after `end`, in log order, strongly consistently.
    ///
    /// # Errors
    /// An outage, or a row that is not what was stored.
    pub async fn segments(
        &self,
        scope: &Scope,
        position: Position,
        end: Position,
        limit: i32,
    ) -> Result<Vec<StoredSegment>, Failure> {
        let packed = self.packed_segments(scope, position, end, limit).await?;
        packed.into_iter().map(PackedSegment::unpack).collect()
    }

    /// The same, for a reader that may not need all of them.
    ///
    /// # Errors
    /// An outage.
    pub async fn packed_segments(
        &self,
        scope: &Scope,
        position: Position,
        end: Position,
        limit: i32,
    ) -> Result<Vec<PackedSegment>, Failure> {
        // The position itself is the key of a segment that is read already.
        let after = key(scope.partition(), position.to_string());
        self.query(scope, position, end, limit, Some(after)).await
    }

    /// The entries of the log at `positions`: records there may have been sequenced before.
    ///
    /// # Errors
    /// An outage.
    pub async fn held(&self, scope: &Scope, mut positions: Vec<Position>, end: Position) -> Result<Vec<Entry>, Failure> {
        let mut held = Vec::new();
        positions.sort();
        while let Some(first) = positions.first().copied() {
            let Some(stored) = self.query(scope, first, end, 1, None).await?.pop() else { break };
            let stored = stored.unpack()?;
            let wanted: HashSet<Position> = positions.iter().copied().collect();
            held.extend(stored.segment.entries.into_iter().filter(|entry| wanted.contains(&entry.position)));
            positions.retain(|position| *position > stored.segment.last);
        }
        Ok(held)
    }

    /// Where `position` stands in the log, in one read: segments and the head lie in one order.
    ///
    /// # Errors
    /// An outage.
    pub async fn place(&self, scope: &Scope, position: Position) -> Result<Place, Failure> {
        let query = self.table.query(scope.partition()).key_condition_expression("pk = :pk AND sk >= :from").limit(1);
        let query = query.expression_attribute_values(":from", AttributeValue::S(position.to_string()));
        let answer = query.send().await.map_err(|error| Failure::outage("query on changes", error))?;
        let Some(row) = answer.items.unwrap_or_default().pop() else { return Ok(Place::Beyond) };
        if text(&row, "sk") != Some(HEAD) {
            return read_segment(row)?.unpack().map(Place::Segment);
        }
        let head: HeadRow = from_row("head", row)?;
        Ok(if position <= head.position { Place::Expired } else { Place::Beyond })
    }

    /// At most `limit` segments that end at `end` or before, the last one first.
    ///
    /// # Errors
    /// An outage.
    pub async fn segments_back(&self, scope: &Scope, end: Position, limit: i32) -> Result<Vec<StoredSegment>, Failure> {
        let packed = read_segments(self.range(scope, Position::START, end).scan_index_forward(false).limit(limit)).await?;
        packed.into_iter().map(PackedSegment::unpack).collect()
    }

    async fn query(
        &self,
        scope: &Scope,
        from: Position,
        end: Position,
        limit: i32,
        after: Option<Row>,
    ) -> Result<Vec<PackedSegment>, Failure> {
        if from > end {
            return Ok(Vec::new());
        }
        read_segments(self.range(scope, from, end).set_exclusive_start_key(after).limit(limit)).await
    }

    fn range(&self, scope: &Scope, from: Position, end: Position) -> QueryFluentBuilder {
        let query = self.table.query(scope.partition()).key_condition_expression("pk = :pk AND sk BETWEEN :from AND :end");
        let query = query.expression_attribute_values(":from", AttributeValue::S(from.to_string()));
        query.expression_attribute_values(":end", AttributeValue::S(end.to_string()))
    }

    /// Appends segments and moves the head behind them, in one transaction, on the condition that the head still is what was read.
    ///
    /// # Errors
    /// An outage: the segments stand in the log with the head behind them, or nothing is done.
    pub async fn append(&self, step: &LogStep<'_>) -> Result<Appended, Failure> {
        let put = |segment: &Segment| {
            let row = SegmentRow {
                pk: step.scope.partition(),
                sk: segment.last,
                prev: segment.prev,
                entries: segment.packed_entries(),
                sequenced_at: step.now.timestamp_millis(),
                expires_at: expiry(step.now, self.retention + Duration::days(EXPIRY_MARGIN_DAYS)),
            };
            transact_put(Put::builder().table_name(&self.table.name).set_item(Some(to_row(&row)?)))
        };
        let mut items: Vec<TransactWriteItem> = step.segments.iter().map(put).collect::<Result<_, _>>()?;
        items.push(head_update(&self.table.name, step.scope, step.head, &step.next_head())?);
        self.move_head(items).await
    }

    /// Has every device start over in a channel (§4.5): the head moves behind every position that was given out, and the log is cut there,
    /// on the condition that the head still is what was read.
    ///
    /// # Errors
    /// An outage.
    pub async fn start_over(&self, scope: &Scope, head: Option<&Head>, now: DateTime<Utc>) -> Result<Appended, Failure> {
        let position = repair::start_over(head);
        let stream = head.map(|head| head.stream.clone()).unwrap_or_default();
        let next = Head { position, stream, floor: Some(position), moved_at: now, repaired_at: Some(now) };
        self.move_head(vec![head_update(&self.table.name, scope, head, &next)?]).await
    }

    async fn move_head(&self, items: Vec<TransactWriteItem>) -> Result<Appended, Failure> {
        match transact(&self.table.client, "transact_write_items on changes", items).await? {
            Transacted::Done => Ok(Appended::Done),
            cancelled if cancelled.lost_race() => Ok(Appended::LostRace),
            Transacted::Cancelled(_) => Err(Failure::Outage("transact_write_items on changes: throttled".into())),
        }
    }
}

/// The part of a transaction that moves a head from what was `read` to the `next`.
fn head_update(table: &str, scope: &Scope, read: Option<&Head>, next: &Head) -> Result<TransactWriteItem, Failure> {
    let text = |text: String| AttributeValue::S(text);
    let time = |at: DateTime<Utc>| AttributeValue::N(at.timestamp_millis().to_string());
    let written = [
        ("position", Some(text(next.position.to_string()))),
        ("stream_label", Some(text(next.stream.clone()))),
        ("moved_at", Some(time(next.moved_at))),
        ("repaired_at", next.repaired_at.map(time)),
        ("floor", next.floor.map(|floor| text(floor.to_string()))),
        // A key of the index by tenant: written anew it is the same, and costs nothing.
        ("tenant", Some(text(scope.tenant.clone()))),
    ];
    let mut update = Update::builder().table_name(table).set_key(Some(key(scope.partition(), HEAD)));
    let mut sets = Vec::new();
    for (name, value) in written {
        let Some(value) = value else { continue };
        sets.push(format!("#{name} = :{name}"));
        update =
            update.expression_attribute_names(format!("#{name}"), name).expression_attribute_values(format!(":{name}"), value);
    }
    let update = update.update_expression(format!("SET {}", sets.join(", ")));
    let update = match read {
        None => update.condition_expression("attribute_not_exists(pk)"),
        Some(head) => update
            .condition_expression("#position = :read AND #stream_label = :read_stream")
            .expression_attribute_values(":read", text(head.position.to_string()))
            .expression_attribute_values(":read_stream", text(head.stream.clone())),
    };
    let update = update.build().map_err(|error| Failure::unreadable("head", error))?;
    Ok(TransactWriteItem::builder().update(update).build())
}

async fn read_segments(query: QueryFluentBuilder) -> Result<Vec<PackedSegment>, Failure> {
    let answer = query.send().await.map_err(|error| Failure::outage("query on changes", error))?;
    answer.items.unwrap_or_default().into_iter().map(read_segment).collect()
}

fn read_segment(row: Row) -> Result<PackedSegment, Failure> {
    from_row("segment", row).map(PackedSegment)
}
