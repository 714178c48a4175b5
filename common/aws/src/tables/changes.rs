//! `changes`: tenant#channel / position. The change log of each channel in packed segments, and its
//! `head`.
//!
//! A segment's key is the head before it. It is put there on the condition that nothing is, so one
//! segment follows each head and no other ever will: the chain of segments is the log. The head
//! says how far the chain leads, and is moved after the segment is put. Where that is lost, whoever
//! finds the place behind the head taken moves it there first. So a head may lag behind for a
//! moment, but never stands where the chain does not lead, and readers go no further than the head.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::{
    operation::query::builders::QueryFluentBuilder,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use tidemark_core::{
    channel::Scope,
    sequence::{
        plan::{Head, LogStep},
        position::Position,
        segment::{Entry, Segment},
    },
};

use super::{Table, expiry, from_row, in_the_way, is_condition_failure, key, moment, text};
use crate::failure::Failure;

/// Sort key of a channel's head; positions are digits, so it stands behind all of them.
const HEAD: &str = "head";
/// The index of heads by tenant.
const BY_TENANT: &str = "by_tenant";
/// How much longer a segment is kept than positions are valid, so that no reader with a valid
/// position finds it gone.
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
    /// When it was put there.
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
        let entries = Segment::unpack_entries(&row.entries)
            .map_err(|error| Failure::undecoded("segment", error))?;
        let Head {
            position, moved_at, ..
        } = row.head.read()?;
        Ok(StoredSegment {
            segment: Segment {
                prev: row.sk,
                last: position,
                entries,
            },
            sequenced_at: moved_at,
        })
    }
}

/// Where a position stands in a channel's log.
#[derive(Debug, Clone)]
pub enum PositionStatus {
    /// In this segment.
    Segment(StoredSegment),
    /// At the start, or in a segment that has expired.
    Expired,
    /// Behind the head: it stems from before the server was restored.
    Beyond,
}

/// What became of steps that were to be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOutcome {
    /// They stand in the log, and the head behind them.
    Done,
    /// Something else follows the head that was read: read it again and classify again.
    LostRace,
}

/// A head as it is stored, in its own row and in that of the segment it stands behind.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct HeadFields {
    position: Position,
    stream_label: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<Position>,
    moved_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired_at: Option<i64>,
}

impl HeadFields {
    fn of(head: &Head) -> Self {
        Self {
            position: head.position,
            stream_label: head.stream.clone(),
            floor: head.floor,
            moved_at: head.moved_at.timestamp_millis(),
            repaired_at: head.repaired_at.map(|at| at.timestamp_millis()),
        }
    }

