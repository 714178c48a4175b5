//! `changes`: tenant#channel / position. The change log of each channel in packed segments, and its
//! `head`.
//!
//! The log is a linked list built with conditional puts. A segment is keyed by the position that it
//! follows and written with `attribute_not_exists`, so each position has at most one successor. The
//! head records the end of the list and is moved after the segment is put. If a writer stops in
//! between, the next writer finds the segment after the head and moves the head first. The head may
//! therefore lag for a moment, but it never points past the end of the list, and readers do not
//! read past the head.

pub mod entries;
mod read;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use chrono::Duration;
use serde::{Deserialize, Serialize};
use tidemark_core::{
    model::{channel::Scope, position::Position},
    rules::sequence::plan::{Head, LogStep},
    wire::text,
};

pub use read::{PackedSegment, PositionStatus, StoredSegment};

use super::{Table, conflicting_row, expiry, from_row, is_condition_failure, moment};
use crate::error::Error;

/// Sort key of a channel's head. Positions consist of digits, so it sorts after all of them.
const HEAD: &str = "head";
/// Days for which a segment is stored after its positions have expired, so that a reader with a
/// valid position always finds it.
const EXPIRY_MARGIN_DAYS: i64 = 1;

/// The number of segments that one query requests. DynamoDB returns at most 1 MB of them.
pub const QUERY_SEGMENTS_MAX: i32 = 16;

/// Client for the table `changes`.
#[derive(Debug, Clone)]
pub struct Changes {
    pub(super) table: Table,
    pub(super) retention: Duration,
}

/// The outcome of an append to a change log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOutcome {
    /// The steps are part of the log, and the head has been moved after them.
    Done,
    /// Another segment follows the head that was read. The caller must read the head again and
    /// classify the records again.
    ConcurrentUpdate,
}

/// A head as it is stored in its own row and in the row of the segment that ends at it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct HeadFields {
    #[serde(with = "text")]
    position: Position,
    stream_label: String,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "text::option"
    )]
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

    fn read(self) -> Result<Head, Error> {
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
    /// The partition key of the index by tenant.
    tenant: String,
    #[serde(flatten)]
    head: HeadFields,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct SegmentRow {
    pk: String,
    #[serde(with = "text")]
    sk: Position,
    /// The head after this segment.
    #[serde(flatten)]
    head: HeadFields,
    #[serde(with = "serde_bytes")]
    entries: Vec<u8>,
    expires_at: i64,
}

impl Changes {
    /// Appends steps that follow the head that was read, and moves the head after them. If another
    /// segment already follows the head or one of the steps, moves the head after that segment
    /// instead.
    ///
    /// # Errors
    /// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a segment
    /// cannot be decoded. A prefix of the steps may then be part of the log, and the head may lag
    /// behind them.
    pub async fn append(&self, scope: &Scope, steps: &[LogStep]) -> Result<AppendOutcome, Error> {
        for step in steps {
            if let Some(head) = self.put_segment(scope, step).await? {
                self.move_head(scope, head).await?;
                return Ok(AppendOutcome::ConcurrentUpdate);
            }
        }
        if let Some(step) = steps.last() {
            self.move_head(scope, HeadFields::of(&step.next_head))
                .await?;
        }
        Ok(AppendOutcome::Done)
    }

    /// Puts a segment under the position that it follows. If another segment has this key, leaves
    /// it in place and returns the head after it. An identical segment counts as success: it was written by an
    /// earlier attempt whose response was lost, or by another writer in the same millisecond with
    /// the same content.
    async fn put_segment(
        &self,
        scope: &Scope,
        step: &LogStep,
    ) -> Result<Option<HeadFields>, Error> {
        let row = SegmentRow {
            pk: scope.partition(),
            sk: step.segment.follows,
            head: HeadFields::of(&step.next_head),
            entries: entries::pack(&step.segment.entries),
            expires_at: expiry(
                step.next_head.moved_at,
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

        match error.as_service_error().and_then(conflicting_row) {
            Some(existing) => {
                let existing: SegmentRow = from_row("segment", existing.clone())?;
                Ok(Some(existing)
                    .filter(|existing| *existing != row)
                    .map(|existing| existing.head))
            }
            None => Err(Error::failed_call("put_item on changes", error)),
        }
    }

    /// Moves the head of a channel forward. Does nothing if the head is already at the position or
    /// past it.
    async fn move_head(&self, scope: &Scope, head: HeadFields) -> Result<(), Error> {
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
                Err(Error::failed_call("put_item on changes", error))
            }
            _ => Ok(()),
        }
    }
}
