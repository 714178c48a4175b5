//! Reads change logs: heads, the channels of a tenant, and segments in either direction.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::AttributeValue};
use chrono::{DateTime, Utc};
use tidemark_core::{
    model::{channel::Scope, position::Position},
    rules::sequence::{
        plan::Head,
        segment::{Entry, Segment},
    },
};

use super::{Changes, HEAD, HeadRow, SegmentRow, entries};
use crate::{
    error::Error,
    tables::{Row, from_row, key, text},
};

/// The index of heads by tenant.
const BY_TENANT: &str = "by_tenant";

/// A segment together with the time at which it was stored.
#[derive(Debug, Clone)]
pub struct StoredSegment {
    /// The segment with its entries unpacked.
    pub segment: Segment,
    /// The time at which the segment was appended: `Head::moved_at` of the head after it.
    pub sequenced_at: DateTime<Utc>,
}

/// A segment whose entries have not been unpacked.
#[derive(Debug)]
pub struct PackedSegment(SegmentRow);

impl PackedSegment {
    /// Unpacks the entries of the segment.
    ///
    /// # Errors
    /// Returns `Error::Corrupt` if the row cannot be decoded.
    pub fn unpack(self) -> Result<StoredSegment, Error> {
        let Self(row) = self;
        let entries =
            entries::unpack(&row.entries).map_err(|error| Error::undecoded("segment", error))?;

        let Head {
            position, moved_at, ..
        } = row.head.read()?;

        Ok(StoredSegment {
            segment: Segment {
                follows: row.sk,
                last: position,
                entries,
            },
            sequenced_at: moved_at,
        })
    }
}

/// The place of a position in the change log of a channel.
#[derive(Debug, Clone)]
pub enum PositionStatus {
    /// The position is in this segment.
    Segment(StoredSegment),
    /// The position is the start of the log, or is in a segment that has expired.
    Expired,
    /// The position is after the head: it was issued before the server was restored from a backup.
    Beyond,
}

impl Changes {
    /// Returns the heads of these channels in the order of `scopes`; `None` for a channel without a
    /// log.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a head
    /// cannot be decoded.
    pub async fn heads(&self, scopes: &[Scope]) -> Result<Vec<Option<Head>>, Error> {
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

    /// Returns at most `limit` channels of a tenant that have a log, after the channel `after`,
    /// ordered by name, and whether there are more. The index is eventually consistent. Logs, counts
    /// and skips a channel whose key cannot be parsed.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable.
    pub async fn channels(
        &self,
        tenant: &str,
        after: Option<&Scope>,
        limit: usize,
    ) -> Result<(Vec<Scope>, bool), Error> {
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
            response.map_err(|error| Error::failed_call("query on changes by tenant", error))?;

        let more = response.last_evaluated_key.is_some();
        let rows = response.items.unwrap_or_default();
        let scope = |row: &Row| {
            let scope = text(row, "pk").and_then(Scope::parse);
            if scope.is_none() {
                tracing::error!("stored head of a change log cannot be decoded");
                self.table.count_corrupt();
            }
            scope
        };
        Ok((rows.iter().filter_map(scope).collect(), more))
    }

    /// Returns at most `limit` segments after `from` up to `end`, in log order, with a strongly
    /// consistent read.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a segment
    /// cannot be decoded.
    pub async fn segments(
        &self,
        scope: &Scope,
        from: Position,
        end: Position,
        limit: i32,
    ) -> Result<Vec<StoredSegment>, Error> {
        let packed = self.packed_segments(scope, from, end, limit).await?;
        packed.into_iter().map(PackedSegment::unpack).collect()
    }

    /// Returns the same segments without unpacking their entries.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a segment
    /// cannot be decoded.
    pub async fn packed_segments(
        &self,
        scope: &Scope,
        from: Position,
        end: Position,
        limit: i32,
    ) -> Result<Vec<PackedSegment>, Error> {
        if from >= end {
            return Ok(Vec::new());
        }
        let mut segments = read_segments(self.range(scope, from, end).limit(limit)).await?;
        // The range includes the segment that follows the end, which the head has not passed.
        segments.retain(|PackedSegment(row)| row.sk < end);
        Ok(segments)
    }

    /// Returns the entries of the log at `positions`, which must not be after the head. Used to
    /// find records that have already been sequenced.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a segment
    /// cannot be decoded.
    pub async fn held(
        &self,
        scope: &Scope,
        mut positions: Vec<Position>,
    ) -> Result<Vec<Entry>, Error> {
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
            positions.retain(|position| *position <= segment.follows);
        }
        Ok(held)
    }

    /// Returns whether `position` is in a stored segment, expired, or after the head.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a row
    /// cannot be decoded.
    pub async fn locate(&self, scope: &Scope, position: Position) -> Result<PositionStatus, Error> {
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

    /// Returns at most `limit` segments that begin before `end`, the last one first.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a segment
    /// cannot be decoded.
    pub async fn segments_back(
        &self,
        scope: &Scope,
        end: Position,
        limit: i32,
    ) -> Result<Vec<StoredSegment>, Error> {
        let packed = self.packed_segments_back(scope, end, limit).await?;
        packed.into_iter().map(PackedSegment::unpack).collect()
    }

    /// Returns the same segments without unpacking their entries.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a segment
    /// cannot be decoded.
    pub async fn packed_segments_back(
        &self,
        scope: &Scope,
        end: Position,
        limit: i32,
    ) -> Result<Vec<PackedSegment>, Error> {
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
}

async fn read_segments(query: QueryFluentBuilder) -> Result<Vec<PackedSegment>, Error> {
    let response = query
        .send()
        .await
        .map_err(|error| Error::failed_call("query on changes", error))?;
    let rows = response.items.unwrap_or_default().into_iter();
    rows.map(|row| from_row("segment", row).map(PackedSegment))
        .collect()
}