    fn read(self) -> Result<Head, Failure> {
        Ok(Head {
            position: self.position,
            stream: self.stream_label,
            floor: self.floor,
            moved_at: moment(self.moved_at)?,
            repaired_at: self.repaired_at.map(moment).transpose()?,
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct HeadRow {
    pk: String,
    sk: String,
    /// The partition of the index.
    tenant: String,
    #[serde(flatten)]
    head: HeadFields,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct SegmentRow {
    pk: String,
    sk: Position,
    /// The head behind it.
    #[serde(flatten)]
    head: HeadFields,
    #[serde(with = "serde_bytes")]
    entries: Vec<u8>,
    expires_at: i64,
}

impl Changes {
    /// The heads of these channels, in the order of `scopes`; `None` where nothing was sequenced
    /// yet.
    ///
    /// # Errors
    /// An outage.
    pub async fn heads(&self, scopes: &[Scope]) -> Result<Vec<Option<Head>>, Failure> {
        let keys = scopes
            .iter()
            .map(|scope| key(scope.partition(), HEAD))
            .collect();
        let mut heads = HashMap::new();
        for row in self.table.batch_get(keys).await? {
            let HeadRow { pk, head, .. } = from_row("head", row)?;
            heads.insert(pk, head.read()?);
        }
        Ok(scopes
            .iter()
            .map(|scope| heads.remove(&scope.partition()))
            .collect())
    }

    /// At most `limit` channels of a tenant that have a log, behind the channel `after`, in the
    /// order of their names, and whether there are more. The index may lag behind by a moment.
    ///
    /// # Errors
    /// An outage.
    pub async fn channels(
        &self,
        tenant: &str,
        after: Option<&Scope>,
        limit: usize,
    ) -> Result<(Vec<Scope>, bool), Failure> {
        let start = after.map(|after| {
            let index = ("tenant".to_owned(), AttributeValue::S(after.tenant.clone()));
            key(after.partition(), HEAD)
                .into_iter()
                .chain([index])
                .collect()
        });
        let query = self
            .table
            .query_index(BY_TENANT, "tenant", tenant)
            .set_exclusive_start_key(start);
        let response = query
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await;
        let response =
            response.map_err(|error| Failure::outage("query on changes by tenant", error))?;
        let more = response.last_evaluated_key.is_some();
        let rows = response.items.unwrap_or_default();
        Ok((
            rows.iter()
                .filter_map(|row| Scope::parse(text(row, "pk")?))
                .collect(),
            more,
        ))
    }

    /// At most `limit` segments from the one that follows `from` up to `end`, in log order,
    /// strongly consistently.
    ///
    /// # Errors
    /// An outage, or a row that is not what was stored.
    pub async fn segments(
        &self,
        scope: &Scope,
        from: Position,
        end: Position,
        limit: i32,
    ) -> Result<Vec<StoredSegment>, Failure> {
        let packed = self.packed_segments(scope, from, end, limit).await?;
        packed.into_iter().map(PackedSegment::unpack).collect()
    }

    /// The same, for a reader that may not need all of them.
    ///
    /// # Errors
    /// An outage.
    pub async fn packed_segments(
        &self,
        scope: &Scope,
        from: Position,
        end: Position,
        limit: i32,
    ) -> Result<Vec<PackedSegment>, Failure> {
        if from >= end {
            return Ok(Vec::new());
        }
        let mut segments = read_segments(self.range(scope, from, end).limit(limit)).await?;
        segments.retain(|PackedSegment(row)| row.sk < end); // what follows the end: the head has not passed it
        Ok(segments)
    }

    /// The entries of the log at `positions`, up to the head: records there may have been sequenced
    /// before.
    ///
    /// # Errors
    /// An outage.
    pub async fn held(
        &self,
        scope: &Scope,
        mut positions: Vec<Position>,
    ) -> Result<Vec<Entry>, Failure> {
        let mut held = Vec::new();
        positions.sort();
        while let Some(last) = positions.last().copied() {
            let Some(StoredSegment { segment, .. }) =
                self.segments_back(scope, last, 1).await?.pop()
            else {
                break;
            };
            let wanted: HashSet<Position> = positions.iter().copied().collect();
            held.extend(
                segment
                    .entries
                    .into_iter()
                    .filter(|entry| wanted.contains(&entry.position)),
            );
            positions.retain(|position| *position <= segment.prev);
        }
        Ok(held)
    }

    /// Where `position` stands in the log.
    ///
    /// # Errors
    /// An outage.
    pub async fn place(
        &self,
        scope: &Scope,
        position: Position,
    ) -> Result<PositionStatus, Failure> {
        let found = self.segments_back(scope, position, 1).await?.pop();
        if let Some(stored) = found.filter(|stored| position <= stored.segment.last) {
            return Ok(PositionStatus::Segment(stored));
        }
        let head = self
            .heads(std::slice::from_ref(scope))
            .await?
            .pop()
            .flatten();
        Ok(if head.is_some_and(|head| position <= head.position) {
            PositionStatus::Expired
        } else {
            PositionStatus::Beyond
        })
    }

    /// At most `limit` segments that begin before `end`, the last one first.
    ///
    /// # Errors
    /// An outage.
    pub async fn segments_back(
        &self,
        scope: &Scope,
        end: Position,
        limit: i32,
    ) -> Result<Vec<StoredSegment>, Failure> {
        let packed = self.packed_segments_back(scope, end, limit).await?;
        packed.into_iter().map(PackedSegment::unpack).collect()
    }

    /// The same, for a reader that may not need all of them.
    ///
    /// # Errors
    /// An outage.
    pub async fn packed_segments_back(
        &self,
        scope: &Scope,
        end: Position,
        limit: i32,
    ) -> Result<Vec<PackedSegment>, Failure> {
        let behind = key(scope.partition(), end.to_string());
        let query = self
            .range(scope, Position::START, end)
            .scan_index_forward(false)
            .set_exclusive_start_key(Some(behind));
        read_segments(query.limit(limit)).await
    }

    fn range(&self, scope: &Scope, from: Position, end: Position) -> QueryFluentBuilder {
        let query = self
            .table
            .query(scope.partition())
            .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :end");
        let query = query.expression_attribute_values(":from", AttributeValue::S(from.to_string()));
        query.expression_attribute_values(":end", AttributeValue::S(end.to_string()))
    }

    /// Appends steps that lead on from the head that was read, and moves the head behind them.
    /// Where something else follows that head by now, the head is moved behind that.
    ///
    /// # Errors
    /// An outage: of the steps, the first stand in the log or none, and the head may lag behind
    /// them.
    pub async fn append(&self, scope: &Scope, steps: &[LogStep]) -> Result<AppendOutcome, Failure> {
        for step in steps {
            if let Some(head) = self.put_segment(scope, step).await? {
                self.move_head(scope, head).await?;
                return Ok(AppendOutcome::LostRace);
            }
        }
        if let Some(step) = steps.last() {
            self.move_head(scope, HeadFields::of(&step.head)).await?;
        }
        Ok(AppendOutcome::Done)
    }

    /// Puts a segment behind its head. Where another one is there, it stays: the head behind that.
    /// The very same one is an earlier try of this put whose answer was lost. (Or another's, of the
    /// same millisecond: nothing but what both tell of themselves differs.)
    async fn put_segment(
        &self,
        scope: &Scope,
        step: &LogStep,
    ) -> Result<Option<HeadFields>, Failure> {
        let row = SegmentRow {
            pk: scope.partition(),
            sk: step.segment.prev,
            head: HeadFields::of(&step.head),
            entries: step.segment.packed_entries(),
            expires_at: expiry(
                step.head.moved_at,
                self.retention + Duration::days(EXPIRY_MARGIN_DAYS),
            ),
        };
        let put = self
            .table
            .put(&row)?
            .condition_expression("attribute_not_exists(pk)");
        let put = put
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = put.send().await else {
            return Ok(None);
        };
        match error.as_service_error().and_then(in_the_way) {
            Some(stands) => {
                let stands: SegmentRow = from_row("segment", stands.clone())?;
                Ok(Some(stands)
                    .filter(|stands| *stands != row)
                    .map(|stands| stands.head))
            }
            None => Err(Failure::outage("put_item on changes", error)),
        }
    }

    /// Moves the head of a channel forward; where it stands there or further already, it stays.
    async fn move_head(&self, scope: &Scope, head: HeadFields) -> Result<(), Failure> {
        let position = AttributeValue::S(head.position.to_string());
        let row = HeadRow {
            pk: scope.partition(),
            sk: HEAD.to_owned(),
            tenant: scope.tenant.clone(),
            head,
        };
        let put = self
            .table
            .put(&row)?
            .condition_expression("attribute_not_exists(pk) OR #position < :position");
        let put = put
            .expression_attribute_names("#position", "position")
            .expression_attribute_values(":position", position);
        match put.send().await {
            Err(error) if !is_condition_failure(&error) => {
                Err(Failure::outage("put_item on changes", error))
            }
            _ => Ok(()),
        }
    }
}

async fn read_segments(query: QueryFluentBuilder) -> Result<Vec<PackedSegment>, Failure> {
    let response = query
        .send()
        .await
        .map_err(|error| Failure::outage("query on changes", error))?;
    let rows = response.items.unwrap_or_default().into_iter();
    rows.map(|row| from_row("segment", row).map(PackedSegment))
        .collect()
}
