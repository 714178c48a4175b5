//! Reading a channel's log to compare resources with it: backwards from the head, as far as it may tell something of them, and on from
//! there where the head has moved meanwhile.

use chrono::{DateTime, Utc};
use tidemark_core::{
    channel::Scope,
    pull::page::{Link, missing},
    sequence::{plan::Head, position::Position, repair::Comparison},
};

use crate::{
    failure::Failure,
    platform::Platform,
    tables::{backoff, changes::StoredSegment},
};

/// Segments of one read: an answer holds 1 MB of them.
const SEGMENTS: i32 = 16;
/// Times a segment is waited for that a transaction may still be making visible.
const HOLE_ATTEMPTS_MAX: u32 = 8;

/// How far a log is read at most.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// No longer than until then.
    pub until: DateTime<Utc>,
    /// So many segments.
    pub segments_max: usize,
}

/// Whether a log was read as far as it may tell something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// It was.
    Whole,
    /// The bound was reached before: what was sequenced until then was not read.
    Cut(DateTime<Utc>),
}

/// Reads the log backwards from `head`, until every resource of the comparison was seen or the log is older than those that were not. A
/// segment that does not become visible for two seconds has expired, behind one that is young.
///
/// # Errors
/// An outage.
pub async fn look_back(
    platform: &Platform,
    scope: &Scope,
    head: &Head,
    comparison: &mut Comparison,
    bound: Bound,
) -> Result<Read, Failure> {
    let (mut end, mut passed_at) = (head.position, head.moved_at);
    let (mut segments, mut waited) = (0, 0);
    while end != Position::START && comparison.goes_on(passed_at) {
        if segments >= bound.segments_max || platform.clock.now() > bound.until {
            return Ok(Read::Cut(passed_at));
        }
        let read = platform.tables.changes.segments_back(scope, end, SEGMENTS).await?;
        let now = platform.clock.now();
        let is_hole = |last: Option<Position>, end, passed_at| last != Some(end) && missing(passed_at, now) == Link::Missing;
        if waited < HOLE_ATTEMPTS_MAX && is_hole(read.first().map(|stored| stored.segment.last), end, passed_at) {
            wait(&mut waited).await?;
            continue;
        }
        if read.is_empty() {
            return Ok(Read::Whole); // what is older has expired
        }
        for StoredSegment { segment, sequenced_at } in read {
            if waited < HOLE_ATTEMPTS_MAX && is_hole(Some(segment.last), end, passed_at) {
                break;
            }
            comparison.note(&segment);
            segments += 1;
            (end, passed_at) = (segment.prev, sequenced_at);
        }
    }
    Ok(Read::Whole)
}

/// Reads the log on from `position` up to `head`.
///
/// # Errors
/// An outage.
pub async fn look_on(
    platform: &Platform,
    scope: &Scope,
    mut position: Position,
    head: &Head,
    comparison: &mut Comparison,
) -> Result<(), Failure> {
    let mut waited = 0;
    while position < head.position {
        let read = platform.tables.changes.segments(scope, position, head.position, SEGMENTS).await?;
        let now = platform.clock.now();
        let before = position;
        for StoredSegment { segment, sequenced_at } in read {
            if segment.prev > position && missing(sequenced_at, now) == Link::Missing {
                break;
            }
            comparison.note(&segment);
            position = segment.last;
        }
        if position == before {
            wait(&mut waited).await?;
        }
    }
    Ok(())
}

/// Waits for a segment that is not visible yet.
async fn wait(waited: &mut u32) -> Result<(), Failure> {
    *waited += 1;
    if *waited > HOLE_ATTEMPTS_MAX {
        return Err(Failure::Outage("a segment of the change log is not there".into()));
    }
    tokio::time::sleep(backoff(*waited)).await;
    Ok(())
}
