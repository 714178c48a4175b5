//! Reads the change log of a channel to compare resources with it: backward from the head until the
//! log is older than the resources, and later forward if the head has moved.

use chrono::{DateTime, Utc};
use tidemark_core::{
    channel::Scope,
    sequence::{plan::Head, position::Position, repair::Comparison},
};

use crate::{context::Context, failure::Failure, tables::changes::StoredSegment};

/// Segments per query. A DynamoDB response holds at most 1 MB of them.
const SEGMENTS: i32 = 16;

/// The bounds of a backward read of a change log.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimit {
    /// The time at which reading stops.
    pub until: DateTime<Utc>,
    /// The maximum number of segments that are read.
    pub segments_max: usize,
    /// The maximum number of bytes of their entries, decompressed.
    pub bytes_max: usize,
}

/// Whether a backward read covered all entries that the comparison needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRead {
    /// All entries that the comparison needs were read.
    Whole,
    /// A bound was reached first. Entries that were sequenced before this time were not read.
    Cut(DateTime<Utc>),
}

/// Reads the log backward from `head` until all resources of the comparison were seen, or the log
/// is older than the remaining ones.
///
/// # Errors
/// Returns `Failure::Outage` if DynamoDB is unavailable or a segment cannot be decoded.
pub async fn read_backward(
    context: &Context,
    scope: &Scope,
    head: &Head,
    comparison: &mut Comparison,
    bound: ReadLimit,
) -> Result<LogRead, Failure> {
    let (mut end, mut passed_at) = (head.position, head.moved_at);
    let (mut segments, mut bytes) = (0, 0);

    while end != Position::START && comparison.may_find_more(passed_at) {
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
            return Ok(LogRead::Whole); // older segments have expired
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

/// Reads the log forward from `position`, the end of a segment, to `head`.
///
/// # Errors
/// Returns `Failure::Outage` if DynamoDB is unavailable or a segment cannot be decoded.
pub async fn read_forward(
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

        let Some(last) = read.last() else { break }; // the next segments have expired
        position = last.segment.last;
        read.iter()
            .for_each(|stored| comparison.note(&stored.segment));
    }
    Ok(())
}
