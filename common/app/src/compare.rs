//! Reads the change log of a channel to compare resources with it: backward from the head until the
//! log is older than the resources, and later forward if the head has moved.

use chrono::{DateTime, Utc};
use tidemark_core::{
    model::{channel::Scope, position::Position},
    rules::sequence::{plan::Head, repair::Comparison},
};

use tidemark_aws::{
    context::Context,
    error::Error,
    tables::changes::{QUERY_SEGMENTS_MAX, StoredSegment},
};

/// The bounds of a backward read of a change log. They are checked before each query of up to
/// `QUERY_SEGMENTS_MAX` segments, so a read may exceed them by one query.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimit {
    /// The time after which no further query is sent.
    pub until: DateTime<Utc>,
    /// The number of segments after which no further query is sent.
    pub segments_max: usize,
    /// The decompressed bytes of entries after which no further segment is read.
    pub bytes_max: usize,
}

/// How much of the log a backward read covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogCoverage {
    /// Every entry that the comparison needs.
    Complete,
    /// A bound was reached first. Entries that were sequenced at this time or earlier may be
    /// missing.
    Partial(DateTime<Utc>),
}

/// Reads the log backward from `head` until all resources of the comparison were seen, or the log
/// is older than the remaining ones.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a segment cannot
/// be decoded.
pub async fn read_backward(
    context: &Context,
    scope: &Scope,
    head: &Head,
    comparison: &mut Comparison,
    limit: ReadLimit,
) -> Result<LogCoverage, Error> {
    let (mut end, mut passed_at) = (head.position, head.moved_at);
    let (mut segments, mut bytes) = (0, 0);

    while end != Position::START && comparison.may_find_more(passed_at) {
        if segments >= limit.segments_max
            || bytes >= limit.bytes_max
            || context.clock.now() > limit.until
        {
            return Ok(LogCoverage::Partial(passed_at));
        }

        let read = context
            .tables
            .changes
            .packed_segments_back(scope, end, QUERY_SEGMENTS_MAX)
            .await?;
        if read.is_empty() {
            return Ok(LogCoverage::Complete); // older segments have expired
        }

        segments += read.len();
        for packed in read {
            if bytes >= limit.bytes_max {
                break;
            }
            let StoredSegment {
                segment,
                sequenced_at,
            } = packed.unpack()?;
            bytes += segment.bytes();
            comparison.add_segment(&segment);
            (end, passed_at) = (segment.follows, sequenced_at);
        }
    }

    Ok(LogCoverage::Complete)
}

/// Reads the log forward from `position`, the end of a segment, to `head`.
///
/// # Errors
/// Returns `Error::Unavailable` if DynamoDB is unavailable, and `Error::Corrupt` if a segment cannot
/// be decoded.
pub async fn read_forward(
    context: &Context,
    scope: &Scope,
    mut position: Position,
    head: &Head,
    comparison: &mut Comparison,
) -> Result<(), Error> {
    while position < head.position {
        let read = context
            .tables
            .changes
            .segments(scope, position, head.position, QUERY_SEGMENTS_MAX)
            .await?;

        let Some(last) = read.last() else { break }; // the next segments have expired
        position = last.segment.last;
        read.iter()
            .for_each(|stored| comparison.add_segment(&stored.segment));
    }
    Ok(())
}
