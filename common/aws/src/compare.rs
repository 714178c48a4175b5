//! Reading a channel's log to compare resources with it: backwards from the head, as far as it may
//! tell something of them, and on from there where the head has moved meanwhile.

use chrono::{DateTime, Utc};
use tidemark_core::{
    channel::Scope,
    sequence::{plan::Head, position::Position, repair::Comparison},
};

use crate::{context::Context, failure::Failure, tables::changes::StoredSegment};

/// Segments of one read: an answer holds 1 MB of them.
const SEGMENTS: i32 = 16;

/// How far a log is read at most.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimit {
    /// No longer than until then.
    pub until: DateTime<Utc>,
    /// So many segments.
    pub segments_max: usize,
    /// So many bytes of their entries, unpacked.
    pub bytes_max: usize,
}

/// Whether a log was read as far as it may tell something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRead {
    /// It was.
    Whole,
    /// The bound was reached before: what was sequenced until then was not read.
    Cut(DateTime<Utc>),
}

/// Reads the log backwards from `head`, until every resource of the comparison was seen or the log
/// is older than those that were not.
///
/// # Errors
/// An outage.
pub async fn look_back(
    context: &Context,
    scope: &Scope,
    head: &Head,
    comparison: &mut Comparison,
    bound: ReadLimit,
) -> Result<LogRead, Failure> {
    let (mut end, mut passed_at) = (head.position, head.moved_at);
    let (mut segments, mut bytes) = (0, 0);
    while end != Position::START && comparison.goes_on(passed_at) {
        if segments >= bound.segments_max
            || bytes >= bound.bytes_max
            || context.clock.now() > bound.until
        {
            return Ok(LogRead::Cut(passed_at));
        }
        let read = context
            .tables
            .changes
            .packed_segments_back(scope, end, SEGMENTS)
            .await?;
        if read.is_empty() {
            return Ok(LogRead::Whole); // what is older has expired
        }
        segments += read.len();
        for packed in read {
            if bytes >= bound.bytes_max {
                break;
            }
            let StoredSegment {
                segment,
                sequenced_at,
            } = packed.unpack()?;
            bytes += segment.bytes();
            comparison.note(&segment);
            (end, passed_at) = (segment.prev, sequenced_at);
        }
    }
    Ok(LogRead::Whole)
}

/// Reads the log on from `position`, where a segment ends, up to `head`.
///
/// # Errors
/// An outage.
pub async fn look_on(
    context: &Context,
    scope: &Scope,
    mut position: Position,
    head: &Head,
    comparison: &mut Comparison,
) -> Result<(), Failure> {
    while position < head.position {
        let read = context
            .tables
            .changes
            .segments(scope, position, head.position, SEGMENTS)
            .await?;
        let Some(last) = read.last() else { break }; // what follows has expired
        position = last.segment.last;
        read.iter()
            .for_each(|stored| comparison.note(&stored.segment));
    }
    Ok(())
}
